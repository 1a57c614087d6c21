"""Trials side by side: each ends as it does alone, whatever becomes of the others."""

import shutil
import time
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import optuna
import pandas as pd
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import hpsearch
from hpsearch.trainers.contract import DivergedError, Member, PrepareSetup, TrialSetup
from hpsearch.trainers.tabular import train as trainer
from hpsearch.trainers.tabular.network import side_by_side as together
from hpsearch.trainers.tabular.network.model import Sizes, TabularModel
from hpsearch.trainers.tabular.network.stack import DropMasks, Rows, Stack

pytestmark = pytest.mark.processor

N = 400
STUDY = """
name = "side-by-side"
trainer = "tabular"
metric = "mse"
direction = "minimize"
data = { path = "table.csv", target = "price" }
settings = { epochs = 3, bs = 32 }
space.lr = { low = 1e-4, high = 1e3, log = true, default = 1e-2 }
space.drop = { low = 0.0, high = 0.5, default = 0.1 }
space.layers = { type = "choice", choices = ["12/8", "20/10", "5"], default = "12/8" }
presets.quick.trials = 16
"""


@contextmanager
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread():
        yield


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HPSEARCH_DEVICE", "cpu")
    rng = np.random.default_rng(0)
    color, size = rng.choice(["red", "green", "blue"], N), rng.normal(10, 3, N)
    price = 2 * size + 5 * (color == "red") + rng.normal(0, 1, N)
    big = np.where(price > 22, "yes", "no")
    table = pd.DataFrame({"color": color, "size": size, "price": price, "big": big})
    table.to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path


def prepared(folder, target):
    data = {"path": str(folder / "table.csv"), "target": target, "ignore": ["price", "big"]}
    data["ignore"].remove(target)
    return trainer.prepare(data, {}, PrepareSetup(data_path=None, device="cpu"))


def facts(records):
    return [(r.epoch, r.train_loss, r.valid_loss, r.metrics, r.lrs) for r in records]


MIXED = [
    {"lr": 0.03, "wd": 0.1, "layers": "20/10"},
    {"lr": 0.003, "drop": 0.3, "layers": "7/33"},
    {"lr": 0.01, "emb_drop": 0.2, "epochs": 2},
    {"lr": 0.02, "layers": "9"},
    {"lr": 0.02, "bs": 50, "layers": "3/1"},
]


def members(reports, checkpoints=None):
    return [
        Member(
            {"epochs": 3, "bs": 32, "layers": "16/8", **one},
            TrialSetup(5 + i, "cpu", reports[i], checkpoints and checkpoints / str(i)),
        )
        for i, one in enumerate(MIXED)
    ]


def alone(data):
    ends = []
    for one in members([lambda _: None] * len(MIXED)):
        records = []
        trainer.train({}, one.params, data, replace(one.setup, report=records.append))
        ends.append(facts(records))
    return ends


@pytest.mark.parametrize("target", ["big", "price"])
def test_each_trial_ends_to_the_bit_as_it_does_alone(folder, target):
    data = prepared(folder, target)
    heard = [[] for _ in MIXED]
    ends = dict(trainer.train_side_by_side({}, members([one.append for one in heard]), data))
    assert [facts(one) for one in heard] == alone(data)
    assert [ends[i].metrics for i in range(len(MIXED))] == [one[-1].metrics for one in heard]
    assert [ends[i].epochs for i in range(len(MIXED))] == [3, 3, 2, 3, 3]


def test_a_members_seconds_are_its_own(folder):
    """Together they are what the stack took, or less; each is a part of it."""
    data = prepared(folder, "big")
    given = [
        Member({"epochs": 3, "bs": 32}, TrialSetup(seed, "cpu", lambda _: None))
        for seed in range(4)
    ]
    began = time.perf_counter()
    ends = dict(trainer.train_side_by_side({}, given, data))
    took = time.perf_counter() - began
    seconds = [ends[i].seconds for i in range(4)]
    assert 0.3 * took < sum(seconds) <= took
    for one in ends.values():
        assert one.seconds < 0.6 * one.facts["wall_seconds"] <= took


def test_one_is_pruned_one_diverges_one_cannot_report_and_the_others_go_on(folder):
    data = prepared(folder, "big")
    wanted = alone(data)
    heard = [[] for _ in MIXED]

    def report_of(i):
        def report(record):
            heard[i].append(record)
            if i == 0 and record.epoch == 2:
                raise optuna.TrialPruned
            if i == 2:
                raise OSError(28, "no space")

        return report

    given = members([report_of(i) for i in range(len(MIXED))])
    given[1].params["lr"] = 1e30
    ends = dict(trainer.train_side_by_side({}, given, data))
    kinds = [type(ends[i]) for i in range(3)]
    assert kinds == [optuna.TrialPruned, DivergedError, OSError]
    assert facts(heard[0]) == wanted[0][:2]
    assert [facts(one) for one in heard[3:]] == wanted[3:]


def test_a_stack_that_was_killed_goes_on_from_the_checkpoints_together_or_alone(folder):
    data = prepared(folder, "price")
    wanted = alone(data)
    kept = folder / "kept"

    def report(record):
        if record.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(trainer.train_side_by_side({}, members([report] * 5, kept), data))
    shutil.copytree(kept, folder / "again")
    heard = [[] for _ in MIXED]
    list(trainer.train_side_by_side({}, members([h.append for h in heard], kept), data))
    assert [facts(one) for one in heard] == wanted
    lone = members([lambda _: None] * 5, folder / "again")[0]
    records = []
    trainer.train({}, lone.params, data, replace(lone.setup, report=records.append))
    assert facts(records) == wanted[0]


