"""train: which preset and which trial it takes, how much of the data, and what it says of it."""

import io
import json
import shlex

import optuna
import pytest
from rich.console import Console
from tiny_corpus import CLASSIFIER_TOML, LANGUAGE_MODEL_TOML, write_reviews
from tiny_table import STUDY, write_table

import hpsearch
from hpsearch.errors import InputError
from hpsearch.models.stored import preset_that_ran
from hpsearch.models.train import final_settings
from hpsearch.store import Store
from hpsearch.study.spec import load_spec

PRESETS = STUDY + "[presets.cpu]\ntrials = 1\n[presets.full]\ntrials = 1\n"


@pytest.fixture
def said():
    return Console(file=io.StringIO(), width=300)


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HPSEARCH_DEVICE", "cpu")
    write_table(tmp_path)
    (tmp_path / "study.toml").write_text(PRESETS)
    return tmp_path


def test_the_best_trial_is_found_in_the_preset_that_ran(table, said):
    quiet = Console(file=io.StringIO())
    study = hpsearch.run("study.toml", preset="quick", trials=1, console=quiet)
    metrics = hpsearch.train("study.toml", "model", best=True, console=said)
    text = said.file.getvalue()
    assert "preset quick: the one that ran" in text
    assert (
        f"the values of trial 0, the best of mine-quick (accuracy {study.best_value:.4g})" in text
    )
    assert metrics["accuracy"] == study.best_value  # the same seed, values and rows
    baseline = hpsearch.load_study("mine-quick").user_attrs["hps_baseline"]
    assert f"for comparison, {baseline['name']} on the same data" in text
    kept = json.loads((table / "model" / "training.json").read_text())
    assert kept["baseline"] == baseline
    low, high = kept["assessment"]["intervals"]["accuracy"]
    assert low <= metrics["accuracy"] <= high
    assert sum(map(sum, kept["assessment"]["confusion"])) == 40
    card = hpsearch.card("model")
    assert f"{low:.4g} to {high:.4g} | {baseline['metrics']['accuracy']:.4g} |" in card
    assert shlex.join(["train", f"{table}/study.toml", "--preset", "quick", "--best"]) in card


def test_of_several_presets_that_ran_this_machine_s_is_taken_or_none(table, said):
    spec = load_spec("study.toml")
    for others, expected in ((("quick", "full"), None), (("cpu",), "cpu")):
        for preset in others:
            made = optuna.create_study(study_name=f"mine-{preset}", storage="sqlite:///hpsearch.db")
            made.enqueue_trial({})
        with Store.open(None) as store:
            if expected is not None:
                assert preset_that_ran(store, spec, "auto", said) == expected
                continue
            with pytest.raises(InputError, match="presets quick and full: choose one of them"):
                preset_that_ran(store, spec, "auto", said)
            assert preset_that_ran(store, spec, "full", said) == "full"


def test_a_store_without_trials_is_said_to_have_none(table, said):
    optuna.create_study(study_name="another", storage="sqlite:///hpsearch.db")
    with pytest.raises(InputError, match="has no study mine-cpu: run that study first"):
        hpsearch.train("study.toml", "model", best=True, console=said)


def texts(folder, old, new):
    write_reviews(folder / "reviews.csv", 120)
    (folder / "study.toml").write_text(CLASSIFIER_TOML.replace(old, new))


def test_a_final_model_reads_all_texts_and_its_trials_do_not(table, said):
    texts(table, "valid_reviews = 40", "valid_reviews = 40\ntrain_reviews = 30\nepochs = 1")
    spec = load_spec("study.toml")
    some = final_settings(spec, spec.resolve("quick"), {}, ["train_reviews=50"])
    assert some["train_reviews"] == 50
    hpsearch.train("study.toml", "model", preset="quick", console=said)
    assert "96 training and 24 held-out texts of 120" in said.file.getvalue()


def test_a_language_model_that_knows_less_than_word_counts_is_named(table, said):
    worse = LANGUAGE_MODEL_TOML.replace("lr = 0.02", "lr = 1e-9")
    texts(table, LANGUAGE_MODEL_TOML, worse)
    hpsearch.train("study.toml", "model", preset="quick", console=said)
    assert "The language model does not fit these texts: its perplexity is " in said.file.getvalue()
    assert "train it longer or on more texts" in said.file.getvalue()
    better = LANGUAGE_MODEL_TOML.replace("epochs = 1", "epochs = 3")
    texts(table, LANGUAGE_MODEL_TOML, better)
    fits = Console(file=io.StringIO(), width=300)
    hpsearch.train("study.toml", "fine", preset="quick", console=fits)
    assert "does not fit" not in fits.file.getvalue()
