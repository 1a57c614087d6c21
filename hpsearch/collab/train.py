"""The trainer of recommenders: one cycle over the ratings in one explicit epoch loop."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpsearch.collab.cold_start import fit_cold_starts, with_described
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
    The trained model is written to the folder `keep`, with rows from their metadata for users and
    items that training lacks; the returned metrics are then those of that model. Raises
    DivergedError when a loss is not finite, and whatever `report` raises (a pruned trial).
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
    metrics = records[-1].metrics
    if keep:
        metrics = _keep(keep, run, data, records[-1], progress)
    return TrainResult(metrics, len(records), time.perf_counter() - started)


def _keep(
    folder: Path, run: CollabRun, data: PreparedRatings, last: EpochRecord, progress: Progress
) -> Mapping[str, float]:
    """Give those that training has not seen rows from their metadata, and write all of it to
    `folder`; the metrics of the model as it is then."""
    config, device = run.config, run.device
    cold = fit_cold_starts(
        run.model, run.link, data, config.negatives, seed=run.seed, device=device,
        progress=lambda share: progress("learning from metadata", share, 1),
    )  # fmt: skip
    model, *extended = with_described(run.model, data.ids, data.tables, cold)
    whole = data.with_ids(*extended)
    measure = Measure(whole, run.link, config.negatives, config.k, device)
    metrics, _ = measure(model)
    save_collab(folder, from_training(model, config, whole, cold, _facts(data, last, metrics)))
    return metrics


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


def _facts(
    data: PreparedRatings, last: EpochRecord, metrics: Mapping[str, float]
) -> dict[str, Any]:
    return {
        "data": data.source,
        "training_ratings": len(data.train),
        "held_out_ratings": len(data.valid),
        "epochs": last.epoch,
        "train_loss": last.train_loss,
        "valid_loss": last.valid_loss,
        "metrics": dict(metrics),
    }
