"""The trainer of recommenders: one cycle over the ratings in one explicit epoch loop."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpsearch.core.console import Progress
from hpsearch.trainers.collab.cold_start import fit_cold_starts, with_described
from hpsearch.trainers.collab.config import CollabConfig
from hpsearch.trainers.collab.fit import CollabFit
from hpsearch.trainers.collab.metrics import Measure
from hpsearch.trainers.collab.prepare import PreparedRatings, prepare
from hpsearch.trainers.collab.saved import from_training, save_collab
from hpsearch.trainers.contract import EpochRecord, TrainResult, TrialSetup
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.shared.lr_finder import LrTest
from hpsearch.trainers.shared.stages import Epoch, Stage, epoch_record, train_stages
from hpsearch.trainers.step.gradients import check_finite

__all__ = [
    "ASSESS", "KEEPS_BEST", "SPEED", "lr_test", "missing_pretrained", "prepare", "train",
    "train_collab", "train_side_by_side",
]  # fmt: skip
ASSESS = "hpsearch.trainers.collab.assess"
KEEPS_BEST = False
SPEED = "hpsearch.trainers.collab.speed"
missing_pretrained = None
train_side_by_side = None


def train(
    settings: Mapping[str, Any],
    params: Mapping[str, Any],
    data: PreparedRatings,
    setup: TrialSetup,
) -> TrainResult:
    """Train one recommender, and measure it on the held-out ratings after every epoch.

    Args:
        settings: The preset's settings.
        params: The trial's parameters, which replace settings of the same name.
        setup: If it has a folder `keep`, users and items that training lacks get rows from their
            metadata, and the model is written to that folder.

    Returns:
        mse, rmse, mae and r2 of ratings; recall, ndcg and map at `k` of choices. If the model is
        kept, the metrics are those of the model with the added rows.

    Raises:
        DivergedError: A loss is not finite.
        Exception: Whatever `setup.report` raises, such as TrialPruned.
    """
    return train_collab(parse_config(CollabConfig, settings, params), data, setup)


def train_collab(
    config: CollabConfig,
    data: PreparedRatings,
    setup: TrialSetup,
) -> TrainResult:
    """Train one recommender: `train` with the settings already in one config."""
    started = time.perf_counter()
    fit = CollabFit(config, data, seed=setup.seed, device=setup.device)
    measure = Measure(data, fit.link, config.negatives, config.k, setup.device)
    stage = Stage("all", 0, (config.lr,), config.epochs)

    def train_epoch(epoch: Epoch) -> EpochRecord:
        return _epoch(fit, measure, epoch, setup.progress)

    records = train_stages([fit], [stage], train_epoch, setup)
    metrics = records[-1].metrics
    if setup.keep:
        metrics = _keep(setup.keep, fit, data, records[-1], setup.progress)
    return TrainResult(metrics, len(records), time.perf_counter() - started)


def _keep(
    folder: Path, fit: CollabFit, data: PreparedRatings, last: EpochRecord, progress: Progress
) -> Mapping[str, float]:
    """Give those that training has not seen rows from their metadata, and write all of it to
    `folder`; the metrics of the model as it is then."""
    config, device = fit.config, fit.device
    cold = fit_cold_starts(
        fit.model, fit.link, data, config.negatives, seed=fit.seed, device=device,
        progress=lambda share: progress("learning from metadata", share, 1),
    )  # fmt: skip
    model, *extended = with_described(fit.model, data.ids, data.tables, cold)
    whole = data.with_ids(*extended)
    measure = Measure(whole, fit.link, config.negatives, config.k, device)
    metrics, _ = measure(model)
    save_collab(folder, from_training(model, config, whole, cold, _facts(data, last, metrics)))
    return metrics


def _epoch(fit: CollabFit, measure: Measure, epoch: Epoch, progress: Progress) -> EpochRecord:
    """Train for one epoch and measure."""
    began = time.perf_counter()

    def step(done: int, total: int) -> None:
        progress("training", epoch.number - 1 + done / total, epoch.total)

    trained = fit.train_epoch(epoch, step)
    check_finite(trained[0], "training loss")
    metrics, valid_loss = measure(fit.model)
    return epoch_record(epoch, began, trained, valid_loss, metrics)


def lr_test(
    config: CollabConfig, data: PreparedRatings, *, stage: str, seed: int, device: str
) -> LrTest:
    """Steps of a new model for the range test; it has one stage only."""
    fit = CollabFit(config, data, seed=seed, device=device)
    fit.start_stage(Stage(stage, 0, (1.0,), 1))
    batches = fit.endless_batches()
    return LrTest(lambda lr: fit.step(*next(batches), lr), fit.model, fit.optimiser)


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
