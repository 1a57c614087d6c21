"""What explain pushes into a study, seen in the real Optuna dashboard in a real browser."""

from __future__ import annotations

import math
import socket
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import optuna
import pytest
from browser import chromium, show_as, wait_for
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import create_trial
from optuna_dashboard import get_note, save_note
from selenium.common.exceptions import WebDriverException
from typer.testing import CliRunner

from hpsearch.cli.app import app
from hpsearch.store import Store

SPACE = {
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "drop": FloatDistribution(0, 1),
    "act": CategoricalDistribution(["relu", "<b>gelu</b>"]),
}
PLACES = {"shares", "effects", "pairs", "failures", "trust"}


def add_trials(study, n, seed):
    rng = np.random.default_rng(seed)
    for _ in range(n):
        params = {
            "lr": float(10 ** rng.uniform(-4, -1)),
            "drop": float(rng.random()),
            "act": str(rng.choice(SPACE["act"].choices)),
        }
        value = -((math.log10(params["lr"]) + 2.5) ** 2) + params["drop"]
        study.add_trial(
            create_trial(params=params, distributions=SPACE, value=value + 0.1 * rng.normal())
        )


@pytest.fixture
def study(tmp_path):
    """A study as hpsearch makes them, with a note that somebody wrote."""
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        study = optuna.create_study(storage=store.optuna, study_name="mine", direction="maximize")
        study.set_user_attr("hps_study", "mine")
        add_trials(study, 50, seed=0)
        save_note(study, "Ask Anna before you delete this.")
        yield study


@pytest.fixture
def explain(tmp_path, monkeypatch):
    """`hpsearch explain` with these arguments."""
    monkeypatch.setenv("HPSEARCH_STORAGE", f"sqlite:///{tmp_path / 'store.db'}")

    def run(*arguments):
        done = CliRunner().invoke(app, ["explain", *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


@contextmanager
def served(tmp_path):
    """The address of `hpsearch dashboard` on the store."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "hpsearch", "dashboard", "--port", str(port)]
    storage = f"sqlite:///{tmp_path / 'store.db'}"
    with subprocess.Popen(
        [*command, "--storage", storage], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def pushed(study):
    """The attributes that the dashboard draws from."""
    attrs = study._storage.get_study_system_attrs(study._study_id)
    return {key: value for key, value in attrs.items() if key.startswith("dashboard:plot_data")}


def test_the_dashboard_shows_plots_and_rules(study, explain, tmp_path):
    table = explain("mine")
    assert "lr" in table
    with served(tmp_path) as address, chromium() as browser:
        show_as(browser, 1500)
        wait_for(lambda: opens(browser, f"{address}/dashboard/studies/{study._study_id}"))
        cards = wait_for(lambda: drawn_cards(browser))
        assert set(cards) == {f"user-defined-plot:hpsearch-{place}" for place in PLACES}
        shares = cards["user-defined-plot:hpsearch-shares"].get_attribute("textContent")
        assert "share of the variance" in shares
        assert "lr" in shares
        axis = "#user-defined-plot\\:hpsearch-effects .xtitle"
        assert browser.find_element("css selector", axis).text == "lr"
        choose(browser, "drop")
        wait_for(lambda: browser.find_element("css selector", axis).text == "drop")
        browser.get(f"{address}/dashboard/studies/{study._study_id}/note")
        note = wait_for(lambda: text_with(browser, "Found by hpsearch"))
        assert "Ask Anna before you delete this." in note
        assert "lr: use 0.00" in note
        assert "hpsearch-begin" not in note


def opens(browser, url):
    try:
        browser.get(url)
    except WebDriverException:  # the server is not up yet
        return False
    return True


def drawn_cards(browser):
    """Id -> card, once each of them holds a plot."""
    cards = browser.find_elements("css selector", "[id^='user-defined-plot:']")
    drawn = [card for card in cards if card.find_elements("css selector", "svg.main-svg")]
    if len(drawn) < len(PLACES):
        return None
    return {card.get_attribute("id"): card for card in drawn}


def choose(browser, name):
    """Take an entry of the menu above the effects."""
    card = browser.find_element("id", "user-defined-plot:hpsearch-effects")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", card)
    card.find_element("css selector", ".updatemenu-header").click()
    buttons = wait_for(lambda: card.find_elements("css selector", ".updatemenu-dropdown-button"))
    next(button for button in buttons if name in button.text).click()


def text_with(browser, words):
    text = browser.find_element("css selector", "body").text
    return text if words in text else None


def test_pushing_again_replaces_and_piles_nothing_up(study, explain, tmp_path):
    explain("mine")
    first, note = pushed(study), get_note(study)
    add_trials(study, 20, seed=1)
    explain("mine")
    second, newer = pushed(study), get_note(study)
    assert {key.rsplit(":", 1)[0] for key in first} == {key.rsplit(":", 1)[0] for key in second}
    assert "50 trials" in note
    assert "70 trials" in newer
    assert "50 trials" not in newer
    assert newer.count("Found by hpsearch") == 1
    assert newer.count("Ask Anna") == 1
    assert sum(map(len, second.values())) < 150_000


def test_foreign_studies_are_left_alone_unless_asked(study, explain, tmp_path):
    url = f"sqlite:///{tmp_path / 'theirs.db'}"
    theirs = optuna.create_study(storage=url, study_name="theirs", direction="maximize")
    theirs.add_trials(study.get_trials())
    explain("theirs", "--storage", url)
    assert pushed(theirs) == {}
    assert get_note(theirs) == ""
    explain("theirs", "--storage", url, "--push")
    assert len({key.split(":")[2] for key in pushed(theirs)}) == len(PLACES)
    assert "Found by hpsearch" in get_note(theirs)
    explain("mine", "--no-push")
    assert "best 50% of the space" in " ".join(explain("mine", "--good-region", "0.5").split())
    assert pushed(study) == {}


def test_two_objectives_have_places_of_their_own(explain, tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        both = optuna.create_study(
            storage=store.optuna, study_name="both", directions=["maximize", "minimize"]
        )
        both.set_user_attr("hps_study", "both")
        rng = np.random.default_rng(0)
        for x in rng.random(30):
            both.add_trial(
                create_trial(
                    params={"x": float(x)},
                    distributions={"x": FloatDistribution(0, 1)},
                    values=[float(x), float((x - 0.3) ** 2)],
                )
            )
        for metric in ("0", "1"):
            explain("both", "--metric", metric)
        names = {key.split(":")[2] for key in pushed(both)}
        assert names == {f"hpsearch-values_{m}-{place}" for m in "01" for place in PLACES}
        assert get_note(both).count("Found by hpsearch") == 2
