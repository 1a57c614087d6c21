"""What is repeated is the same to the bit: a study of one worker, and any trial of several."""

import io

import numpy as np
import optuna
import pandas as pd
import pytest
import torch
from rich.console import Console
from tiny_corpus import LANGUAGE_MODEL_TOML, write_reviews

import hpsearch
from hpsearch.errors import InputError
from hpsearch.models.repeat import _verdict, repeat_trial
from hpsearch.models.train import TrainOptions
from hpsearch.store import Store
from hpsearch.study.spec import load_spec

pytestmark = pytest.mark.processor

HEAD = """
name = "tiny"
trainer = "{trainer}"
metric = "{metric}"
direction = "{direction}"
[data]
path = "{path}"
{data}
[settings]
{settings}
[space.lr]
low = 1e-3
high = 1e-1
log = true
default = 1e-2
[space.bs]
type = "int"
low = 8
high = 32
default = 16
[presets.quick]
trials = 4
"""
TEXT = f"""valid_reviews = 40
seq_len = 8
drop_mult = 0.5
[settings.language_model]
{LANGUAGE_MODEL_TOML}
"""
STUDIES = {
    "text-classifier": ("accuracy", "", TEXT),
    "tabular": (
        "accuracy",
        'target = "left"',
        'layers = "8"\ndrop = 0.5\nemb_drop = 0.2\nepochs = 2',
    ),
    "collab": ("mse", 'rating = "rating"', "n_factors = 4\nepochs = 2"),
}


@pytest.fixture(params=STUDIES)
def path(request, tmp_path, monkeypatch):
    """A study on data of a few hundred rows."""
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HPSEARCH_DEVICE", "cpu")
    metric, data, settings = STUDIES[request.param]
    rng = np.random.default_rng(0)
    if request.param == "text-classifier":
        write_reviews(tmp_path / "data.csv", 160)
    elif request.param == "tabular":
        rows = {"age": rng.normal(size=300), "plan": rng.choice(list("abcd"), 300)}
        left = np.where(rng.random(300) < 0.3, "yes", "no")
        pd.DataFrame({**rows, "left": left}).to_csv(tmp_path / "data.csv", index=False)
    else:
        pairs = rng.permutation(20 * 15)[:200]
        ratings = {"user": pairs // 15, "item": pairs % 15, "rating": rng.integers(1, 6, 200)}
        pd.DataFrame(ratings).to_csv(tmp_path / "data.csv", index=False)
    text = HEAD.format(
        trainer=request.param,
        metric=metric,
        direction="minimize" if metric == "mse" else "maximize",
        path=tmp_path / "data.csv",
        data=data,
        settings=settings,
    )
    (tmp_path / "study.toml").write_text(text)
    return tmp_path / "study.toml"


def search(path, name, **options):
    quiet = Console(file=io.StringIO(), width=200)
    url = f"sqlite:///{path.parent}/{name}.db"
    return hpsearch.run(path, preset="quick", storage=url, seed=3, console=quiet, **options)


def outline(study):
    return [(t.number, t.state, t.params, t.value, t.intermediate_values) for t in study.trials]


def test_the_same_seed_gives_the_same_study(path):
    assert outline(search(path, "a")) == outline(search(path, "b"))


def test_every_trial_of_two_workers_comes_out_the_same_again(path):
    study = search(path, "two", workers=2)
    threads = torch.get_num_threads()
    with Store.open(f"sqlite:///{path.parent}/two.db") as store:
        for trial in study.trials:
            said = Console(file=io.StringIO(), width=300)
            metrics = repeat_trial(
                load_spec(path), store, path.parent / str(trial.number),
                TrainOptions("quick", trial=trial.number), said,
            )  # fmt: skip
            if trial.state.name == "COMPLETE":
                assert metrics[study.metric_names[0]] == trial.value
            assert f"trial {trial.number} came out the same again" in said.file.getvalue()
        if "tabular" not in path.read_text():
            return
        said = Console(file=io.StringIO(), width=300)
        repeat_trial(
            load_spec(path), store, path.parent / "other",
            TrainOptions("quick", trial=1, sets=["drop=0.1"]), said,
        )  # fmt: skip
        assert "came out" not in said.file.getvalue()
        (path.parent / "data.csv").write_text("age,plan,left\n1,a,yes\n2,b,no\n" * 40)
        with pytest.raises(InputError, match="not what trial 1 was trained on"):
            repeat_trial(
                load_spec(path), store, path.parent / "new", TrainOptions("quick", trial=1)
            )
        with pytest.raises(InputError, match="no trial 9 that was run"):
            repeat_trial(
                load_spec(path), store, path.parent / "new", TrainOptions("quick", trial=9)
            )
    torch.set_num_threads(threads)


def test_what_the_kept_model_learns_later_is_no_difference():
    """movielens-quick: the search measures before users without ratings get rows of metadata."""
    trial = optuna.trial.create_trial(value=0.9716, intermediate_values={1: 0.98, 2: 0.9716})
    record = {"versions": {}, "device": "cpu"}
    again = {1: 0.98, 2: 0.9716}
    same = _verdict("mse", trial, record, 0.9709, again, "cpu")
    assert "came out the same again: mse 0.9716; what was kept has learnt from metadata" in same
    other = _verdict("mse", trial, record, 0.9709, {1: 0.98, 2: 0.9717}, "cpu")
    assert "came out otherwise: mse 0.9717 at epoch 2, was 0.9716" in other
