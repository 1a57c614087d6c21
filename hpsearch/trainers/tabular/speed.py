"""The work of a tabular trial in pieces, for `hpsearch.trainers.shared.speed`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, count
from typing import Any

from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.shared.speed import Part, Work
from hpsearch.trainers.shared.stages import Epoch
from hpsearch.trainers.tabular.config import TabularConfig
from hpsearch.trainers.tabular.network.fit import PREDICTED_ROWS, batches
from hpsearch.trainers.tabular.network.stack import Stack
from hpsearch.trainers.tabular.table.encoded_rows import EncodedRows
from hpsearch.trainers.tabular.table.prepare import PreparedTable
from hpsearch.trainers.tabular.train import measure, new_fit, plan_stages

UNIT = "rows"


def work(settings: Mapping[str, Any], params: Mapping[str, Any], data: PreparedTable) -> Work:
    """Rows, each as often as it is trained on."""
    config = parse_config(TabularConfig, settings, params)
    return Work(UNIT, float(config.epochs * len(data.parts["train"])), config.epochs)


def parts(
    settings: Mapping[str, Any], params: Mapping[str, Any], data: PreparedTable, *, device: str
) -> list[Part]:
    """Training steps, and metrics of held-out rows."""
    config = parse_config(TabularConfig, settings, params)
    fit = new_fit(config, data, 0, device)
    stack = Stack([fit.model])
    stage = plan_stages(config)[0]
    fit.start_stage(stage)
    given = chain.from_iterable(batches([fit], stack, [epoch]) for epoch in count(1))
    held_out = data.parts["valid"]
    some = slice(PREDICTED_ROWS)
    piece = EncodedRows(held_out.codes[some], held_out.numbers[some], held_out.targets[some])

    def train(n: int) -> float:
        rows = 0
        for _ in range(n):
            batch = next(given)
            stack.gradient(batch, fit.loss_of)
            fit.update(0)
            rows += len(batch.places)
        return float(rows)

    def epochs(n: int) -> float:
        """On a GPU an epoch's steps are recorded as a graph."""
        for k in range(n):
            fit.train_epoch(Epoch(stage, 0, k + 1, stage.epochs), lambda done, total: None)
        return float(n * len(fit.codes))

    def measured(n: int) -> float:
        for _ in range(n):
            measure(fit.model, data.encoding, piece, device, scaled=config.y_range is None)
        return float(n * len(piece))

    train_on = epochs if device.startswith("cuda") else train
    found = [Part(train_on, float(config.epochs * len(data.parts["train"])))]
    if len(piece):
        found.append(Part(measured, float(config.epochs * len(held_out)), trains=False))
    return found
