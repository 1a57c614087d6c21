"""train, predict, lr-find, recommend and interpret of ratings, as a person types them."""

import csv
import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from hpsearch import cli

STUDY = """
name = "mine"
trainer = "collab"
metric = "mse"
direction = "minimize"

[data]
path = "ratings.csv"
user = "person"
item = "film"
rating = "stars"
items = "films.csv"

[space.lr]
low = 1e-3
high = 1e-1
log = true
default = 2e-2

[presets.quick]
trials = 2

[presets.quick.settings]
n_factors = 8
bs = 16
wd = 0.05
"""


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def place(tmp_path_factory, dataset):
    """A folder with ratings.csv, films.csv and study.toml."""
    folder = tmp_path_factory.mktemp("place")
    names = {"user": "person", "item": "film", "rating": "stars"}
    dataset.ratings.rename(columns=names).to_csv(folder / "ratings.csv", index=False)
    dataset.items.rename_axis("film").to_csv(folder / "films.csv")
    (folder / "study.toml").write_text(STUDY)
    (folder / "choices.toml").write_text(
        STUDY.replace('rating = "stars"\n', "").replace('"mse"', '"ndcg"')
    )
    return folder


@pytest.fixture(scope="module")
def hpsearch(place):
    """Types a command line, in this process: importing torch each time takes seconds."""
    patch = pytest.MonkeyPatch()
    patch.setenv("HPSEARCH_HOME", str(place / "home"))
    patch.setenv("COLUMNS", "200")
    patch.chdir(place)

    def call(*arguments):
        out, err = io.StringIO(), io.StringIO()
        patch.setattr("sys.argv", ["hpsearch", *map(str, arguments)])
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            cli.main()
        return Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())

    yield call
    patch.undo()


def train(hpsearch, output, *more, study="study.toml"):
    done = hpsearch("train", study, "--preset", "quick", "--output", output, *more)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def model(place, hpsearch):
    """The folder of a trained model."""
    train(hpsearch, "model")
    return place / "model"


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_predictions_come_in_the_order_of_the_file(place, hpsearch, model):
    done = hpsearch("predict", model, "ratings.csv", "--columns", "--output", "made.csv")
    assert done.returncode == 0, done.stderr
    made = pd.read_csv(place / "made.csv")
    assert made["person"].tolist() == pd.read_csv(place / "ratings.csv")["person"].tolist()
    stated = json.loads((model / "recommender.json").read_text())["facts"]["metrics"]["mse"]
    error = np.square(made["prediction"] - made["stars"]).mean()
    assert error < stated, "four fifths of these were trained on"
    shuffled = made.sample(frac=1, random_state=0)
    shuffled.drop(columns="prediction").to_parquet(place / "shuffled.parquet")
    again = hpsearch("predict", model, "shuffled.parquet")
    found = [float(row["prediction"]) for row in rows(again.stdout)]
    np.testing.assert_allclose(found, shuffled["prediction"], rtol=1e-5)


def test_rows_that_name_nobody_known_are_counted(place, hpsearch, model):
    (place / "odd.csv").write_text("film;person;x\ni1;u1;a\ni1;nobody;b\nnothing;u1;c\n ;u1;d\n")
    done = hpsearch("predict", model, "odd.csv")
    assert [row["prediction"] == "" for row in rows(done.stdout)] == [False, False, False, True]
    assert "1 of 4 rows have a user that the model does not know" in done.stderr
    assert "1 of 4 rows have an item that the model does not know" in done.stderr
    assert "1 of 4 rows lack a user or an item" in done.stderr


def test_a_model_of_choices_predicts_probabilities(hpsearch, place):
    train(hpsearch, "chooser", study="choices.toml")
    done = hpsearch("predict", "chooser", "ratings.csv")
    found = np.array([float(row["probability"]) for row in rows(done.stdout)])
    assert found.min() > 0
    assert found.max() < 1


def test_an_interrupted_training_goes_on_to_the_same_weights(place, hpsearch, model, monkeypatch):
    from hpsearch.training import stages

    save = stages.save_checkpoint

    def save_and_die(folder, models, optimisers, records):
        save(folder, models, optimisers, records)
        if len(records) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(stages, "save_checkpoint", save_and_die)
    begun = ("train", "study.toml", "--preset", "quick", "--output", "again")
    assert hpsearch(*begun).returncode == 130
    monkeypatch.undo()
    done = hpsearch(*begun)
    assert done.returncode == 0, done.stderr
    said = [done.stdout.index(words) for words in ("epoch 3/", "training ...", "epoch 4/")]
    assert said == sorted(said), "the first three are only told again"
    whole, resumed = (load_file(place / f / "weights.safetensors") for f in ("model", "again"))
    assert all(np.array_equal(whole[name], resumed[name]) for name in whole)


def test_the_range_test_draws_its_curve(place, hpsearch):
    done = hpsearch("lr-find", "study.toml", "--preset", "quick", "--output", "curve")
    assert done.returncode == 0, done.stderr
    assert (place / "curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "model", "nowhere.csv"), "nowhere.csv does not exist"),
        (("predict", "model", "films.csv"), "has no column 'person'"),
        (("predict", "model", "study.toml"), "is of no known kind"),
        (("predict", ".", "ratings.csv"), "holds no classifier, tabular model or recommender"),
    ],
)
def test_what_was_asked_wrongly_is_one_sentence(hpsearch, model, arguments, message):
    done = hpsearch(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("Error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
