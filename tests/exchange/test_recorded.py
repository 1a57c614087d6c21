"""A study that is recorded in a folder is the same study to anyone who reads it."""

import json
import math
import shutil
from types import SimpleNamespace

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import FloatDistribution
from own_function import SHOP, inside
from rich.console import Console
from typed import typed

import hpsearch
from hpsearch.errors import InputError
from hpsearch.exchange.recorded import import_recording, read_recording
from hpsearch.exchange.recording import record_study
from hpsearch.exchange.together import all_recorded, with_recorded
from hpsearch.search.plan import prior
from hpsearch.store import Store
from hpsearch.store.doctor import examine_at

QUIET = Console(quiet=True)
TOML = """
name = "shop"
trainer = "shop:profit"
metric = "dollars"
direction = "maximize"

[space]
price = {low = 1.0, high = 9.0}
model = {type = "choice", choices = ["tree", "line"]}

[presets.quick]
trials = 40
"""


def run(storage, trials, **options):
    return hpsearch.run(
        "shop.toml", preset="quick", trials=trials, storage=storage, console=QUIET, **options
    )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """(the URL of a store of 40 trials, the folder that they are recorded in), where shop.py is."""
    with inside(tmp_path_factory.mktemp("shop")) as folder:
        (folder / "shop.py").write_text(SHOP)
        (folder / "shop.toml").write_text(TOML)
        url = f"sqlite:///{folder / 'theirs.db'}"
        run(url, 40, seed=18)
        results = folder / "results" / "quick"
        assert hpsearch.export_study("shop", results, storage=url).trials == 40
        yield url, results


@pytest.fixture
def mine(tmp_path):
    return f"sqlite:///{tmp_path / 'mine.db'}"


@pytest.fixture
def copied(recorded, tmp_path):
    """A copy of the folder, to be spoilt."""
    return shutil.copytree(recorded[1], tmp_path / "copied")


@pytest.fixture(scope="module")
def both(recorded):
    """The URL of a store of 12 trials more of the study, with another seed."""
    url = recorded[0].replace("theirs", "twelve")
    run(url, 12, seed=1)
    return url


def rows(url, read):
    """The rows of a table of ours without what differs from store to store."""
    left_out = {"trial_id", "study_id", "run_id", "epoch_id", "worker", "host", "pid"}
    with Store.open(url) as store:
        found = getattr(store, read)("shop-quick")
    return [{k: v for k, v in row.items() if k not in left_out} for row in found]


def test_it_comes_back_with_its_epochs_and_what_each_trial_ran_in(recorded, mine):
    theirs, folder = recorded
    done = hpsearch.import_study(folder, storage=mine)
    assert (done.name, done.trials) == ("shop-quick", 40)
    for table in ("trials", "epochs"):
        assert rows(mine, table) == rows(theirs, table)
    assert all(one.fine for one in examine_at(mine))
    plain = [
        hpsearch.explain("shop-quick", storage=url).to_json().replace("mine.db", "theirs.db")
        for url in (theirs, mine)
    ]
    assert plain[0] == plain[1]


def test_a_run_goes_on_with_it_and_the_next_sitting_holds_both(recorded, mine, tmp_path):
    _, folder = recorded
    hpsearch.import_study(folder, storage=mine)
    assert len(run(mine, 3).trials) == 43
    again = tmp_path / "again"
    hpsearch.export_study("shop", again, storage=mine)
    about = json.loads((again / "study.json").read_text())
    assert [one["trials"] for one in about["runs"]] == [40, 3]
    assert about["runs"][1]["command"].endswith("--preset quick --trials 3 --seed 18 --workers 1")
    assert len(pd.read_parquet(again / "trials.parquet")) == 43


def test_the_folder_says_where_the_trials_come_from(recorded):
    _, folder = recorded
    about = json.loads((folder / "study.json").read_text())
    assert about["counts"]["complete"] + about["counts"].get("pruned", 0) == 40
    (ran,) = about["ran"]
    assert ran["versions"]["hpsearch"] == hpsearch.__version__
    assert ran["versions"]["processor"]
    readme = (folder / "README.md").read_text()
    for said in ("--trials 40 --seed 18", about["attributes"]["hps_data"]["fingerprint"]):
        assert said in readme


@pytest.mark.parametrize("file", ["trials.parquet", "epochs.parquet"])
def test_a_changed_table_is_refused(copied, mine, file):
    table = pd.read_parquet(copied / file)
    table.to_parquet(copied / file)
    with Store.open(mine) as store, pytest.raises(InputError, match="SHA-256"):
        import_recording(store, copied, None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": "another"}, "schema"),
        ({"attributes": {}}, "describes no recorded study: it lacks 'hps_"),
        ({"runs": [{}]}, "nothing of it was taken in"),
        ({"verifications": [{"param": 1}]}, "nothing of it was taken in"),
    ],
)
def test_a_forged_description_is_refused(copied, mine, change, said):
    path = copied / "study.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with Store.open(mine) as store:
        with pytest.raises(InputError, match=said):
            import_recording(store, copied, None)
        assert not store.studies()


def test_of_a_folder_without_one_it_is_said(tmp_path):
    with pytest.raises(InputError, match="holds no recorded study"):
        read_recording(tmp_path)


