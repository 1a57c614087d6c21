"""From a study of language models to a classifier on the best of them, and the whole pipeline."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from tiny_corpus import CLASSIFIER_TOML, LANGUAGE_MODEL_STUDY, write_reviews

import hpsearch
from hpsearch.errors import InputError
from hpsearch.store import Store

LM_SPACE = """
[space.lm_epochs]
type = "int"
low = 1
high = 2
default = 2
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies")
    write_reviews(folder / "reviews.csv", 200)
    made = {
        "lm.toml": LANGUAGE_MODEL_STUDY,
        "clas.toml": CLASSIFIER_TOML,
        "ulmfit.toml": CLASSIFIER_TOML.replace("text-classifier", "ulmfit") + LM_SPACE,
    }
    for name, text in made.items():
        (folder / name).write_text(text)
    return folder


def run(place, name, storage, **options):
    return hpsearch.run(
        place / name,
        preset="quick",
        storage=storage,
        console=Console(file=io.StringIO()),
        **options,
    )


def test_a_classifier_builds_on_the_best_language_model_and_remembers_it(place, tmp_path):
    storage = f"sqlite:///{tmp_path}/s.db"
    with pytest.raises(InputError, match="hpsearch run imdb-lm"):
        run(place, "clas.toml", storage, language_model="best")
    models = run(place, "lm.toml", storage, trials=3)
    with Store.open(storage) as store:
        kept = store.artifacts("tiny-lm-quick")
        epochs = store.epochs("tiny-lm-quick")
    assert kept[-1]["trial_id"] == models.best_trial._trial_id
    assert all((Path(row["path"]) / "model.safetensors").is_file() for row in kept)
    others = {str(t.number) for t in models.trials} - {Path(row["path"]).name for row in kept}
    assert not any((Path(kept[0]["path"]).parent / number).exists() for number in others)
    assert all(0 < row["metrics"]["accuracy"] < 1 for row in epochs)
    study = run(place, "clas.toml", storage, trials=1, language_model="best")
    chosen = study.user_attrs["hps_settings"]["language_model"]
    assert chosen["pretrained"] == kept[-1]["path"]
    assert chosen["epochs"] == 0
    again = run(place, "clas.toml", storage, trials=1)  # without being told
    assert len(again.trials) == 2
    with pytest.raises(InputError, match="changed since its first trials"):
        run(place, "clas.toml", storage, trials=1, language_model=kept[0]["path"] + "/")


def test_the_whole_pipeline_shares_language_models_with_equal_settings(place, tmp_path):
    storage = f"sqlite:///{tmp_path}/s.db"
    study = run(place, "ulmfit.toml", storage, trials=4)
    for trial in study.trials:
        lm_epochs = trial.params["lm_epochs"]
        # The epochs of the language model give no accuracy, so they are not steps for Optuna.
        assert min(trial.intermediate_values) == lm_epochs + 1
    with Store.open(storage) as store:
        epochs = store.epochs("tiny-clas-quick")
    seen = {}
    for row in epochs:
        if row["stage"] == "lm":
            trial = study.trials[row["number"]]
            key = (trial.params["lm_epochs"], row["epoch"])
            seen.setdefault(key, set()).add(row["valid_loss"])
    assert len(seen) >= 2
    assert all(len(losses) == 1 for losses in seen.values())  # the same model, bit for bit


def test_a_final_model_of_the_whole_pipeline_is_a_classifier_like_any_other(place, tmp_path):
    metrics = hpsearch.train(
        place / "ulmfit.toml", tmp_path / "model", preset="quick", params={"lm_epochs": 1},
        console=Console(file=io.StringIO()),
    )  # fmt: skip
    assert metrics["lm_perplexity"] > 1
    saved = hpsearch.load_classifier(tmp_path / "model")
    assert saved.predict(["w1 good w2", "w3 bad"]).shape == (2, 2)


def test_a_study_without_a_language_model_refuses_one(place, tmp_path):
    with pytest.raises(InputError, match="takes none"):
        run(place, "lm.toml", f"sqlite:///{tmp_path}/s.db", language_model="best")
