"""Whose code runs: what the user's study file or command names, and nothing that a model, a store
or a data set brings along."""

import json
import subprocess
import sys

import pytest
import sqlalchemy as sa
import torch
from rich.console import Console
from tiny_corpus import CLASSIFIER_TOML, write_reviews
from tiny_table import write_table
from typer.testing import CliRunner

import hpsearch
from hpsearch.cli.app import app
from hpsearch.core import own_code
from hpsearch.errors import InputError
from hpsearch.store import Store
from hpsearch.study.spec import load_spec
from hpsearch.study.trainers import OLD_NAMES, TRAINERS, stored_name
from hpsearch.trainers.text.classifier.saved import (
    SavedClassifier,
    build_classifier,
    save_classifier,
)
from hpsearch.trainers.text.config import ClassifierConfig, LanguageModelConfig
from hpsearch.trainers.text.language_model import files as lm
from hpsearch.trainers.text.networks.awd_lstm import AWDLSTM, Dropouts
from hpsearch.trainers.text.tokens.tokenizer import SPECIALS, Tokenizer
from hpsearch.trainers.text.tokens.vocab import Vocab

VOCAB = Vocab((*SPECIALS, *"abcdefg"))
SPLIT = """
import pathlib
pathlib.Path(__file__).with_name("ran").touch()
def split(text):
    return text.split()
"""


@pytest.fixture(autouse=True)
def clean(tmp_path, monkeypatch):
    """Nothing is allowed yet, and what is imported here is forgotten."""
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HPSEARCH_DEVICE", "cpu")
    monkeypatch.setattr(own_code, "_folders", {})
    monkeypatch.setattr(own_code, "_shown", set())
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield
    for name in ("mine", "model", "model.tok", "lm", "lm.tok", "made_in_a_hurry"):
        if name not in before:
            sys.modules.pop(name, None)


def write_classifier(folder, tokenizer):
    encoder = AWDLSTM(len(VOCAB), 6, 8, 2, Dropouts(0, 0, 0, 0, 0))
    encoder.init_weights(torch.Generator().manual_seed(0))
    model = build_classifier(config := ClassifierConfig(seq_len=16), encoder, 2)
    model.head.init_weights(torch.Generator().manual_seed(0))
    saved = SavedClassifier([model], [False], [(6, 8, 2)], VOCAB, ("n", "y"), tokenizer, config)
    save_classifier(folder, saved)


def write_language_model(folder, tokenizer):
    folder.mkdir()
    config = LanguageModelConfig(emb=6, hidden=8, layers=2)
    model = lm.new_language_model(config, len(VOCAB))
    lm.save_language_model(folder, lm.SavedLanguageModel(model, VOCAB, config, tokenizer))


def command(folder, *arguments):
    """(exit status, standard output, standard error) of a command that is typed in the folder."""
    program = [sys.executable, "-P", "-c", "from hpsearch.cli.app import main; main()", *arguments]
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True, timeout=200)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("name", "typed"),
    [("model", ("predict", "model", "texts.txt")), ("lm", ("generate", "./lm", "a"))],
)
def test_a_models_folder_brings_no_code_along(tmp_path, monkeypatch, name, typed):
    """`predict` and `generate` imported model/tok.py, as the model's JSON named it."""
    write = write_classifier if name == "model" else write_language_model
    write(tmp_path / name, f"{name}.tok:split")
    (tmp_path / "texts.txt").write_text("a b\nc\n")
    (tmp_path / name / "tok.py").write_text(SPLIT)
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(app, typed)
    assert isinstance(refused.exception, InputError)
    assert f"needs the function {name}.tok:split" in str(refused.exception)
    assert "\n" not in str(refused.exception)
    assert not (tmp_path / name / "ran").exists()
    trusted = CliRunner().invoke(app, [*typed, "--trust-code"])
    assert trusted.exit_code == 0
    assert trusted.stdout
    assert f"imported from {tmp_path / name / 'tok.py'}." in trusted.stderr
    assert (tmp_path / name / "ran").exists()


