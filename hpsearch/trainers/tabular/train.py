"""The trainer of tabular models: one cycle in one explicit epoch loop."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count
from typing import Any

import numpy as np
import torch

from hpsearch.core.console import Progress
from hpsearch.trainers.contract import EpochRecord, Member, TrainResult, TrialSetup
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.shared.lr_finder import LrTest
from hpsearch.trainers.shared.metrics import balanced_weights, errors, scores
from hpsearch.trainers.shared.stages import (
    Epoch,
    Stage,
    Trained,
    Training,
    epoch_record,
    train_stages,
)
from hpsearch.trainers.shared.y_range import auto_range
from hpsearch.trainers.step.schedule import OneCycle
from hpsearch.trainers.tabular.config import TabularConfig
from hpsearch.trainers.tabular.network.fit import TabularFit, batches, new_model, outputs
from hpsearch.trainers.tabular.network.losses import weighted
from hpsearch.trainers.tabular.network.model import TabularModel
from hpsearch.trainers.tabular.network.side_by_side import SideBySide, groups, train_group
from hpsearch.trainers.tabular.network.stack import Stack
from hpsearch.trainers.tabular.saved import SavedTabular, save_tabular
from hpsearch.trainers.tabular.supports import ASSESS, KEEPS_BEST, SPEED, missing_pretrained
from hpsearch.trainers.tabular.table.encoded_rows import EncodedRows
from hpsearch.trainers.tabular.table.prepare import (
    Encoding,
    PreparedTable,
    check_class_weights,
    prepare,
)

__all__ = [
    "ASSESS", "KEEPS_BEST", "SPEED", "lr_test", "missing_pretrained", "new_fit", "plan_stages",
    "prepare", "train", "train_side_by_side",
]  # fmt: skip


def train(
    settings: Mapping[str, Any],
    params: Mapping[str, Any],
    data: PreparedTable,
    setup: TrialSetup,
) -> TrainResult:
    """Train one network, and measure it on the held-out rows after every epoch.

    Args:
        settings: The preset's settings.
        params: The trial's parameters, which replace settings of the same name.
        setup: The trained model is written to its folder `keep`.

    Returns:
        accuracy and f1 of classes; mse, rmse, mae and r2 of numbers, in units of the target.

    Raises:
        DivergedError: A loss is not finite.
        Exception: Whatever `setup.report` raises, such as TrialPruned.
    """
    started = time.perf_counter()
    config = parse_config(TabularConfig, settings, params)
    fit = new_fit(config, data, setup.seed, setup.device)

    def train_epoch(epoch: Epoch) -> EpochRecord:
        return _epoch(fit, data, epoch, setup.progress)

    records = train_stages([fit], plan_stages(config), train_epoch, setup)
    if setup.keep:
        facts = {
            "data": data.source,
            "training_rows": len(data.parts["train"]),
            "held_out_rows": len(data.parts["valid"]),
            "epochs": len(records),
            "metrics": dict(records[-1].metrics),
        }
        save_tabular(setup.keep, SavedTabular(fit.model, data.encoding, fit.config, facts))
    return TrainResult(records[-1].metrics, len(records), time.perf_counter() - started)


def train_side_by_side(
    settings: Mapping[str, Any],
    members: Sequence[Member],
    data: PreparedTable,
) -> Iterator[tuple[int, TrainResult | Exception]]:
    """Train several networks side by side: see `hpsearch.trainers.contract.TrainSideBySide`."""
    trials: list[SideBySide] = []
    for place, member in enumerate(members):
        try:
            config = parse_config(TabularConfig, settings, member.params)
            fit = new_fit(config, data, member.setup.seed, member.setup.device)
            training = Training([fit], plan_stages(config), member.setup)
            trials.append(SideBySide(place, fit, training))
        except Exception as error:
            yield place, error

    def record(fit: TabularFit, epoch: Epoch, began: float, trained: Trained) -> EpochRecord:
        return _record(fit, data, epoch, began, trained)

    for group in groups(trials):
        yield from train_group(group, record)


def plan_stages(config: TabularConfig) -> list[Stage]:
    return [Stage("all", 0, (config.lr,), config.epochs)]


def new_fit(config: TabularConfig, data: PreparedTable, seed: int, device: str) -> TabularFit:
    if config.y_range == "auto":
        config = replace(config, y_range=auto_range(data.parts["train"].targets))
    preprocessor = data.encoding.preprocessor
    model = new_model(
        config, preprocessor.n_categories, preprocessor.n_continuous, data.encoding.n_out, device
    )
    model.init_weights(torch.Generator().manual_seed(seed))
    check_class_weights(config, data.encoding.target)
    train, loss_of = data.parts["train"], None
    if config.class_weights == "balanced":
        weights = balanced_weights(np.asarray(train.targets), data.encoding.n_out)
        loss_of = weighted(torch.from_numpy(weights).to(device))
    return TabularFit(config, model, train, seed=seed, device=device, loss_of=loss_of)


def _epoch(fit: TabularFit, data: PreparedTable, epoch: Epoch, progress: Progress) -> EpochRecord:
    """Train one epoch and measure the network on the held-out rows."""
    began = time.perf_counter()

    def step(done: int, total: int) -> None:
        progress("training", epoch.number - 1 + done / total, epoch.total)

    return _record(fit, data, epoch, began, fit.train_epoch(epoch, step))


def _record(
    fit: TabularFit,
    data: PreparedTable,
    epoch: Epoch,
    began: float,
    trained: Trained,
) -> EpochRecord:
    valid_loss, metrics = measure(
        fit.model, data.encoding, data.parts["valid"], fit.device, scaled=fit.config.y_range is None
    )
    return epoch_record(epoch, began, trained, valid_loss, metrics)


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


def lr_test(
    config: TabularConfig, data: PreparedTable, *, stage: str, seed: int, device: str
) -> LrTest:
    """Steps of a new network for the range test; it has one stage only."""
    fit = new_fit(config, data, seed, device)
    stack = Stack([fit.model])
    fit.start_stage(Stage(stage, 0, (1.0,), 1))
    fit.cycle = OneCycle.flat(config.moms)
    given = chain.from_iterable(batches([fit], stack, [epoch]) for epoch in count(1))

    def step(lr: float) -> float:
        fit.lrs = (lr,)
        loss = stack.gradient(next(given)).item()
        fit.update(0)
        return loss

    return LrTest(step, fit.model, fit.optimiser)
