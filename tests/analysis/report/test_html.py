"""The HTML report in a real browser: drawn without network, on any screen, dark, and printed."""

from __future__ import annotations

import re

import numpy as np
import pytest
from browser import chromium, show_as, wait_for
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial
from selenium.webdriver import ActionChains

from hpsearch.analysis import explain


@pytest.fixture(scope="module")
def page(studies, tmp_path_factory):
    """A browser that shows a report with every kind of plot."""
    rng = np.random.default_rng(1)
    study = studies.optuna.create_study(direction="minimize", study_name="every <kind> of plot")
    space = {f"x{j}": studies.unit for j in range(3)}
    space["kind"] = CategoricalDistribution(["plain", "fancy"])
    for number in range(90):
        params = {f"x{j}": float(rng.random()) for j in range(3)}
        params["kind"] = ("plain", "fancy")[rng.integers(2)]
        if number % 9 == 8:
            params = dict(study.get_trials()[-1].params)
        x, y, fancy = params["x0"], params["x1"], params["kind"] == "fancy"
        failed = x > 0.8 and rng.random() < 0.6
        study.add_trial(
            create_trial(
                params=params,
                distributions=space,
                state=TrialState.FAIL if failed else TrialState.COMPLETE,
                value=None
                if failed
                else 3 * (x - 0.4) * (y - 0.5) + y + fancy + 0.02 * rng.normal(),
            )
        )
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(explain(study).to_html(), encoding="utf-8")
    with chromium() as browser:
        show_as(browser, 1400)
        browser.get(path.as_uri())
        wait_for(lambda: browser.execute_script("return document.documentElement.dataset.drawn"))
        yield browser


def test_every_plot_is_drawn_and_nothing_is_fetched(page):
    plots = page.find_elements("css selector", ".plot")
    assert len(plots) >= 10
    assert all(plot.find_elements("css selector", "svg.main-svg") for plot in plots)
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert [line for line in page.get_log("browser") if line["level"] == "SEVERE"] == []
    headings = [heading.text for heading in page.find_elements("css selector", "h2")]
    assert headings[:4] == ["Best so far", "Use", "Rules", "What matters"]
    assert {"Effects", "Interactions", "Failures", "The trials"} <= set(headings)


@pytest.mark.parametrize("width", [390, 820, 1400])
def test_nothing_is_wider_than_the_screen(page, width):
    show_as(page, width)
    widest = """return Math.max(document.documentElement.scrollWidth,
        ...[...document.querySelectorAll('.plot svg.main-svg')]
            .map((svg) => svg.getBoundingClientRect().right))"""
    wait_for(lambda: page.execute_script(widest) <= width, seconds=10)


def test_dark_screens_get_a_dark_page_and_paper_does_not(page):
    def colours():
        return page.execute_script(
            "return [getComputedStyle(document.body).backgroundColor,"
            "getComputedStyle(document.querySelector('.plot .xtick text')).fill]"
        )

    show_as(page, 820, "light")
    light = colours()
    show_as(page, 820, "dark")
    dark = colours()
    assert light[0] == "rgb(255, 255, 255)"
    assert dark[0] == "rgb(15, 19, 24)"
    assert brightness(light[1]) < 120 < brightness(dark[1])
    show_as(page, 820, "dark", media="print")
    assert colours() == light
    show_as(page, 820)


def brightness(colour):
    """Mean of the channels of "rgb(r, g, b)"."""
    return np.mean([int(part) for part in colour[4:-1].split(",")])


def test_plots_fit_on_paper(page):
    show_as(page, 1400)
    page.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    widths = page.execute_script(
        "return [...document.querySelectorAll('.plot')]"
        ".map((p) => [p.clientWidth, p.querySelector('svg.main-svg').clientWidth])"
    )
    page.execute_script("window.dispatchEvent(new Event('afterprint'))")
    assert all(svg <= room <= 681 for room, svg in widths)  # 180 mm are 680.3 pixels


def hover_label(page, title, marks):
    """What is said over one of the marks of the plot with this title."""
    figures = page.find_elements("css selector", "figure")
    figure = next(f for f in figures if f.find_element("css selector", "h3").text == title)
    mark = figure.find_elements("css selector", marks)[-1]
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", mark)
    ActionChains(page).move_to_element(mark).perform()
    labels = wait_for(lambda: figure.find_elements("css selector", ".hoverlayer text"), seconds=10)
    return " ".join(label.get_attribute("textContent") for label in labels)


def test_hovering_tells_the_numbers(page):
    show_as(page, 1400)
    bar = hover_label(page, "Shares of the variance", ".bars .point path")
    assert "kind" in bar
    assert "% of the variance" in bar
    level = hover_label(page, "kind", ".trace.scatter .points path")
    assert "NaN" not in level
    assert "fancy" in level or "plain" in level
    number = hover_label(page, "x0", ".trace.scatter .points path")
    assert re.search(r"trial \d+\s*0?\.\d+: -?\d", number)


def test_every_plot_has_words_and_most_have_numbers(page):
    for plot in page.find_elements("css selector", ".plot"):
        assert plot.get_attribute("role") == "img"
        assert len(plot.get_attribute("aria-label")) > 20
    tables = page.find_elements("css selector", "details table")
    assert len(tables) >= 7
