"""A module of a user's own, with functions to search over, in a folder of its own."""

import sys
from contextlib import contextmanager

import pytest

from hpsearch.core import own_code

SHOP = '''
import os, pathlib, random, signal, sys
from typing import Annotated, Literal
import hpsearch
import optuna

HERE = pathlib.Path(__file__).parent

def profit(price, model="tree", seed=0):
    """Best at 5."""
    return 10 - (price - 5) ** 2 - (model == "line") + random.Random(seed).gauss(0, 0.1)

def two(x):
    return x, 1 - x

def named(x):
    return {"loss": x, "size": 3}

def branches(model, C=None, depth=None):
    if (C is None) != (model == "tree") or (depth is None) != (model == "svm"):
        raise ValueError("a parameter of the other branch")
    return abs(C - 1) if model == "svm" else 1 + depth

def suggests(trial):
    """As one writes it for Optuna."""
    model = trial.suggest_categorical("model", ["svm", "tree"])
    if model == "svm":
        distance = abs(trial.suggest_float("C", 0.1, 3) - 1)
    else:
        distance = trial.suggest_int("depth", 1, 8)
    with (HERE / "calls").open("a") as file:
        file.write("x")
    return distance

def hints(
    price: Annotated[float, hpsearch.Float(1, 9, help="in dollars")],
    trial,
    model: Literal["tree", "line"] = "line",
):
    return price + trial.suggest_int("more", 1, 5)

def constant(x, data):
    return x + int(data.read_text())

def reads(path):
    with (HERE / "calls").open("a") as file:
        file.write("x")
    return len((HERE / path).read_text())

def drawn(x):
    import numpy
    return random.random() + numpy.random.random()

def epochs(trial, lr):
    for step in range(5):
        trial.report(lr * (step + 1), step, train_loss=1.0 / (step + 1), size=3)
        if trial.should_prune():
            raise optuna.TrialPruned
    trial.set_user_attr("note", [trial.number])
    return lr * 5

def bad(trial, what):
    if what == "nan":
        return float("nan")
    if what == "raises":
        raise ValueError("no such price")
    if what == "text":
        return "good"
    if what == "none":
        return None
    if what == "exit":
        sys.exit(3)
    if what == "reports":
        trial.report(float("inf"), 1)
    if what == "notes":
        trial.set_user_attr("hps_seed", 3)
    return 1.0

def killed(trial, x):
    """Its worker is killed in the first attempt, after a note in its checkpoint."""
    state = trial.checkpoint / "state"
    if not state.exists():
        state.write_text("half")
        if trial.number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
    trial.set_user_attr("began", state.read_text())
    return x
'''


@contextmanager
def inside(folder):
    """`folder` as the current one; what is imported from it is forgotten after, or another test's
    module of the same name could not be imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HPSEARCH_HOME", str(folder / "home"))
        patch.setenv("HPSEARCH_DEVICE", "cpu")
        patch.setattr(own_code, "_folders", {})
        patch.setattr(own_code, "_held", {})
        patch.setattr(sys, "path", [*sys.path])
        before = set(sys.modules)
        yield folder
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
                del sys.modules[name]


@pytest.fixture
def own_folder(tmp_path):
    """An empty folder, which is the current one."""
    with inside(tmp_path) as folder:
        yield folder


@pytest.fixture
def shop(own_folder):
    """The folder of shop.py, which is the current one."""
    (own_folder / "shop.py").write_text(SHOP)
    return own_folder