def test_twenty_steps_in_a_stack_have_the_losses_of_the_steps_alone():
    sizes = [Sizes((5, 30, 2), 4, layers, 3) for layers in ((200, 100), (30, 7), (64, 64))]
    draw = torch.Generator().manual_seed(0)

    def rows(widths):
        drop = DropMasks(None, [torch.ones(64, w) * (i % 3 > 0) for i, w in enumerate(widths, 1)])
        codes = torch.stack([torch.randint(n, (64,), generator=draw) for n in (5, 30, 2)], 1)
        targets = torch.randint(3, (64,), generator=draw)
        return Rows(codes, torch.randn(64, 4, generator=draw), targets, drop)

    given = [[rows(one.layers) for one in sizes] for _ in range(20)]

    def losses(which):
        models = [TabularModel(sizes[i]) for i in which]
        for i, model in zip(which, models, strict=True):
            model.init_weights(torch.Generator().manual_seed(i))
        stack, found = Stack(models), []
        optimisers = [
            model.flat.optimiser((0.1, 0.0, 0.3)[i]) for i, model in zip(which, models, strict=True)
        ]
        for batch in given:
            found.append(stack.gradient(stack.batch([batch[i] for i in which])))
            for i, optimiser in zip(which, optimisers, strict=True):
                optimiser.step((0.01, 0.03, 0.001)[i], 0.9)
        return torch.stack(found, 1)

    torch.testing.assert_close(
        losses([0, 1, 2]), torch.cat([losses([i]) for i in range(3)]), rtol=1e-5, atol=0
    )


class Layouts(TorchDispatchMode):
    """Notes the operands of matrix products: shapes, and where registers begin in them."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm):
            operands = [*args, kwargs["out"]]
            self.seen.append(
                [(*x.shape, x.data_ptr() % 64, *(n % 16 for n in x.stride())) for x in operands]
            )
        return function(*args, **kwargs)


@pytest.mark.parametrize("n_out", [1, 3])
def test_the_operands_of_a_networks_products_begin_at_registers_as_they_do_alone(n_out):
    # MKL on AMD's processors takes other kernels, which round otherwise, where they do not.
    sizes = [Sizes((5, 30, 2), 4, layers, n_out) for layers in ((20, 10), (30, 7), (64, 64))]
    draw = torch.Generator().manual_seed(0)

    def layouts(which):
        stack = Stack([TabularModel(sizes[i]) for i in which])
        drop = DropMasks(None, [None, None])
        targets = torch.zeros(50) if n_out == 1 else torch.zeros(50, dtype=torch.long)
        rows = Rows(torch.ones(50, 3).int(), torch.randn(50, 4, generator=draw), targets, drop)
        with Layouts() as noted:
            stack.gradient(stack.batch([rows] * len(which)))
        return noted.seen

    together = layouts([0, 1, 2])
    for i in range(3):
        alone = layouts([i])
        assert len(alone) == 9  # forward, and two ways back, in three layers
        assert together[i::3] == alone


def table_of(storage):
    """Per trial: state, parameters, values of all epochs."""
    (study,) = optuna.get_all_study_names(storage)
    trials = optuna.load_study(study_name=study, storage=storage).trials
    return [(t.state.name, t.params, t.intermediate_values, t.values) for t in trials]


def test_a_run_stacks_its_trials_and_each_stays_a_trial_of_its_own(folder, monkeypatch):
    sizes = []

    def counted(runs, *rest):
        sizes.append(len(runs))
        return train_epochs(runs, *rest)

    train_epochs = together.train_epochs
    monkeypatch.setattr(together, "train_epochs", counted)
    study, storage = str(folder / "study.toml"), f"sqlite:///{folder}/a.db"
    search = {"tries": [{"lr": 1e3, "layers": "5"}, {"lr": 0.01}]}
    hpsearch.run(study, trials=20, storage=storage, search=search)
    whole = table_of(storage)
    assert max(sizes) > 2
    assert whole[0][0] == "FAIL"
    assert [row[0] for row in whole[1:]].count("FAIL") < 19
    # The same study, interrupted twice and continued, and one whose trials train alone.
    again = f"sqlite:///{folder}/b.db"
    begun = []

    def interrupted(runs, *rest):
        begun.append(len(runs))
        if len(begun) in (4, 9):
            raise KeyboardInterrupt
        return train_epochs(runs, *rest)

    monkeypatch.setattr(together, "train_epochs", interrupted)
    left = 20
    for _ in range(3):
        try:
            hpsearch.run(study, trials=left, storage=again, search=search if left == 20 else None)
        except KeyboardInterrupt:
            left = sum(row[0] in ("WAITING", "RUNNING") for row in table_of(again))
    assert table_of(again) == whole
    monkeypatch.setattr(trainer, "train_side_by_side", None)
    hpsearch.run(study, trials=20, storage=f"sqlite:///{folder}/c.db", search=search)
    assert table_of(f"sqlite:///{folder}/c.db")[:11] == whole[:11]
