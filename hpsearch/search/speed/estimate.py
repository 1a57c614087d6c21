"""How long a run will take: its first worker measures this before its first trial.

The estimate is printed and stored. The process that starts the workers does not import torch, so it
cannot measure. A worker can. Its measurement does work that the first trial would have to do in any
case, such as choosing kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.core.plain_json import to_json
from hpsearch.core.words import duration
from hpsearch.store import Store
from hpsearch.store.queue import runs
from hpsearch.store.queue.progress import latest_value
from hpsearch.study.space import Space, middle, space_from_unit
from hpsearch.trainers.shared import speed

if TYPE_CHECKING:
    from hpsearch.search.worker.bench import Bench

MEASURED, NOT_MEASURED = "measured", "not-measured"
"""Kinds of events: an Estimate as JSON; why there is none."""
WORTH_SAYING_S = 20.0
"""A run that is over sooner needs no announcement, nor a long measurement."""
MEASURE_S = 1.0
SAMPLED = 64


@dataclass(frozen=True)
class Estimate:
    """How long a run will take.

    Each of the `workers` trains on `rate` units a second, and an epoch has `per_epoch` units. A
    trial with parameters from the middle of the space takes `trial_seconds`; the run takes
    `seconds`.
    """

    device: str
    workers: int
    trials: int
    unit: str
    rate: float
    per_epoch: float
    trial_seconds: float
    seconds: float
    memory: int | None = None

    @property
    def sentence(self) -> str:
        """'12 trials take about 2 min 10 s: 2 workers on cpu, 34 reviews/s each'."""
        trials = "1 trial takes" if self.trials == 1 else f"{self.trials} trials take"
        workers = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        each = "" if self.workers == 1 else " each"
        return (
            f"{trials} about {duration(self.seconds)}: {workers} on {self.device}, "
            f"{per_second(self.rate, self.unit)}{each}"
        )


def per_second(rate: float, unit: str) -> str:
    """'1,234 rows/s'."""
    return f"{rate_text(rate)} {unit}/s"


def rate_text(rate: float) -> str:
    """'1,234' or '1.2'."""
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


def training_sentence(found: speed.Speed, device: str) -> str | None:
    """What is said before a single training; nothing before a short one."""
    if found.seconds < WORTH_SAYING_S:
        return None
    rate = per_second(found.rate, found.unit)
    return f"The training takes about {duration(found.seconds)} on {device}: {rate}"


def measure_first(bench: Bench) -> None:
    """Measure for the whole run and record the estimate.

    If the measurement fails, this records the reason, and the run goes on.
    """
    job, store, run_id = bench.job, bench.store, bench.job.run_id
    if not job.measures or run_id is None or not speed.is_measurable(bench.trainer):
        return
    if store.retry(read_estimate, store, run_id) is not None:
        return
    trials, workers = store.retry(runs.size, store.engine, run_id)
    try:
        found = _estimate(bench, trials, workers)
    except Exception as error:
        bench.note(NOT_MEASURED, f"{type(error).__name__}: {error}")
        return
    bench.note(MEASURED, to_json(asdict(found)))


def _estimate(bench: Bench, trials: int, workers: int) -> Estimate:
    job, data = bench.job, bench.prepared
    params, share = _typical(bench, job.distributions, job.search.fix)
    at_once = max(1, min(workers, trials))
    enough = WORTH_SAYING_S * at_once / (trials * share)
    found = speed.measure(
        bench.trainer, job.settings, params, data, device=job.device, seconds=MEASURE_S,
        enough=enough,
    )  # fmt: skip
    work = speed.work(bench.trainer, job.settings, params, data)
    each = found.seconds * share
    return Estimate(
        device=job.device, workers=workers, trials=trials, unit=found.unit, rate=found.rate,
        per_epoch=work.units / max(1, work.epochs), trial_seconds=each,
        seconds=each * trials / at_once, memory=found.memory,
    )  # fmt: skip


def _typical(bench: Bench, space: Space, fix: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
    """(the parameters in the middle of the space, a factor).

    The factor is the mean work of trials of the space, divided by the work of the middle trial.
    """
    points = np.random.default_rng(0).random((SAMPLED, len(space)))
    drawn = [{**space_from_unit(space, point), **fix} for point in points]

    def units(params: Mapping[str, Any]) -> float:
        return speed.work(bench.trainer, bench.job.settings, params, bench.prepared).units

    typical = {**middle(space), **fix}
    return typical, float(np.mean([units(one) for one in drawn])) / units(typical)


def read_estimate(store: Store, run_id: int) -> Estimate | None:
    """What was measured for a run; None where nothing was (yet), or nobody can read it."""
    return latest_value(store.engine, run_id, MEASURED, Estimate)
