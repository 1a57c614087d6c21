"""A preset whose pretrained language model is not here: it trains one from nothing, says so, and
its study goes on as it began."""

import io

import pytest
import sqlalchemy as sa
from calls import join
from rich.console import Console
from tiny_corpus import CLASSIFIER_TOML, LANGUAGE_MODEL, write_reviews

import hpsearch
from hpsearch.cli import tables
from hpsearch.data.named.download import Archive
from hpsearch.errors import HpsearchError, InputError
from hpsearch.models.train import TrainOptions, train_final
from hpsearch.store import Store
from hpsearch.store.queue import queue, runs
from hpsearch.store.sources import open_source
from hpsearch.store.tables import schema
from hpsearch.study.spec import load_spec
from hpsearch.trainers.text.config import LanguageModelConfig
from hpsearch.trainers.text.language_model import pretrained
from hpsearch.trainers.text.language_model.files import (
    SavedLanguageModel,
    new_language_model,
    save_language_model,
)
from hpsearch.trainers.text.tokens.tokenizer import SPECIALS
from hpsearch.trainers.text.tokens.vocab import Vocab

STUDY = (
    CLASSIFIER_TOML.split("[settings.language_model]")[0]
    + """
[settings.language_model]
max_vocab = 60
min_freq = 1
bs = 8
seq_len = 10

[space.lr]
low = 1e-3
high = 1e-1
log = true
default = 5e-2

[presets.full]
trials = 2
settings = { language_model = { pretrained = "wikitext-103", epochs = 1, lr = 1e-3 } }

[presets.full.from_scratch]
settings = { language_model = { emb = 16, hidden = 16, layers = 2, epochs = 2, lr = 2e-2 } }
space = { lr = { default = 3e-2 } }
"""
)
FAR_AWAY = "the language model is trained from scratch"


@pytest.fixture(autouse=True)
def no_network(tmp_path, monkeypatch):
    """No cache, no HPSEARCH_DATA, and nobody who answers."""
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HPSEARCH_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    for way, name in ((False, "wt103-fwd.tgz"), (True, "wt103-bwd.tgz")):
        nobody = Archive(f"http://127.0.0.1:9/{name}", 10, "0" * 32)
        monkeypatch.setitem(pretrained.PUBLISHED, way, nobody)


@pytest.fixture
def study(tmp_path):
    write_reviews(tmp_path / "reviews.csv", 120, 30)
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path / "study.toml"


@pytest.fixture
def wikitext(tmp_path, monkeypatch):
    """Calling it puts a small model into HPSEARCH_DATA under the name of fast.ai's."""

    def bring():
        vocab = Vocab((*SPECIALS, "good", "bad"))
        config = LanguageModelConfig(**{**LANGUAGE_MODEL, "emb": 12, "seed": 3})
        model = new_language_model(config, len(vocab))
        saved = SavedLanguageModel(model, vocab, config, "en")
        folder = tmp_path / "data" / "wt103-fwd"
        folder.mkdir(parents=True)
        save_language_model(folder, saved)
        monkeypatch.setenv("HPSEARCH_DATA", str(tmp_path / "data"))

    return bring


def run(study, storage, **options):
    """The study after a run, and what was printed."""
    console = Console(file=io.StringIO(), width=1000)
    found = hpsearch.run(study, preset="full", storage=storage, console=console, **options)
    return found, console.file.getvalue()


def test_without_the_file_a_study_starts_from_nothing_and_goes_on_so(study, tmp_path, wikitext):
    storage = f"sqlite:///{tmp_path}/s.db"
    found, said = run(study, storage, trials=1)
    lines = [line for line in said.splitlines() if FAR_AWAY in line]
    assert len(lines) == 1
    assert "no wikitext-103 (forward) here, and 127.0.0.1 cannot be reached" in lines[0]
    settings = found.user_attrs["hps_settings"]["language_model"]
    assert "pretrained" not in settings
    assert (settings["epochs"], settings["lr"], settings["emb"]) == (2, 2e-2, 16)
    assert found.user_attrs["hps_defaults"]["lr"] == 3e-2
    assert found.trials[0].params["lr"] == 3e-2
    wikitext()  # the same study goes on as it began, with the file at hand
    found, said = run(study, storage, trials=1)
    assert len(found.trials) == 2
    assert FAR_AWAY not in said
    with open_source(storage) as source:
        console = Console(file=io.StringIO(), width=200)
        console.print(tables.trials_so_far(source, load_spec(study)))
    assert "trained from scratch" in console.file.getvalue()


