"""The plan of a study: which trials a run adds, in which cohort, with which seed.

Inference needs an unbiased design and a good model needs exploitation, so a study has three
cohorts: the baseline (the published defaults, once), the design (scrambled Sobol points, never
pruned, some of them replicated under another seed: the noise floor) and exploitation (TPE).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial

from hpsearch.search.space import Space, space_from_unit
from hpsearch.store.queue import Planned

BASELINE = "baseline"
DESIGN = "design"
EXPLOIT = "exploit"
ENQUEUED = "enqueued"
"""What somebody asked for, with run --try, hpsearch enqueue or Optuna's enqueue_trial."""
WARM_START = "warm-start"
"""The best of earlier studies."""

REPLICATED_SHARE = 0.1
FEWEST_TO_REPLICATE = 4
"""A design of fewer trials spends none on a replicate."""


@dataclass(frozen=True)
class History:
    """What earlier runs planned: enough to go on where they stopped.

    `design` holds the design's configurations in the order of their Sobol points as (trial number,
    params), `replicated` the numbers of those that already have a replicate.
    """

    has_baseline: bool
    design: tuple[tuple[int, Mapping[str, Any]], ...]
    replicated: frozenset[int]
    replicates: int

    @classmethod
    def of(cls, trials: Sequence[FrozenTrial]) -> History:
        """Read from the user attributes of a study's trials, in the order of their numbers."""
        cohorts = [(trial, trial.user_attrs.get("hps_cohort")) for trial in trials]
        copies = [
            trial.user_attrs["hps_replicate_of"]
            for trial, cohort in cohorts
            if cohort == DESIGN and "hps_replicate_of" in trial.user_attrs
        ]
        return cls(
            has_baseline=any(cohort == BASELINE for _, cohort in cohorts),
            design=tuple(
                (trial.number, trial.params)
                for trial, cohort in cohorts
                if cohort == DESIGN and "hps_replicate_of" not in trial.user_attrs
            ),
            replicated=frozenset(copies),
            replicates=len(copies),
        )


def trial_seed(study_seed: int, number: int) -> int:
    """The seed of a study's trial `number`: the same on every machine, below 2**31."""
    return int(np.random.SeedSequence([study_seed, number]).generate_state(1)[0] >> 1)


def plan(
    space: Space,
    defaults: Mapping[str, Any],
    *,
    trials: int,
    first: int,
    seed: int,
    history: History,
    design_share: float = 0.5,
    fix: Mapping[str, Any] | None = None,
    tries: Sequence[tuple[str, Mapping[str, Any]]] = (),
) -> list[Planned]:
    """The next `trials` trials of a study whose first will get the number `first`.

    First come `tries`, each a cohort and a configuration, in part or whole, then, once a study, the
    baseline. `design_share` of the others are design trials: the Sobol points that follow those of
    the history, then the replicates; the rest exploit. The values of `fix` hold in all but `tries`.
    """
    planned: list[Planned] = []
    fixed = dict(fix or {})

    def add(cohort: str, params: Mapping[str, Any], replicate_of: int | None = None) -> None:
        number = first + len(planned)
        planned.append(Planned(cohort, trial_seed(seed, number), params, replicate_of))

    for cohort, config in tries[:trials]:
        add(cohort, {**fixed, **config})
    if trials > len(planned) and not history.has_baseline:
        add(BASELINE, {**defaults, **fixed})
    rest = trials - len(planned)
    size = int(rest * design_share + 0.5)
    copies = _replicates(size, history)
    configurations = [one for one in history.design if fixed.items() <= one[1].items()]
    for point in sobol(space, seed, start=len(history.design), count=size - copies):
        configuration = {**point, **fixed}
        configurations.append((first + len(planned), configuration))
        add(DESIGN, configuration)
    for number, params in _choose(configurations, history.replicated, copies, seed):
        add(DESIGN, params, number)
    for _ in range(rest - size):
        add(EXPLOIT, fixed)
    return planned


def sobol(space: Space, seed: int, *, start: int, count: int) -> list[dict[str, Any]]:
    """`count` configurations from the study's scrambled Sobol sequence, the first being `start`."""
    if count <= 0:
        return []
    from scipy.stats import qmc  # half a second that the workers need not spend

    engine = qmc.Sobol(len(space), scramble=True, rng=np.random.default_rng([seed, 1]))
    if start:
        engine.fast_forward(start)
    with warnings.catch_warnings():
        # A sequence is most even at powers of two; a study has as many trials as it can afford.
        warnings.filterwarnings("ignore", message="The balance properties", category=UserWarning)
        points = engine.random(count)
    return [space_from_unit(space, point) for point in points]


def _replicates(size: int, history: History) -> int:
    """How many of the next `size` design trials repeat a configuration.

    So that over the whole study one in ten configurations is replicated, and at least one as soon
    as the design has four trials.
    """
    total = len(history.design) + history.replicates + size
    wanted = round(total * REPLICATED_SHARE / (1 + REPLICATED_SHARE))
    if total >= FEWEST_TO_REPLICATE:
        wanted = max(wanted, 1)
    return min(max(wanted - history.replicates, 0), size)


def _choose(
    configurations: Sequence[tuple[int, Mapping[str, Any]]],
    replicated: frozenset[int],
    count: int,
    seed: int,
) -> list[tuple[int, Mapping[str, Any]]]:
    """`count` configurations at random, those without a replicate before the others."""
    generator = np.random.default_rng([seed, 2, len(configurations)])
    shuffled = [configurations[i] for i in generator.permutation(len(configurations))]
    shuffled.sort(key=lambda one: one[0] in replicated)
    return shuffled[:count]
