"""The trainer of tabular models: one cycle in one explicit epoch loop."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hpsearch.tabular.config import TabularConfig
from hpsearch.tabular.model import TabularModel
from hpsearch.tabular.prepare import Encoding, PreparedTable, prepare
from hpsearch.tabular.rows import EncodedRows
from hpsearch.tabular.run import TabularRun, batches, new_model, outputs
from hpsearch.tabular.saved import SavedTabular, load_tabular, save_tabular
from hpsearch.tabular.stack import Stack
from hpsearch.tabular.together import SideBySide, groups, train_group
from hpsearch.training.contract import EpochRecord, Member, Progress, Report, TrainResult
from hpsearch.training.fields import parse_config
from hpsearch.training.loop import check_finite
from hpsearch.training.lr_finder import LrTest
from hpsearch.training.metrics import errors, scores
from hpsearch.training.schedule import OneCycle
from hpsearch.training.stages import Epoch, Stage, Training, train_stages

__all__ = ["lr_test", "on_test", "prepare", "train", "train_together"]


def train(
    settings: Mapping[str, Any],
    params: Mapping[str, Any],
    data: PreparedTable,
    *,
    seed: int,
    device: str,
    report: Report,
    checkpoint: Path | None,
    keep: Path | None = None,
    progress: Progress = lambda what, done, total: None,
) -> TrainResult:
    """Train one network; its metrics on the held-out rows are reported every epoch.

    Of classes these are accuracy and f1, of numbers mse, rmse, mae and r2 in the target's own
    units. The trained model is written to the folder `keep`. Raises DivergedError when a loss is
    not finite, and whatever `report` raises (a pruned trial).
    """
    started = time.perf_counter()
    config = parse_config(TabularConfig, settings, params)
    run = _new_run(config, data, seed, device)

    def train_epoch(epoch: Epoch) -> EpochRecord:
        return _epoch(run, data, epoch, progress)

    records = train_stages(
        [run], _stages(config), train_epoch, report=report, checkpoint=checkpoint
    )
    if keep:
        facts = {
            "data": data.source,
            "training_rows": len(data.parts["train"]),
            "held_out_rows": len(data.parts["valid"]),
            "epochs": len(records),
            "metrics": dict(records[-1].metrics),
        }
        save_tabular(keep, SavedTabular(run.model, data.encoding, config, facts))
    return TrainResult(records[-1].metrics, len(records), time.perf_counter() - started)


def train_together(
    settings: Mapping[str, Any],
    members: Sequence[Member],
    data: PreparedTable,
    *,
    device: str,
) -> Iterator[tuple[int, TrainResult | Exception]]:
    """Train several networks side by side: see `hpsearch.training.contract.Together`."""
    trials: list[SideBySide] = []
    for place, member in enumerate(members):
        try:
            config = parse_config(TabularConfig, settings, member.params)
            run = _new_run(config, data, member.seed, device)
            training = Training([run], _stages(config), member.report, member.checkpoint)
            trials.append(SideBySide(place, run, training))
        except Exception as error:
            yield place, error

    def record(
        run: TabularRun, epoch: Epoch, loss: float, lrs: tuple[float, ...], began: float
    ) -> EpochRecord:
        return _record(run, data, epoch, loss, lrs, began)

    for group in groups(trials):
        yield from train_group(group, record)


def _stages(config: TabularConfig) -> list[Stage]:
    return [Stage("all", 0, (config.lr,), config.epochs)]


def _new_run(config: TabularConfig, data: PreparedTable, seed: int, device: str) -> TabularRun:
    preprocessor = data.encoding.preprocessor
    model = new_model(
        config, preprocessor.n_categories, preprocessor.n_continuous, data.encoding.n_out, device
    )
    model.init_weights(torch.Generator(device).manual_seed(seed))
    return TabularRun(config, model, data.parts["train"], seed=seed, device=device)


def _epoch(run: TabularRun, data: PreparedTable, epoch: Epoch, progress: Progress) -> EpochRecord:
    """Train one epoch and measure the network on the held-out rows."""
    began = time.perf_counter()

    def step(done: int, total: int) -> None:
        progress("training", epoch.number - 1 + done / total, epoch.total)

    loss, lrs = run.train_epoch(epoch, step)
    return _record(run, data, epoch, loss, lrs, began)


def _record(
    run: TabularRun,
    data: PreparedTable,
    epoch: Epoch,
    loss: float,
    lrs: tuple[float, ...],
    began: float,
) -> EpochRecord:
    valid_loss, metrics = measure(
        run.model, data.encoding, data.parts["valid"], run.device, scaled=run.config.y_range is None
    )
    return EpochRecord(
        stage=epoch.stage.name,
        epoch=epoch.number,
        epochs=epoch.total,
        train_loss=check_finite(loss, "training loss"),
        valid_loss=check_finite(valid_loss, "validation loss"),
        metrics=metrics,
        lrs=lrs,
        seconds=time.perf_counter() - began,
    )


def measure(
    model: TabularModel, encoding: Encoding, rows: EncodedRows, device: str, *, scaled: bool
) -> tuple[float, dict[str, float]]:
    """(loss as in training, metrics) of the network on encoded rows."""
    out = outputs(model, rows.codes, rows.numbers, device)
    if encoding.target.classes:
        logs = torch.log_softmax(torch.from_numpy(out), 1).numpy()
        loss = -float(logs[np.arange(len(logs)), rows.targets].mean(dtype=np.float64))
        return loss, scores(np.exp(logs), rows.targets)
    found, truth = out[:, 0], np.asarray(rows.targets)
    loss = errors(found, truth)["mse"]
    if scaled:
        found, truth = encoding.unscale(found), encoding.unscale(truth)
    return loss, errors(found, truth)


def on_test(
    folder: Path,
    data: PreparedTable,
    *,
    device: str,
    progress: Progress = lambda what, done, total: None,
) -> dict[str, float]:
    """The metrics of the model in `folder` on the test rows, as test_accuracy and so on; also
    noted in the folder. Nothing where the data has no test rows."""
    rows = data.parts["test"]
    if not len(rows):
        return {}
    saved = load_tabular(folder, device)
    scaled = saved.config.y_range is None
    _, found = measure(saved.model, data.encoding, rows, device, scaled=scaled)
    facts = {**saved.facts, "test_rows": len(rows), "test_metrics": found}
    save_tabular(folder, replace(saved, facts=facts))
    return {f"test_{name}": value for name, value in found.items()}


def lr_test(
    config: TabularConfig, data: PreparedTable, *, stage: str, seed: int, device: str
) -> LrTest:
    """Steps of a new network for the range test; it has one stage only."""
    run = _new_run(config, data, seed, device)
    stack = Stack([run.model])
    run.start_stage(Stage(stage, 0, (1.0,), 1))
    run.cycle = OneCycle.flat(config.moms)
    given = chain.from_iterable(batches([run], stack, [epoch]) for epoch in count(1))

    def step(lr: float) -> float:
        run.lrs = (lr,)
        loss = stack.gradient(next(given)).item()
        run.update(0)
        return loss

    return LrTest(step, run.model, run.optimiser)
