"""The plan of a study: which trials a run adds, in which cohort, with which seed.

Inference needs an unbiased design and a good model needs exploitation, so a study has three
cohorts: the baseline (the published defaults, once), the design (scrambled Sobol points, never
pruned, some of them replicated under another seed: the noise floor) and exploitation (TPE).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial

from hpsearch.search.plan.prior import Prior, count_of
from hpsearch.store.queue import taken_trials
from hpsearch.store.queue.queue import Planned
from hpsearch.store.tables import attributes
from hpsearch.study.conditions import When, active
from hpsearch.study.space import Space, space_from_unit

BASELINE = "baseline"
DESIGN = "design"
EXPLOIT = taken_trials.EXPLOIT
ENQUEUED = taken_trials.ENQUEUED
"""What somebody asked for, with run --try, hpsearch enqueue or Optuna's enqueue_trial."""
WARM_START = "warm-start"
"""The best of earlier studies."""
PRIOR = "prior"
"""What the rules of earlier studies name, or drawn from what they expect."""

REPLICATED_SHARE = 0.1
FEWEST_TO_REPLICATE = 4
"""A design of fewer trials spends none on a replicate."""


@dataclass(frozen=True)
class History:
    """What earlier runs planned: enough to go on where they stopped.

    `design` holds the design's configurations in the order of their Sobol points as (trial number,
    params), `replicated` the numbers of those that already have a replicate, and `priors` is how
    many trials were drawn from a prior.
    """

    has_baseline: bool
    design: tuple[tuple[int, Mapping[str, Any]], ...]
    replicated: frozenset[int]
    replicates: int
    priors: int = 0

    @classmethod
    def of(cls, trials: Sequence[FrozenTrial]) -> History:
        """Read from the user attributes of a study's trials, in the order of their numbers."""
        cohorts = [(trial, trial.user_attrs.get(attributes.COHORT)) for trial in trials]
        copies = [
            trial.user_attrs[attributes.REPLICATE_OF]
            for trial, cohort in cohorts
            if cohort == DESIGN and attributes.REPLICATE_OF in trial.user_attrs
        ]
        return cls(
            has_baseline=any(cohort == BASELINE for _, cohort in cohorts),
            design=tuple(
                (trial.number, trial.params)
                for trial, cohort in cohorts
                if cohort == DESIGN and attributes.REPLICATE_OF not in trial.user_attrs
            ),
            replicated=frozenset(copies),
            replicates=len(copies),
            priors=sum(cohort == PRIOR for _, cohort in cohorts),
        )


def trial_seed(study_seed: int, number: int) -> int:
    """The seed of a study's trial `number`: the same on every machine, below 2**31."""
    return int(np.random.SeedSequence([study_seed, number]).generate_state(1)[0] >> 1)


@dataclass(frozen=True)
class Request:
    """What a run asks for: so many trials, first among them its `tries`.

    Each of the `tries` is a cohort and a configuration, in part or whole. `design_share` of the
    other trials, but for the baseline, are design trials. With a `prior`, the first of those that
    exploit are its. The values of `fix` hold in all trials; a try may override them. `when` says
    which parameters a trial has only under values of others.
    """

    trials: int
    design_share: float = 0.5
    fix: Mapping[str, Any] = field(default_factory=dict)
    tries: Sequence[tuple[str, Mapping[str, Any]]] = ()
    prior: Prior | None = None
    when: When = field(default_factory=dict)


def plan(
    space: Space,
    defaults: Mapping[str, Any],
    request: Request,
    *,
    first: int,
    seed: int,
    history: History,
) -> list[Planned]:
    """The trials of a run on a study with this history; the first gets the number `first`.

    First come the request's tries, then, once in a study, the baseline, then what the prior gives.
    The design trials are the Sobol points that follow those of the history, then replicates. The
    rest exploit.
    """
    planned: list[Planned] = []
    trials, fixed = request.trials, dict(request.fix)

    def add(cohort: str, params: Mapping[str, Any], replicate_of: int | None = None) -> None:
        number = first + len(planned)
        params = active(params, request.when)
        planned.append(Planned(cohort, trial_seed(seed, number), params, replicate_of))

    for cohort, config in request.tries[:trials]:
        add(cohort, {**fixed, **config})
    if trials > len(planned) and not history.has_baseline:
        add(BASELINE, {**defaults, **fixed})
    rest = trials - len(planned)
    size = int(rest * request.design_share + 0.5)
    drawn = _of_prior(request, rest - size, defaults, seed, history)
    for config in drawn:
        add(PRIOR, {**config, **fixed})
    copies = _replicates(size, history)
    configurations = [one for one in history.design if fixed.items() <= one[1].items()]
    for point in sobol(space, seed, start=len(history.design), count=size - copies):
        configuration = {**point, **fixed}
        configurations.append((first + len(planned), configuration))
        add(DESIGN, configuration)
    for number, params in _choose(configurations, history.replicated, copies, seed):
        add(DESIGN, params, number)
    for _ in range(rest - size - len(drawn)):
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


def _of_prior(
    request: Request, exploit: int, defaults: Mapping[str, Any], seed: int, history: History
) -> list[dict[str, Any]]:
    """The configurations that the prior gives, of so many trials that would exploit."""
    if request.prior is None:
        return []
    count = count_of(exploit, history.priors)
    generator = np.random.default_rng([seed, 3, history.priors])
    return request.prior.configurations(count, defaults, generator)


def _replicates(size: int, history: History) -> int:
    """How many of the next `size` design trials repeat a configuration.

    Over the whole study, one in ten configurations gets a replicate. As soon as the design has four
    trials, at least one configuration gets a replicate.
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