def test_the_api_trusts_when_it_is_told(tmp_path, monkeypatch):
    write_classifier(tmp_path / "model", "model.tok:split")
    (tmp_path / "model" / "tok.py").write_text(SPLIT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # whatever can be imported: it is not
    with pytest.raises(InputError, match="trust_code=True"):
        hpsearch.load_classifier(tmp_path / "model")
    assert not (tmp_path / "model" / "ran").exists()
    loaded = hpsearch.load_classifier(tmp_path / "model", trust_code=True)
    assert loaded.predict(["a b"]).shape == (1, 2)


def test_a_model_is_loaded_where_the_users_study_names_the_same_function(tmp_path):
    (tmp_path / "mine.py").write_text(SPLIT)
    write_classifier(tmp_path / "model", "mine:split")
    with pytest.raises(InputError, match="--trust-code"):
        hpsearch.load_classifier(tmp_path / "model")
    (tmp_path / "study.toml").write_text(
        CLASSIFIER_TOML.replace('"reviews.csv"', '"reviews.csv", tokenizer = "mine:split"')
    )
    load_spec(tmp_path / "study.toml")
    assert hpsearch.load_classifier(tmp_path / "model").predict(["a b"]).shape == (1, 2)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("os:system", "is of Python's own library"),
        ("posix:system", "is of Python's own library"),
        ("subprocess:getoutput", "is of Python's own library"),
        ("importlib.util:find_spec", "is of Python's own library"),
        ("builtins:eval", "is of Python's own library"),
        ("mine:system", "has no function of that name, but a builtin_function_or_method"),
        ("mine:getoutput", "is a function of Python's own library"),
        ("mine:Popen", "has no function of that name, but a type"),
        ("mine:thing", "has no function of that name, but a Thing"),
        ("mine:half", "has no function of that name, but a partial"),
        ("made_in_a_hurry:split", "cannot be imported: it is neither in"),
        ("sympy:sympify", "is of an installed package"),  # it evaluates a text
        ("typer:launch", "is of an installed package"),  # it opens a URL
        ("hpsearch.study.spec:load_spec", "is of an installed package"),
        ("numpy._core._multiarray_umath:dot", "is no Python file of somebody's own"),
    ],
)
def test_a_strangers_study_runs_no_text_as_a_command(tmp_path, name, problem):
    """`tokenizer = "os:system"` ran the texts of a CSV in a shell in `data show`."""
    (tmp_path / "mine.py").write_text(
        "from functools import partial\nfrom os import system\n"
        "from subprocess import Popen, getoutput\n"
        "class Thing:\n    __call__ = staticmethod(system)\n"
        "thing, half = Thing(), partial(system)\n"
    )
    own_code.allow(name, tmp_path)
    with pytest.raises(InputError, match=problem) as caught:
        Tokenizer(name).tokens(f"touch {tmp_path / 'ran'}")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_data_show_says_what_it_imports_before_it_does(tmp_path):
    (tmp_path / "mine.py").write_text("print('mine runs')\ndef split(text):\n    return [text]\n")
    (tmp_path / "reviews.csv").write_text("text,label\ngood,1\nbad,0\n" * 10)
    (tmp_path / "elsewhere").mkdir()
    for tokenizer, status, said in (
        ("mine:split", 0, "The tokenizer mine:split is imported from"),
        ("os:system", 2, "is of Python's own library"),
    ):
        (tmp_path / "study.toml").write_text(
            CLASSIFIER_TOML.replace('"reviews.csv"', f'"reviews.csv", tokenizer = "{tokenizer}"')
        )
        done = subprocess.run(
            [sys.executable, "-u", "-P", "-c", "from hpsearch.cli.app import main; main()",
             "data", "show", "../study.toml"],
            cwd=tmp_path / "elsewhere", text=True, timeout=200,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == status, done.stdout
        assert said in done.stdout.splitlines()[0]
    assert not (tmp_path / "elsewhere" / "mine.py").exists()


def test_what_nobody_allowed_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(SPLIT)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="neither your study file nor your command names"):
        Tokenizer("mine:split")
    assert not (tmp_path / "ran").exists()


