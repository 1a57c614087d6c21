"""What a trained model is worth: where it is wrong, how sure its metrics are, and what a simple
model makes of the same rows."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from hpsearch.core.console import Progress
from hpsearch.core.files import write_atomically
from hpsearch.data.cache.stages import cached_stage, reading
from hpsearch.trainers.contract import Trainer
from hpsearch.trainers.shared.metrics import Floats, errors, scores

LEVEL = 0.9
"""Of the intervals."""
SHOWN = 10
"""So many of the rows that a model is most wrong about are kept."""
RESAMPLES, DRAWN = 1000, 20_000_000
"""At most so many samples of a bootstrap, and so many rows in all of them."""
_VERSION = 1
"""Raise it when a baseline changes: those in the cache are then others."""


@dataclass(frozen=True)
class Baseline:
    """A simple model's `name` and its metrics: on the held-out rows, and on the test rows with
    names such as test_accuracy. It has the rows that the trials have."""

    name: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Wrong:
    """A row that the model is wrong about: where it stands, what it holds, what is true and what
    was predicted."""

    place: str
    content: str
    truth: str
    predicted: str


@dataclass(frozen=True)
class LabelCounts:
    """How many rows have a label, were given it, and both; and its average precision, None where no
    row has it."""

    name: str
    truly: int
    given: int
    hits: int
    average_precision: float | None


@dataclass(frozen=True)
class Assessment:
    """What a card says of a model beside its metrics.

    Attributes:
        unit: What the model was trained on: "texts", "rows", "ratings" ...
        counts: How many of them each part has.
        part: "test" or "held-out": those that all of this was measured on.
        metrics: The metrics on them.
        intervals: The ends of the interval of a metric, at LEVEL.
        classes: Of a classifier.
        confusion: How often each class (row) was taken for each (column).
        labels: Where a row may have several labels, what came of each.
        threshold: There: the probability from which on a row is given a label.
        wrong: What it is most wrong about, the worst first.
        importance: Of a table's columns: the name, by how much the metric gets worse if the
            column's cells change places among the rows, and the deviation of that.
    """

    unit: str
    counts: Mapping[str, int]
    part: str
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    classes: Sequence[str] = ()
    confusion: Sequence[Sequence[int]] = ()
    labels: Sequence[LabelCounts] = ()
    threshold: float | None = None
    wrong: Sequence[Wrong] = ()
    importance: Sequence[tuple[str, float, float]] = ()


class Assessor(Protocol):
    """A module that judges a trainer's models: a trainer names its own as ASSESS."""

    def is_cheap(
        self,
        data: Any,  # noqa: ANN401 (what this trainer's own prepare returned)
    ) -> bool:
        """Whether the baseline takes a few seconds at most, so that a search can wait for it."""

    def baseline(
        self,
        settings: Mapping[str, Any],
        data: Any,  # noqa: ANN401
    ) -> Baseline:
        """Train a simple model on the training rows and measure it on the others."""

    def assess(
        self,
        folder: Path,
        data: Any,  # noqa: ANN401
        *,
        test: bool,
        metric: str,
        device: str,
        progress: Progress,
    ) -> Assessment:
        """Judge the model in `folder` on the test rows (`test`, where there are any) or on the
        held-out ones. Test metrics are noted among the model's facts. `metric` is the study's."""


def assessor(trainer: Trainer) -> Assessor | None:
    """The module that judges the trainer's models, if there is one."""
    # Whoever wrote a trainer before there were assessors has none.
    name = getattr(trainer, "ASSESS", None)
    return None if name is None else cast(Assessor, importlib.import_module(name))


def cached_baseline(key: Mapping[str, Any], make: Callable[[], Baseline]) -> Baseline:
    """What `make` gives, from the cache if it was made before; `key` is all that determines it."""

    def build(folder: Path) -> None:
        made = make()
        content = {"name": made.name, "metrics": dict(made.metrics)}
        (folder / "baseline.json").write_text(json.dumps(content), encoding="utf-8")

    folder = cached_stage("baseline", {"version": _VERSION, **key}, build)
    with reading(folder):
        return Baseline(**json.loads((folder / "baseline.json").read_text("utf-8")))


