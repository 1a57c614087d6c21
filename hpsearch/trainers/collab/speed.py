"""The work of a recommender's trial in pieces, for `hpsearch.trainers.shared.speed`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpsearch.trainers.collab.config import CollabConfig
from hpsearch.trainers.collab.fit import CollabFit
from hpsearch.trainers.collab.metrics import Measure
from hpsearch.trainers.collab.prepare import PreparedRatings
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.shared.speed import Part, Work
from hpsearch.trainers.shared.stages import Stage

UNIT = "ratings"


def work(settings: Mapping[str, Any], params: Mapping[str, Any], data: PreparedRatings) -> Work:
    """Ratings, each as often as it is trained on; of choices, the drawn negatives as well."""
    config = parse_config(CollabConfig, settings, params)
    drawn = config.negatives if data.implicit else 0
    return Work(UNIT, float(config.epochs * len(data.train) * (1 + drawn)), config.epochs)


def parts(
    settings: Mapping[str, Any], params: Mapping[str, Any], data: PreparedRatings, *, device: str
) -> list[Part]:
    """Training steps, the drawing of an epoch, and whole measurements of the held-out ratings."""
    config = parse_config(CollabConfig, settings, params)
    fit = CollabFit(config, data, seed=0, device=device)
    fit.start_stage(Stage("all", 0, (config.lr,), config.epochs))
    measure = Measure(data, fit.link, config.negatives, config.k, device)
    drawn = fit.draw(1)

    def train(n: int) -> float:
        # On a GPU the steps of a whole epoch are one graph.
        return fit.train_on(drawn, len(drawn[1]) if device.startswith("cuda") else n)

    def draw(n: int) -> float:
        for _ in range(n):
            fit.draw(1)
        return float(n)

    def measured(n: int) -> float:
        for _ in range(n):
            measure(fit.model)
        return float(n)

    epochs = float(config.epochs)
    return [
        Part(train, work(settings, params, data).units),
        Part(draw, epochs),
        Part(measured, epochs, trains=False),
    ]