def test_workers_use_the_function_beside_the_study(tmp_path):
    """Two processes, in another folder, whose own mine.py is not it."""
    write_reviews(tmp_path / "reviews.csv", 120)
    (tmp_path / "mine.py").write_text(SPLIT)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.py").write_text("raise SystemExit('not this one')")
    (tmp_path / "study.toml").write_text(
        CLASSIFIER_TOML.replace('"reviews.csv"', '"reviews.csv", tokenizer = "mine:split"')
    )
    typed = ("run", "../study.toml", "--preset", "quick", "--trials", "2", "--workers", "2")
    status, out, err = command(tmp_path / "elsewhere", *typed)
    assert status == 0, out + err
    assert "2 complete" in out
    assert err.count("is imported from") == 1
    assert (tmp_path / "ran").exists()


@pytest.fixture
def open_run(tmp_path):
    """A store with a run of a table's study that has a waiting trial, as one leaves it that is at
    work on another machine; yields (store, set_trainer)."""
    write_table(tmp_path)
    storage = f"sqlite:///{tmp_path / 'store.db'}"
    hpsearch.run(tmp_path / "study.toml", trials=2, preset="quick", storage=storage)
    with Store.open(storage) as store:

        def say(trainer):
            with store.engine.begin() as connection:
                query = sa.text("SELECT job FROM hps_run")
                job = json.loads(connection.execute(query).scalar_one())
                for text, values in (
                    ("UPDATE hps_run SET outcome = NULL, ended_at = NULL, job = :job",
                     {"job": json.dumps({**job, "trainer": trainer})}),
                    ("UPDATE trials SET state = 'WAITING' WHERE number = 1", {}),
                    ("DELETE FROM trial_values WHERE trial_id = 2", {}),
                ):  # fmt: skip
                    connection.execute(sa.text(text), values)

        yield store, say


def test_a_worker_imports_no_trainer_that_the_store_names(open_run, tmp_path, monkeypatch):
    store, say = open_run
    (tmp_path / "made_in_a_hurry.py").write_text(SPLIT)
    monkeypatch.syspath_prepend(tmp_path)
    for trainer in ("made_in_a_hurry", "os", "collab", "hpsearch.collab.train", 5, None):
        say(trainer)
        with pytest.raises(InputError, match="is trained by") as caught:
            hpsearch.join(tmp_path / "study.toml", storage=store.secret_url, workers=2, wait=0)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "ran").exists()
    assert store.studies()[0].counts == {"complete": 1, "waiting": 1}


def test_a_run_of_an_earlier_version_is_joined(open_run, tmp_path):
    store, say = open_run
    with store.engine.connect() as connection:
        job = json.loads(connection.execute(sa.text("SELECT job FROM hps_run")).scalar_one())
    assert job["trainer"] == "tabular"
    say("hpsearch.tabular.trainer")
    hpsearch.join(tmp_path / "study.toml", storage=store.secret_url, workers=1, wait=0)
    assert store.studies()[0].counts == {"complete": 2}


def test_the_old_names_of_all_trainers_are_known():
    assert {stored_name(old) for old in OLD_NAMES} == set(TRAINERS)
    assert {stored_name(name) for name in TRAINERS} == set(TRAINERS)


def test_the_import_of_a_module_of_another_folder_is_one_sentence(tmp_path):
    """Two studies of one process, each with a mine.py."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(SPLIT)
    own_code.allow("mine:split", tmp_path / "one")
    assert Tokenizer("mine:split").tokens("a b") == ["xxbos", "a", "b"]
    sys.path.remove(str(tmp_path / "one"))
    own_code.allow("mine:split", tmp_path / "two")
    with pytest.raises(InputError, match="has imported another module mine already"):
        Tokenizer("mine:split")
    assert not (tmp_path / "two" / "ran").exists()


def test_a_store_that_names_a_function_has_nothing_imported(tmp_path, monkeypatch):
    """Only who ran the function himself, from that folder, may verify it by the study's name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\ndef f(x): return x\n"
    )
    quiet = Console(quiet=True)
    hpsearch.run("mine:f", space={"x": hpsearch.Float(0, 1)}, trials=2, console=quiet)
    (tmp_path / "ran").unlink()
    sys.modules.pop("mine")
    own_code._folders.clear()
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "of-somebody-else"))
    with pytest.raises(InputError, match="give the path of that file"):
        hpsearch.verify("mine.f", param="x", value=0.1, against=0.9, console=quiet)
    hpsearch.explain("mine.f")
    assert not (tmp_path / "ran").exists()