def note_test_metrics(file: Path, unit: str, found: Assessment) -> None:
    """Add the test metrics to the facts of the model that `file` describes."""
    content = json.loads(file.read_text("utf-8"))
    content["facts"] |= {f"test_{unit}": found.counts["test"], "test_metrics": dict(found.metrics)}
    write_atomically(file, json.dumps(content, indent=1))


def confusion_matrix(
    predicted: npt.NDArray[np.int64], truth: npt.NDArray[np.int64], n: int
) -> npt.NDArray[np.int64]:
    """(n, n): how often class i (row) was taken for class j (column)."""
    return np.bincount(truth * n + predicted, minlength=n * n).reshape(n, n)


def class_intervals(confusion: npt.NDArray[np.int64]) -> dict[str, tuple[float, float]]:
    """The intervals of `scores`, by the percentile bootstrap (Efron and Tibshirani 1993, chapter
    13). To draw rows anew is to draw the cells of the confusion matrix (classes, classes)."""
    n, total = len(confusion), int(confusion.sum())
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(total, confusion.ravel() / total, RESAMPLES).reshape(-1, n, n)
    hits = np.diagonal(drawn, axis1=1, axis2=2)
    either = drawn.sum(1) + drawn.sum(2)
    f1 = np.ma.masked_array(2 * hits, either == 0) / np.ma.masked_array(either, either == 0)
    return percentiles({"accuracy": hits.sum(1) / total, "f1": f1.mean(1).filled(0.0)})


def error_intervals(predicted: Floats, truth: Floats) -> dict[str, tuple[float, float]]:
    """The intervals of `errors`, by the same bootstrap over the rows."""
    rng, n = np.random.default_rng(0), len(truth)
    samples = []
    for _ in range(min(RESAMPLES, max(100, DRAWN // n))):
        rows = rng.integers(n, size=n)
        samples.append(errors(predicted[rows], truth[rows]))
    return percentiles({name: [one[name] for one in samples] for name in samples[0]})


def percentiles(samples: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """The ends of the interval of each metric, of its values in the samples of a bootstrap."""
    ends = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    found = {name: np.quantile(values, ends) for name, values in samples.items()}
    return {name: (float(low), float(high)) for name, (low, high) in found.items()}


def assess_classes(
    probabilities: Floats,
    truth: npt.NDArray[np.int64],
    classes: Sequence[str],
    show: Callable[[int], tuple[str, str]],
) -> dict[str, Any]:
    """The fields of an Assessment that probabilities (rows, classes) and true classes (rows,) give.

    `show` says of a row where it stands and what it holds.
    """
    best = probabilities.argmax(1)
    confusion = confusion_matrix(best, truth, len(classes))
    of_truth = probabilities[np.arange(len(truth)), truth]
    order = np.argsort(np.where(best == truth, 2.0, of_truth), kind="stable")
    worst = [int(row) for row in order[:SHOWN] if best[row] != truth[row]]
    return {
        "metrics": scores(probabilities, truth),
        "intervals": class_intervals(confusion),
        "classes": tuple(classes),
        "confusion": confusion.tolist(),
        "wrong": [
            Wrong(
                *show(row),
                classes[truth[row]],
                f"{classes[best[row]]} ({probabilities[row, best[row]]:.2f})",
            )
            for row in worst
        ],
    }


def assess_numbers(
    predicted: Floats, truth: Floats, show: Callable[[int], tuple[str, str]]
) -> dict[str, Any]:
    """The fields of an Assessment that predicted and true numbers (rows,) give; see
    `assess_classes`."""
    order = np.argsort(-np.abs(predicted.astype(np.float64) - truth), kind="stable")
    return {
        "metrics": errors(predicted, truth),
        "intervals": error_intervals(predicted, truth),
        "wrong": [
            Wrong(*show(int(row)), f"{truth[row]:.4g}", f"{predicted[row]:.4g}")
            for row in order[:SHOWN]
        ],
    }
