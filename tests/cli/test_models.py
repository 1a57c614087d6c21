"""train, predict, pretrain, generate and lr-find as a person types them, on a tiny corpus."""

import csv
import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from tiny_corpus import LANGUAGE_MODEL_TOML, write_reviews

from hpsearch.cli import app

STUDY = """
name = "tiny"
trainer = "text-classifier"
metric = "accuracy"
direction = "maximize"

[data]
path = "{path}"
split = "split"

[settings]
valid_reviews = 40
seq_len = 8

[settings.language_model]
{language_model}

[space.lr]
low = 1e-3
high = 1e-1
log = true
default = 5e-2

[space.epochs]
type = "int"
low = 1
high = 4
default = 2

[presets.quick]
trials = 2

[presets.quick.settings]
bs = 16
lr_decay = 1.2
drop_mult = 0.2
unfreeze = false
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with reviews.csv (240 training and 60 test texts), study.toml and its own cache."""
    folder = tmp_path_factory.mktemp("place")
    write_reviews(folder / "reviews.csv", 240, 60)
    study = STUDY.format(path=folder / "reviews.csv", language_model=LANGUAGE_MODEL_TOML)
    (folder / "study.toml").write_text(study)
    return folder


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def hpsearch(place):
    """Types a command line, in this process: importing torch each time takes seconds."""
    patch = pytest.MonkeyPatch()
    patch.setenv("HPSEARCH_HOME", str(place / "home"))
    patch.setenv("HPSEARCH_STORAGE", f"sqlite:///{place}/store.db")
    patch.setenv("COLUMNS", "200")
    patch.chdir(place)

    def call(*arguments, stdin=""):
        out, err = io.StringIO(), io.StringIO()
        patch.setattr("sys.argv", ["hpsearch", *map(str, arguments)])
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            app.main()
        return Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())

    yield call
    patch.undo()


@pytest.fixture(scope="module")
def model(place, hpsearch):
    """The folder of a trained classifier."""
    done = hpsearch("train", "study.toml", "--preset", "quick", "--output", "model")
    assert done.returncode == 0, done.stderr
    assert "test_accuracy" in done.stdout
    return place / "model"


def test_a_trained_model_is_measured_on_the_test_texts(model):
    facts = json.loads((model / "classifier.json").read_text())["facts"]
    assert facts["training_texts"] == 240  # none held out: there are test texts
    assert facts["test_texts"] == 60
    assert facts["test_metrics"]["accuracy"] > 0.9
    assert not (model / "checkpoint").exists()


def test_predictions_come_in_the_order_of_the_file_with_probabilities(place, hpsearch, model):
    done = hpsearch("predict", model, "reviews.csv", "--output", "predicted.csv", "--columns")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(place / "predicted.csv")
    assert len(table) == 300
    assert (table["prediction"] == table["label"]).mean() > 0.9
    assert table[["p(neg)", "p(pos)"]].sum(axis=1).to_numpy() == pytest.approx(np.ones(300))
    assert table["probability"].to_numpy() == pytest.approx(
        table[["p(neg)", "p(pos)"]].max(axis=1).to_numpy()
    )


def test_lines_of_standard_input_are_predicted_and_empty_ones_are_not(hpsearch, model):
    done = hpsearch("predict", model, "-", stdin="w1 w2 good w3\n\nw4 bad w5\n")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "prediction,probability,p(neg),p(pos),reason"
    assert [line.split(",")[0] for line in lines[1:]] == ["pos", "", "neg"]
    assert [bool(line.split(",")[-1]) for line in lines[1:]] == [False, True, False]
    assert "1 of 3 rows have no text" in done.stderr


