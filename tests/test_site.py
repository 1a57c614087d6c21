"""The site of the documentation, opened from disk in a real browser without a network."""

import re
from pathlib import Path

import numpy as np
import pytest
from browser import chromium, show_as, wait_for
from mkdocs.commands.build import build
from mkdocs.config import load_config

ROOT = Path(__file__).parents[1]
# Elements that reach beyond the right edge, those aside that can be scrolled to.
WIDER = """
const edge = document.documentElement.clientWidth + 1;
const scrolls = (e) => e && e !== document.body &&
  (getComputedStyle(e).overflowX !== "visible" || scrolls(e.parentElement));
return [...document.querySelectorAll("article *, .md-header *")]
  .filter((e) => e.getBoundingClientRect().right > edge && !scrolls(e))
  .map((e) => `${e.tagName} ${e.textContent.slice(0, 40)}`);
"""
COLOURS = """
const seen = (element) => getComputedStyle(document.querySelector(element));
return [seen("article p").color, seen("article a:not(.headerlink)").color,
        seen("body").backgroundColor];
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Strict: a link to a page or a heading that is not there fails, and a page without a place."""
    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(folder)))
    return folder


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


def pages(site):
    found = sorted(path for path in site.rglob("*.html") if path.name != "404.html")
    assert len(found) > 15
    return found


def test_no_page_names_anything_to_load_from_elsewhere(site):
    loaded = re.compile(
        r"""<(?:script|img|iframe)[^>]+src="?(\w+:)?//|<link[^>]+href="?(\w+:)?//"""
        r"""|url\(["']?(\w+:)?//|@import"""
    )
    files = [*pages(site), *site.rglob("*.css"), *site.rglob("*.svg")]
    assert [path.name for path in files if loaded.search(path.read_text("utf-8"))] == []


def test_a_word_that_is_typed_into_the_search_finds_its_page(site, browser):
    show_as(browser, 1200)
    browser.get((site / "index.html").as_uri())
    box = browser.find_element("css selector", "input.md-search__input")
    browser.execute_script("arguments[0].focus()", box)
    box.send_keys("perplexity")
    links = wait_for(
        lambda: browser.find_elements("css selector", ".md-search-result__link"), seconds=20
    )
    first = links[0].get_attribute("href")
    assert first.startswith(site.as_uri())
    assert "perplexity" in Path(first.partition("?")[0].removeprefix("file://")).read_text("utf-8")
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []


def test_no_page_is_wider_than_a_phone_a_tablet_or_a_desk(site, browser):
    wider = {}
    for page in pages(site):
        browser.get(page.as_uri())
        for width in (400, 900, 1600):
            show_as(browser, width)
            if found := browser.execute_script(WIDER):
                wider[page.name, width] = found
    assert wider == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_and_links_stand_out_from_the_page(site, browser, scheme):
    """By WCAG's ratio of contrast, 4.5 for text."""
    show_as(browser, 900, scheme)
    browser.get((site / "index.html").as_uri())
    text, link, page = browser.execute_script(COLOURS)
    assert brightness(page) > 0.9 if scheme == "light" else brightness(page) < 0.1
    assert contrast(text, page) > 4.5
    assert contrast(link, page) > 4.5


def brightness(colour):
    """The relative luminance of WCAG 2, from 0 to 1, of "rgb(r, g, b)" or "rgba(r, g, b, a)"."""
    parts = np.array([float(part) for part in re.findall(r"[\d.]+", colour)[:3]]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one, other):
    high, low = sorted((brightness(one), brightness(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
