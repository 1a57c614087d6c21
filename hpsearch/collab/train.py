"""The trainer of recommenders: one cycle over the ratings in one explicit epoch loop."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpsearch.collab.config import CollabConfig
from hpsearch.collab.data import PreparedRatings, prepare
from hpsearch.collab.metrics import Measure
from hpsearch.collab.run import CollabRun
from hpsearch.collab.saved import from_training, save_collab
from hpsearch.training.contract import EpochRecord, Progress, Report, TrainResult
from hpsearch.training.fields import parse_config
from hpsearch.training.loop import check_finite
from hpsearch.training.lr_finder import LrTest
from hpsearch.training.stages import Epoch, Stage, train_stages

__all__ = ["lr_test", "prepare", "train", "train_collab"]


def train(
    settings: Mapping[str, Any],
    params: Mapping[str, Any],
    data: PreparedRatings,
    *,
    seed: int,
    device: str,
    report: Report,
    checkpoint: Path | None,
    keep: Path | None = None,
    progress: Progress = lambda what, done, total: None,
) -> TrainResult:
    """Train one model; its metrics on the held-out ratings are reported every epoch.

    Of ratings these are mse, rmse, mae and r2; of choices recall, ndcg and map, each at `k`.
    The trained model is written to the folder `keep`. Raises DivergedError when a loss is not
    finite, and whatever `report` raises (a pruned trial).
    """
    return train_collab(
        parse_config(CollabConfig, settings, params),
        data,
        seed=seed,
        device=device,
        report=report,
        checkpoint=checkpoint,
        keep=keep,
        progress=progress,
    )


def train_collab(
    config: CollabConfig,
    data: PreparedRatings,
    *,
    seed: int,
    device: str,
    report: Report,
    checkpoint: Path | None = None,
    keep: Path | None = None,
    progress: Progress = lambda what, done, total: None,
) -> TrainResult:
    """The same with the settings already in one config."""
    started = time.perf_counter()
    run = CollabRun(config, data, seed=seed, device=device)
    measure = Measure(data, run.link, config.negatives, config.k, device)
    stage = Stage("all", 0, (config.lr,), config.epochs)

    def train_epoch(epoch: Epoch) -> EpochRecord:
        return _epoch(run, measure, epoch, progress)

    records = train_stages([run], [stage], train_epoch, report=report, checkpoint=checkpoint)
    if keep:
        save_collab(keep, from_training(run.model, config, data, _facts(data, records[-1])))
    return TrainResult(records[-1].metrics, len(records), time.perf_counter() - started)


def _epoch(run: CollabRun, measure: Measure, epoch: Epoch, progress: Progress) -> EpochRecord:
    """Train for one epoch and measure."""
    began = time.perf_counter()

    def step(done: int, total: int) -> None:
        progress("training", epoch.number - 1 + done / total, epoch.total)

    loss, lrs = run.train_epoch(epoch, step)
    check_finite(loss, "training loss")
    metrics, valid_loss = measure(run.model)
    return EpochRecord(
        stage=epoch.stage.name,
        epoch=epoch.number,
        epochs=epoch.total,
        train_loss=loss,
        valid_loss=check_finite(valid_loss, "validation loss"),
        metrics=metrics,
        lrs=lrs,
        seconds=time.perf_counter() - began,
    )


def lr_test(
    config: CollabConfig, data: PreparedRatings, *, stage: str, seed: int, device: str
) -> LrTest:
    """Steps of a new model for the range test; it has one stage only."""
    run = CollabRun(config, data, seed=seed, device=device)
    run.start_stage(Stage(stage, 0, (1.0,), 1))
    batches = run.endless_batches()
    return LrTest(lambda lr: run.step(*next(batches), lr), run.model, run.optimiser)


def _facts(data: PreparedRatings, last: EpochRecord) -> dict[str, Any]:
    return {
        "data": data.source,
        "training_ratings": len(data.train),
        "held_out_ratings": len(data.valid),
        "epochs": last.epoch,
        "train_loss": last.train_loss,
        "valid_loss": last.valid_loss,
        "metrics": dict(last.metrics),
    }