def test_cells_are_read_as_in_training_and_other_columns_stay_as_they_were(place, hpsearch, model):
    content = "id;text;note\n007;w1 good, w2;x\n008;NA;\n009;  ;y\n"
    (place / "cells.csv").write_text(content, encoding="utf-8")
    done = hpsearch("predict", model, "cells.csv", "--columns")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["id"] for row in rows] == ["007", "008", "009"]
    assert [row["text"] for row in rows] == ["w1 good, w2", "NA", "  "]
    assert rows[0]["prediction"] == "pos"
    assert [row["prediction"] == "" for row in rows] == [False, False, True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "nowhere", "reviews.csv"), "holds no classifier"),
        (("predict", "model", "nowhere.csv"), "does not exist"),
        (("predict", "model", "reviews.csv", "--text", "body"), "no column 'body'"),
        (("train", "study.toml", "--output", "x", "--set", "epoch=3"), "epoch"),
        (("train", "study.toml", "--output", "x", "--set", "epochs"), "key=value"),
        (("train", "study.toml", "--output", "model", "--preset", "quick"), "finished model"),
        (("train", "study.toml", "--output", ".", "--preset", "quick"), "other files"),
        (("train", "study.toml", "--output", "x", "--best"), "no store"),
        (("pretrain", "nowhere", "--name", "x"), "does not exist"),
        (("pretrain", "reviews.csv", "--name", "a/b"), "not a name"),
        (("pretrain", "empty.txt", "--name", "x"), "holds no text"),
        (("pretrain", "rare.txt", "--name", "x"), "No token occurs"),
        (("pretrain", "reviews.csv", "--name", "x", "--tokenizer", "klingon"), "klingon"),
        (("pretrain", "reviews.csv", "--name", "x", "--set", "embs=3"), "emb"),
        (("generate", "nowhere", "A film"), "nowhere"),
    ],
)
def test_what_was_asked_wrongly_is_one_sentence(place, hpsearch, model, arguments, message):
    (place / "empty.txt").write_text("\n\n  \n")
    (place / "rare.txt").write_text("one two three\n\nfour five six\n\nseven eight nine")
    done = hpsearch(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr


def test_a_pretrained_model_serves_a_study_and_writes_texts(place, hpsearch):
    done = hpsearch(
        "pretrain", "reviews.csv", "--name", "tiny", "--set", "emb=16", "--set", "hidden=16",
        "--set", "min_freq=1", "--set", "bs=8", "--set", "seq_len=10", "--set", "epochs=1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (place / "home/models/tiny/model.safetensors").is_file()
    again = hpsearch("pretrain", "reviews.csv", "--name", "tiny")
    assert again.returncode == 2
    assert "another --name" in again.stderr
    trained = hpsearch(
        "train", "study.toml", "--preset", "quick", "--language-model", "tiny",
        "--output", "on-tiny", "--set", "epochs=1",
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    made = hpsearch("generate", "tiny", "w1 w2", "--tokens", "8", "--temperature", "1.1")
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("w1 w2")
    repeated = hpsearch("generate", "tiny", "w1 w2", "--tokens", "8", "--temperature", "1.1")
    assert repeated.stdout == made.stdout


def test_a_bidirectional_model_averages_both_and_survives_its_files(place, hpsearch):
    done = hpsearch(
        "train", "study.toml", "--preset", "quick", "--set", "bidirectional=true",
        "--output", "both",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "backward_accuracy" in done.stdout
    assert {p.name for p in (place / "both").iterdir()} >= {
        "forward.safetensors",
        "backward.safetensors",
    }
    predicted = hpsearch("predict", "both", "-", stdin="w1 w2 good w3\nw4 bad w5\n")
    assert [line.split(",")[0] for line in predicted.stdout.splitlines()[1:]] == ["pos", "neg"]


def test_several_text_columns_are_fields_in_training_and_in_prediction(place, hpsearch):
    rows = list(csv.DictReader((place / "reviews.csv").read_text().splitlines()))
    with (place / "two.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["title", "body", "label", "split"])
        for row in rows:
            first, _, rest = row["text"].partition(" ")
            writer.writerow([first, rest, row["label"], row["split"]])
    study = (place / "study.toml").read_text().replace("reviews.csv", "two.csv")
    study = study.replace("[data]", '[data]\ntext = ["title", "body"]')
    (place / "two.toml").write_text(study)
    done = hpsearch("train", "two.toml", "--preset", "quick", "--output", "two")
    assert done.returncode == 0, done.stderr
    assert "xxfld" in (place / "two/vocab.json").read_text()
    done = hpsearch("predict", "two", "two.csv", "--columns", "--output", "two-predicted.csv")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(place / "two-predicted.csv")
    test = table[table["split"] == "test"]
    stated = json.loads((place / "two/classifier.json").read_text())["facts"]["test_metrics"]
    assert (test["prediction"] == test["label"]).mean() == pytest.approx(stated["accuracy"])
    one = hpsearch("predict", "two", "reviews.csv")
    assert one.returncode == 2
    assert "no column 'title'" in one.stderr


def test_an_interrupted_training_goes_on_and_another_command_does_not(
    place, hpsearch, model, monkeypatch
):
    from hpsearch.trainers.shared import stages

    save = stages.save_checkpoint

    def save_and_die(folder, models, optimisers, records):
        save(folder, models, optimisers, records)
        if len(records) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(stages, "save_checkpoint", save_and_die)
    begun = ("train", "study.toml", "--preset", "quick", "--output", "again")
    assert hpsearch(*begun).returncode == 130
    monkeypatch.undo()
    other = hpsearch(*begun, "--seed", "1")
    assert other.returncode == 2
    assert "other seed" in other.stderr
    done = hpsearch(*begun)
    assert done.returncode == 0, done.stderr
    facts = [
        json.loads((place / folder / "classifier.json").read_text())["facts"]
        for folder in ("again", "model")
    ]
    assert facts[0]["metrics"] == facts[1]["metrics"]
    assert facts[0]["train_loss"] == facts[1]["train_loss"]


def test_the_learning_rate_finder_suggests_rates_and_draws_them(place, hpsearch):
    done = hpsearch("lr-find", "study.toml", "--preset", "quick", "--output", "curve")
    assert done.returncode == 0, done.stderr
    assert "valley" in done.stdout
    assert (place / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert "<html" in (place / "curve.html").read_text()[:2000].lower()
