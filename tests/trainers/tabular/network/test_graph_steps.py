"""Steps with all that changes given as tensors, as CUDA graphs need them: they train the same.

There is no GPU here: `graph_tape` stands in for CUDA's graphs. What needs CUDA is tests/gpu's.
"""

from functools import partial

import numpy as np
import pytest
import torch
from graph_tape import Tape

from hpsearch.trainers.collab import fit as collab_fit
from hpsearch.trainers.collab.fit import DotBiasLoop, new_optimiser
from hpsearch.trainers.collab.model import DotBias, Link
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.shared.stages import Epoch, Stage
from hpsearch.trainers.step.cuda_graph import CapturedStep
from hpsearch.trainers.step.schedule import OneCycle
from hpsearch.trainers.tabular.config import TabularConfig
from hpsearch.trainers.tabular.network import fit as tabular_run
from hpsearch.trainers.tabular.network import graph_steps
from hpsearch.trainers.tabular.network.fit import TabularFit, new_model, train_epochs
from hpsearch.trainers.tabular.table.encoded_rows import EncodedRows

ROWS, BS = 150, 32


def some_rows(classes):
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(0, n, ROWS) for n in (5, 7)], 1).astype(np.int32)
    numbers = rng.normal(size=(ROWS, 3)).astype(np.float32)
    targets = rng.integers(0, 2, ROWS) if classes else numbers.sum(1) + codes[:, 0]
    return EncodedRows(codes, numbers, targets.astype(np.int64 if classes else np.float32))


def runs_of(rows, classes, device="cpu"):
    settings = (
        {"layers": "12/8", "lr": 1e-2, "drop": 0.2, "emb_drop": 0.1, "wd": 0.1},
        {"layers": "20/6", "lr": 3e-2, "drop": 0.0, "emb_drop": 0.0, "wd": 0.0},
    )
    runs = []
    for seed, own in enumerate(settings):
        config = parse_config(TabularConfig, {**own, "bs": BS, "epochs": 2})
        model = new_model(config, (5, 7), 3, 2 if classes else 1, device)
        model.init_weights(torch.Generator().manual_seed(seed))
        run = TabularFit(config, model, rows, seed=seed, device=device)
        run.start_stage(Stage("all", 0, (config.lr,), 2))
        runs.append(run)
    return runs


@pytest.mark.parametrize("classes", [True, False])
def test_a_stack_of_tabular_networks(classes, monkeypatch):
    rows = some_rows(classes)
    ordinary, graphs, tape = runs_of(rows, classes), runs_of(rows, classes), Tape()
    for k in range(2):
        epochs = [Epoch(Stage("all", 0, run.lrs, 2), k, k + 1, 2) for run in ordinary]
        wanted = train_epochs(ordinary, epochs, lambda *done: None)
        with monkeypatch.context() as patch:
            patch.setattr(tabular_run, "HostSteps", tabular_run.graph_steps)
            patch.setattr(graph_steps, "CapturedStep", partial(CapturedStep, recorder=tape))
            found = train_epochs(graphs, epochs, lambda *done: None)
        for (loss, lrs), (other, other_lrs) in zip(wanted, found, strict=True):
            assert other == pytest.approx(loss, rel=1e-5)
            assert other_lrs == lrs
    for run, other in zip(ordinary, graphs, strict=True):
        torch.testing.assert_close(other.model.weights, run.model.weights, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(other.model.statistics, run.model.statistics)
        for state, same in zip(
            run.optimiser.state.values(), other.optimiser.state.values(), strict=True
        ):
            assert same["step"] == state["step"] == 2 * len(run.ends)
    # Of five batches an epoch, two run as they are and two are replayed; the last is smaller.
    assert (tape.ran, tape.recorded, tape.replayed) == (6, 2, 4)


@pytest.mark.parametrize("bias_wd", [None, 0.5])
def test_the_dot_product_model(bias_wd, monkeypatch):
    pairs = torch.randint(0, 9, (256, 2), generator=torch.Generator().manual_seed(0))
    targets = (pairs.sum(1) % 5 + 1).float()
    tables, tape = [], Tape()
    monkeypatch.setattr(collab_fit, "CapturedStep", partial(CapturedStep, recorder=tape))
    for on_gpu in (False, True):
        model = DotBias(4, 9, 9)
        model.init_weights(torch.Generator().manual_seed(1))
        link = Link((0.5, 5.5))
        loop = DotBiasLoop(model, new_optimiser(model, 0.1), link, 0.1, 32, bias_wd)
        if on_gpu:
            monkeypatch.setattr(collab_fit, "takes_graphs", lambda table: True)
        loss = loop.train_epoch(pairs, targets, OneCycle(8), 0, 5e-2)
        tables.append((model.table.detach(), loss))
    (table, loss), (other, other_loss) = tables
    torch.testing.assert_close(other, table, rtol=1e-4, atol=1e-6)
    assert other_loss.item() == pytest.approx(loss.item(), rel=1e-5)
    assert (tape.ran, tape.recorded, tape.replayed) == (2, 1, 6)


class MetaMasks:
    """Masks without a generator: the meta device has none."""

    def __init__(self, seed, device):
        pass

    def draw(self, shape, p, like):
        return torch.empty(shape, dtype=like.dtype, device="meta")


def test_nothing_in_an_epoch_waits_for_the_device(monkeypatch):
    """On the meta device tensors have no values: whatever asks for one fails."""
    monkeypatch.setattr(tabular_run, "Masks", MetaMasks)
    monkeypatch.setattr(tabular_run, "HostSteps", tabular_run.graph_steps)
    (run, other), seen = runs_of(some_rows(True), True, device="meta"), []
    epochs = [Epoch(Stage("all", 0, one.lrs, 2), 0, 1, 2) for one in (run, other)]
    with pytest.raises(RuntimeError, match="meta"):
        train_epochs([run, other], epochs, lambda done, total: seen.append(done))
    assert seen == [1, 2, 3, 4, 5]


def test_nothing_in_an_epoch_of_ratings_waits_for_the_device(monkeypatch):
    monkeypatch.setattr(collab_fit, "takes_graphs", lambda table: True)
    model = DotBias(4, 9, 9).to("meta")
    loop = DotBiasLoop(model, new_optimiser(model, 0.1), Link((0.5, 5.5)), 0.1, 32)
    pairs, targets = (
        torch.zeros(256, 2, dtype=torch.long, device="meta"),
        torch.ones(256).to("meta"),
    )
    assert loop.train_epoch(pairs, targets, OneCycle(8), 0, 5e-2).is_meta