def test_with_the_file_it_starts_from_it_and_goes_on_so(study, tmp_path, wikitext, monkeypatch):
    storage = f"sqlite:///{tmp_path}/s.db"
    wikitext()
    found, said = run(study, storage, trials=1)
    assert FAR_AWAY not in said
    assert "of the vocabulary before" in said
    assert found.user_attrs["hps_settings"]["language_model"]["pretrained"] == "wikitext-103"
    assert found.trials[0].params["lr"] == 5e-2
    # On a machine without it the study cannot be gone on with, rather than with other models.
    monkeypatch.delenv("HPSEARCH_DATA")
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "another"))
    with pytest.raises(HpsearchError, match=r"bring wt103-fwd\.tgz"):
        run(study, storage, trials=1)


def test_a_worker_on_another_machine_does_as_the_run(study, tmp_path, wikitext, monkeypatch):
    storage = f"sqlite:///{tmp_path}/s.db"
    run(study, storage, trials=1)
    with Store.open(storage) as store:  # another run, whose own workers never come
        ref = store.studies()[0].ref
        with store.engine.connect() as connection:
            job = connection.execute(sa.select(schema.run.c.job)).scalar_one()
        run_id = store.start_run(
            ref, trials=1, workers=1, engine="local", machine="m", host="h", pid=1
        )
        runs.keep_job(store.engine, ref, run_id, job)
        space = load_spec(study).resolve("full").distributions
        plan = [queue.Planned("design", 7, {"lr": 0.01})]
        queue.enqueue(store.engine, ref, run_id, space, lambda first: plan)
    wikitext()
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "another"))
    console = Console(file=io.StringIO(), width=1000)
    join(load_spec(study), storage=storage, preset="full", workers=1, console=console)
    said = console.file.getvalue()
    assert "joined run 2 of 1 trials" in said
    assert FAR_AWAY not in said
    assert "vocabulary before" not in said
    with Store.open(storage) as store:
        assert store.studies()[0].finished == 2


@pytest.mark.parametrize("name", ["wikitext-104", "./nowhere"])
def test_a_wrong_name_stays_an_error(study, tmp_path, name):
    study.write_text(STUDY.replace("wikitext-103", name))
    with pytest.raises(InputError):
        run(study, f"sqlite:///{tmp_path}/s.db", trials=1)


def test_a_preset_that_does_not_say_how_still_fails(study, tmp_path):
    study.write_text(STUDY.split("[presets.full.from_scratch]")[0])
    with pytest.raises(HpsearchError, match="could not be downloaded"):
        run(study, f"sqlite:///{tmp_path}/s.db", trials=1)


def train(study, output, *sets):
    """What was printed, and whether the trained model's settings name a pretrained one."""
    console = Console(file=io.StringIO(), width=1000)
    train_final(load_spec(study), output, TrainOptions("full", sets=sets), console=console)
    return console.file.getvalue()


def test_a_final_model_goes_on_from_scratch_where_it_was_interrupted(
    study, tmp_path, wikitext, monkeypatch
):
    def power_cut(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as until:
        until.setattr("hpsearch.trainers.text.classifier.train.train", power_cut)
        with pytest.raises(KeyboardInterrupt):
            train(study, tmp_path / "model")
    wikitext()
    said = train(study, tmp_path / "model")
    assert "accuracy=" in said
    assert FAR_AWAY not in said
    assert "vocabulary before" not in said
    assert "vocabulary before" in train(study, tmp_path / "another")


def test_both_directions_start_from_nothing_where_one_file_lacks(study, tmp_path, wikitext):
    wikitext()
    said = train(study, tmp_path / "model", "bidirectional=true")
    assert "no wikitext-103 (backward) here" in said
    assert "vocabulary before" not in said


@pytest.mark.parametrize("name", ["imdb-clas", "imdb-lm", "imdb-ulmfit", "rt-clas"])
def test_full_says_how_to_do_without_wikitext(name):
    full = load_spec(name).resolve("full")
    assert full.pretrained == "wikitext-103"
    assert full.from_scratch.pretrained is None
    model = full.from_scratch.settings.get("language_model", full.from_scratch.settings)
    assert model["frozen_epochs"] == 0  # of a model that knows nothing, no layer is finished


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("emb = 16", "embb = 16", r"presets\.full\.from_scratch\.settings\.language_model\.embb"),
        ("{ default = 3e-2 }", "{ default = 3.0 }", r"presets\.full\.from_scratch\.space\.lr"),
        ("{ lr = { default", "{ rl = { default", r"presets\.full\.from_scratch\.space\.rl"),
        ('pretrained = "wikitext-103", ', "", "the settings name no pretrained model"),
        ("emb = 16", 'pretrained = "a"', "from scratch means without pretrained"),
    ],
)
def test_a_fallback_that_cannot_be_is_refused(study, old, new, said):
    assert old in STUDY
    study.write_text(STUDY.replace(old, new))
    with pytest.raises(InputError, match=said):
        load_spec(study)