def test_explained_together_it_says_whose_trials_are_whose(both):
    explained = hpsearch.explain("shop", storage=both, recorded=True)
    assert explained.n_trials == 52
    said = explained.notes[0]
    assert said.startswith("Trials 0 to 11 are yours")
    assert "trials 12 to 51 are recorded" in said
    assert hpsearch.explain("shop", storage=both).n_trials == 12


def test_the_same_training_counts_once(recorded):
    """A copy with the same seed is no replicate: it would make the noise nothing."""
    explained = hpsearch.explain("shop", storage=recorded[0], recorded=True)
    assert explained.n_trials == 40
    assert "among yours, with the same seeds, and count once" in explained.notes[0]


def test_replicates_keep_what_they_repeat(both):
    trials = with_recorded("shop-quick", both).get_trials(deepcopy=False)
    pairs = [
        (trial, trials[trial.user_attrs["hps_replicate_of"]])
        for trial in trials
        if "hps_replicate_of" in trial.user_attrs
    ]
    assert len(pairs) > 2
    for one, original in pairs:
        assert one.params == original.params
        assert (one.number < 12) == (original.number < 12)


def test_beside_trials_of_other_data_the_recorded_ones_stand_alone(recorded, mine):
    """A machine that reaches the publisher of the data has another copy than one with a mirror."""
    run(mine, 6)
    study = optuna.load_study(study_name="shop-quick", storage=mine)
    data = {**study.user_attrs["hps_data"], "source": "a mirror", "fingerprint": "0" * 64}
    study.set_user_attr("hps_data", data)
    explained = hpsearch.explain("shop", storage=mine, recorded=True)
    assert explained.n_trials == 40
    said = explained.notes[0]
    assert said.startswith("Your trials are left out: their data is a mirror, fingerprint 000000")
    assert "All 40 trials are recorded ones" in said


def test_trials_of_another_space_are_refused_in_a_sentence(recorded, mine):
    other = recorded[1].parents[1] / "other.toml"
    other.write_text(TOML.replace("high = 9.0", "high = 8.0"))
    hpsearch.run(other, preset="quick", trials=6, storage=mine, console=QUIET)
    with pytest.raises(InputError, match=r"cannot be explained together .*price is .*8") as error:
        hpsearch.explain("shop", storage=mine, recorded=True)
    assert "\n" not in str(error.value)


def test_the_command_says_whose_trials_are_whose(both, recorded):
    beside = recorded[1].parents[1]  # where shop.toml is
    with Store.open(both) as store:
        before = store.table_counts()
    status, out, _ = typed(beside, "explain", "shop", "--recorded", "--storage", both)
    said = " ".join(out.split())
    assert status == 0
    assert "Trials 0 to 11 are yours" in said
    assert "Rules of recorded trials are not kept in the store." in said
    with Store.open(both) as store:
        assert store.table_counts() == before


def test_a_search_starts_from_recorded_rules(recorded, mine, monkeypatch):
    """The trials are best at a price of 5."""
    monkeypatch.setattr(prior, "all_recorded", lambda: [read_recording(recorded[1])])
    monkeypatch.setattr(prior, "load_spec", lambda _: SimpleNamespace(trainer="shop:profit"))
    space = {"price": FloatDistribution(2.0, 8.0)}
    with Store.open(mine) as store:
        found = prior.read_prior(store, ["recorded"], space, "shop-quick", "shop:profit")
        assert found.beliefs["price"].value == pytest.approx(5, abs=1)
        with pytest.raises(InputError, match="of the trainer tabular nothing is recorded"):
            prior.read_prior(store, ["recorded"], space, "adult-quick", "tabular")


def test_of_what_is_not_recorded_it_says_what_is():
    with pytest.raises(InputError, match="Nothing is recorded of 'no-such-study'"):
        hpsearch.explain("no-such-study", recorded=True)


def test_only_what_hpsearch_ran_is_recorded(tmp_path):
    (tmp_path / "runs.csv").write_text("lr,loss\n0.1,3\n0.2,2\n0.3,1\n")
    url = f"sqlite:///{tmp_path / 'mine.db'}"
    hpsearch.import_study(tmp_path / "runs.csv", "mine", metric=["loss"], storage=url)
    with Store.open(url) as store, pytest.raises(InputError, match="not run by hpsearch"):
        record_study(store, store.studies()[0], tmp_path / "results")


@pytest.mark.parametrize("recording", all_recorded(), ids=lambda one: one.folder.name)
def test_each_recording_that_is_shipped_is_whole(recording):
    """Every trial was run by hpsearch, on data and at a revision that it names, and is small."""
    trials, about = recording.trials(), recording.about
    size = sum(one["bytes"] for one in about["files"].values())
    assert size < 30_000 + 1_000 * len(trials) + 150 * about["epochs"]
    fingerprint = recording.attrs["hps_data"]["fingerprint"]
    done = [one for one in trials if one.state.is_finished()]
    assert len(done) == recording.count
    epochs = pd.read_parquet(recording.folder / "epochs.parquet")
    assert len(epochs) == about["epochs"]
    last = epochs.groupby("number")["epoch"].max()
    for trial in done:
        row = trial.number
        assert recording.columns["ran_data_fingerprint"][row] == fingerprint
        assert len(recording.columns["ran_git_commit"][row]) >= 40
        if trial.state.name == "COMPLETE":
            assert last[row] == max(trial.intermediate_values, default=last[row])
            assert math.isfinite(trial.value)
    assert len({trial.user_attrs["hps_seed"] for trial in done}) == len(done)
    assert np.all(epochs["seconds"] > 0)
