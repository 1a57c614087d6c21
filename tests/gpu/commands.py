"""Every command once on the GPU, on made-up data: it ends well, and did it on the device asked for.

The commands run in this process, one after the other, so that torch is loaded once; workers of
their own are started by `run --workers 2` and by `worker`.
"""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from gpu.made_up import write_studies
from gpu.measure import DEVICE, each, keep
from tiny_corpus import LANGUAGE_MODEL

from hpsearch.cli import app
from hpsearch.store import Store

PLACE = Path(tempfile.mkdtemp(prefix="hpsearch-gpu-commands-"))
STORE = f"sqlite:///{PLACE}/store.db"


def command(*arguments, store=True):
    """What `hpsearch ARGUMENTS` prints. Raises AssertionError with it where it fails."""
    arguments = [str(one) for one in arguments]
    if store:
        arguments += ["--storage", STORE]
    printed = io.StringIO()
    before, sys.argv = sys.argv, ["hpsearch", *arguments]
    status = 0
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            app.main()
    except SystemExit as ended:
        status = ended.code or 0
    finally:
        sys.argv = before
    text = printed.getvalue()
    assert not status, f"hpsearch {' '.join(arguments)} ended with {status}: {text[-1500:]}"
    return text


def check(what):
    """Keeps whether a piece of work ends well, and goes on with the next."""

    def wrap(work):
        def piece():
            try:
                work()
            except BaseException as error:
                told = " ".join(f"{type(error).__name__}: {error}".split())
                keep(what, held=False, note=told[-300:])
                raise
            keep(what, held=True)

        piece.__name__ = work.__name__
        PIECES.append(piece)
        return work

    return wrap


PIECES = []


def devices_of(study):
    """The devices that the trials of a study ran on, as recorded."""
    with Store.open(STORE) as store:
        return {str(row["device"]).split(":")[0] for row in store.trials(study)}


def run(name, *options, preset="quick"):
    """What a run of the study prints."""
    return command("run", PLACE / f"{name}.toml", "--preset", preset, *options)


@check("run: classifier, with pruning")
def run_classifier():
    run("clas", "--trials", 6, "--pruner", "hyperband", "--workers", 1)
    assert devices_of("tiny-clas-quick") == {DEVICE}, devices_of("tiny-clas-quick")


@check("run: two workers")
def run_two():
    run("clas", "--trials", 4, "--workers", 2)


@check("run: language models; a classifier on the best of them")
def run_language_models():
    run("lm", "--trials", 3, "--workers", 1)
    assert devices_of("tiny-lm-quick") == {DEVICE}
    text = (PLACE / "clas.toml").read_text().replace("tiny-clas", "tiny-on-best")
    (PLACE / "best.toml").write_text(text)
    run("best", "--trials", 1, "--language-model", "best", "--workers", 1)


@check("run: language model and classifier together")
def run_ulmfit():
    run("ulmfit", "--trials", 2, "--workers", 1)


@check("run: a table, many trials at a time")
def run_table():
    run("table", "--trials", 16)
    assert devices_of("tiny-table-quick") == {DEVICE}


@check("run: ratings, many trials at a time")
def run_ratings():
    run("ratings", "--trials", 8)
    assert devices_of("tiny-ratings-quick") == {DEVICE}


@check("worker joins a run")
def join():
    commands = [
        [sys.executable, "-m", "hpsearch", *words, str(PLACE / "clas.toml"), "--preset", "quick",
         "--storage", STORE, "--workers", "1"]
        for words in (["run", "--trials", "8", "--pruner", "none"], ["worker"])
    ]  # fmt: skip
    processes = [
        subprocess.Popen(one, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for one in commands
    ]
    for process in processes:
        text = process.communicate(timeout=80)[0]
        assert process.returncode == 0, text[-1500:]
    assert devices_of("tiny-clas-quick") == {DEVICE}


@check("verify")
def verify():
    text = command(
        "verify", PLACE / "clas.toml", "--param", "lr", "--value", 0.05, "--against", 0.001,
        "--pairs", 2, "--preset", "quick",
    )  # fmt: skip
    assert re.search("confirmed|refuted|inconclusive", text, re.IGNORECASE), text


@check("train --trial: a trial again, to the bit")
def again():
    text = command(
        "train", PLACE / "clas.toml", "--preset", "quick", "--trial", 0, "--output", PLACE / "zero"
    )
    assert "came out the same again" in text, text


def train(name, output, *sets):
    """Train a final model, and see that it was done on this device."""
    options = [word for one in sets for word in ("--set", one)]
    command(
        "train", PLACE / f"{name}.toml", "--preset", "quick", "--output", PLACE / output, *options,
        store=False,
    )  # fmt: skip
    found = json.loads((PLACE / output / "training.json").read_text())
    assert found["device"].split(":")[0] == DEVICE, found["device"]


@check("train: both directions, bfloat16; predict")
def both_directions():
    train("clas", "both", "bidirectional=true", "precision=bfloat16")
    predict("both", "reviews.csv", 300)


@check("train: float32; predict")
def float32():
    train("clas", "float32", "precision=float32")
    predict("float32", "reviews.csv", 300)


@check("train: a table; predict")
def train_table():
    train("table", "tabular")
    predict("tabular", "table.csv", 600)


@check("train: ratings; predict; recommend")
def train_ratings():
    train("ratings", "recommender")
    ratings = len(pd.read_csv(PLACE / "ratings.csv"))
    predict("recommender", "ratings.csv", ratings)
    command("recommend", PLACE / "recommender", "--user", 3, store=False)


def predict(model, file, n):
    out = PLACE / f"{model}.csv"
    command("predict", PLACE / model, PLACE / file, "--output", out, store=False)
    assert len(pd.read_csv(out)) == n


@check("pretrain; generate")
def pretrain():
    small = [word for key, value in LANGUAGE_MODEL.items() for word in ("--set", f"{key}={value}")]
    name = f"tiny-{os.getpid()}"
    command("pretrain", PLACE / "reviews.csv", "--name", name, *small, store=False)
    command("generate", name, "good", "--tokens", 5, store=False)


@check("lr-find: classifier, language model, table, ratings")
def lr_find():
    for name in ("clas", "lm", "table", "ratings"):
        command("lr-find", PLACE / f"{name}.toml", "--preset", "quick", "--output",
                PLACE / f"lr-{name}", store=False)  # fmt: skip


if __name__ == "__main__":
    os.environ.setdefault("COLUMNS", "200")
    write_studies(PLACE)
    each(*PIECES)
