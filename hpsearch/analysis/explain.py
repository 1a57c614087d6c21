"""From a study to its explanation, in this order (docs/method.md tells why):

1. trials: `build_frame` reads a study's finished trials (read/frame.py).
2. columns: each parameter becomes an `Axis` on the scale it was sampled on (read/axes.py).
3. `Frame`: all trials as arrays, pruned ones carried on to the full budget (read/pruned.py).
4. `Subspace`: the trials in which the same parameters are active (read/subspaces.py).
5. `Fit` and `Null`: a forest, its exact ANOVA, and the R2 that chance reaches (surrogate/).
6. `PartialResiduals`: each trial's value without what the forest says of the other parameters.
7. `Advice`, `Marginal` and `Curve`: what a parameter's values are worth while the others are set
   well, with copies, gains, optimum and test (effects/).
8. `Components` and `Importance`: shares of the variance (effects/shares.py).
9. `Rule` and `Recommendation`: what a trusted forest says of each value and of all together, and
   what failures say to avoid (rules/).
10. `Explanation`: all of it, which answers further questions (views/) and prints (report/).

Steps 5 to 8 are `analyse` in effects/one_subspace.py, once for each subspace.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import version

import numpy as np
import optuna
from threadpoolctl import threadpool_limits

from hpsearch.analysis.effects.advice import BEST
from hpsearch.analysis.effects.curve import Curve, effect_of
from hpsearch.analysis.effects.failures import ChanceToFail, finishing, read_failures, weighed
from hpsearch.analysis.effects.one_subspace import Settings, SubspaceResults, analyse
from hpsearch.analysis.explanation import Explanation
from hpsearch.analysis.read.axes import Axis, Value
from hpsearch.analysis.read.frame import (
    COMPLETE,
    FAILED,
    PRUNED,
    Frame,
    build_frame,
)
from hpsearch.analysis.read.heavy_tail import without_explosions
from hpsearch.analysis.read.subspaces import subspaces
from hpsearch.analysis.rules.agreement import agreed
from hpsearch.analysis.rules.avoid import beside, failure_rules
from hpsearch.analysis.rules.next_steps import more_trials, next_steps, reason
from hpsearch.analysis.rules.recommendation import that_go_together
from hpsearch.analysis.rules.rules import Rule, rules_of
from hpsearch.analysis.surrogate.fit import joint_p_values
from hpsearch.analysis.views.front import front_of
from hpsearch.analysis.views.tunability import Tunability, tunability
from hpsearch.errors import InputError
from hpsearch.store.trials.columns import TrialColumns
from hpsearch.store.trials.read_columns import columns_of

TRUST_LEVEL = 0.05
FEW_FINISH = 0.5  # a value at which surely fewer of the runs finish is never named
SURROGATES = ("forest", "exact")


def explain(
    study_or_studies: optuna.Study | Sequence[optuna.Study],
    *,
    level: float = 0.9,
    metric: str | None = None,
    surrogate: str = "forest",
    seed: int = 0,
    good_region: float | None = None,
    worth: float | None = None,
) -> Explanation:
    """Explain what the trials of any Optuna study say about its parameters.

    Source: docs/method.md, sections 1 to 5; functional ANOVA of a forest is due to Hutter, Hoos and
    Leyton-Brown (2014).

    Args:
        study_or_studies: the study, or a list that holds one.
        level: of all intervals, above 0 and below 1.
        metric: name or number of the objective. None: all of them where there are several.
        surrogate: "forest", or "exact" for tables that hold every combination.
        seed: of the forests; the same seed gives the same explanation.
        good_region: at each value of a parameter, the share of the space in which the other
            parameters count as set well. Rules speak of that part. None: a quarter; 1: all of it.
        worth: the smallest difference of the metric that is worth having, in its unit. Values that
            cost less count as equally good. None: half of what repeating a good trial varies by.

    Returns:
        Shares, effects and rules with intervals. Without trust in the forest there are no rules,
        and `reason` says why. Of several objectives it is the first one's explanation, with those
        of the `others` and the `front` of trials between which one has to choose.

    Raises:
        InputError: one sentence, when nothing can be learned from the study.

    Example:
        >>> import optuna
        >>> from hpsearch.analysis import explain
        >>> study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        >>> study.optimize(lambda trial: (trial.suggest_float("x", 0, 1) - 0.3) ** 2, n_trials=60)
        >>> explanation = explain(study)
        >>> explanation.trusted, explanation.rules[0].kind
        (True, 'optimum')
    """
    if not 0 < level < 1:
        raise InputError(f"level is {level:g}: give a number above 0 and below 1, such as 0.9.")
    if surrogate not in SURROGATES:
        raise InputError(f"surrogate '{surrogate}' is unknown: use {' or '.join(SURROGATES)}.")
    if seed < 0:
        raise InputError(f"seed is {seed}: give 0 or a larger number.")
    if good_region is not None and not 0 < good_region <= 1:
        raise InputError(f"good_region is {good_region:g}: give a share above 0 and at most 1.")
    if worth is not None and not 0 <= worth < math.inf:
        raise InputError(f"worth is {worth:g}: give 0 or a larger number, in the metric's unit.")
    study, best = _one(study_or_studies), BEST if good_region is None else good_region
    settings = Settings(level, surrogate, best, worth)
    trials = columns_of(study)
    # Most matrices are small: threads that wait for the next one take more time than they save.
    with threadpool_limits(1, "blas"):
        if metric is None and len(trials.directions) > 1:
            if worth is not None:
                names = ", ".join(trials.objectives)
                raise InputError(
                    f"worth is in the unit of one metric: say which by metric ({names})."
                )
            return _explain_each(study, trials, settings, seed)
        return _explain_frame(build_frame(trials, metric), settings, seed)


def _explain_each(
    study: optuna.Study, trials: TrialColumns, settings: Settings, seed: int
) -> Explanation:
    """All objectives. One that cannot be explained becomes a note, unless none can be."""
    explained: list[Explanation] = []
    refused: list[InputError] = []
    names = trials.objectives
    for number, name in enumerate(names):
        try:
            explained.append(_explain_frame(build_frame(trials, str(number)), settings, seed))
        except InputError as error:
            refused.append(InputError(f"{name}: {error}"))
    if not explained:
        raise refused[0]
    first, *others = explained
    return replace(
        first,
        notes=(*first.notes, *map(str, refused)),
        others=tuple(others),
        front=front_of(study, names),
    )


def _explain_frame(frame: Frame, settings: Settings, seed: int) -> Explanation:
    if settings.surrogate != "exact":  # which has no noise to lessen
        frame = without_explosions(frame)
    if settings.best != BEST:
        note = f"The best {settings.best:.0%} of the space at each value count as set well."
        frame = replace(frame, notes=(*frame.notes, note))
    found, notes = subspaces(frame)
    if not found:
        raise InputError(
            f"no parameter of study '{frame.study}' was used by enough trials: run more trials."
        )
    # The random numbers of a subspace depend only on the seed and its number of trials. So a branch
    # gets the same random numbers as a study that consists of these trials alone.
    results: list[SubspaceResults] = []
    for space in sorted(
        found, key=lambda space: int(space.rows.sum())
    ):  # what is inside comes first
        size = int(space.rows.sum())
        branches = [one for one in results if one.subspace.is_inside(space)]
        results.append(analyse(frame, space, settings, _stream(seed, size), branches))
    results.sort(key=lambda one: found.index(one.subspace))
    return _assemble(frame, results, notes, settings, seed)


def _stream(seed: int, n_rows: int) -> np.random.SeedSequence:
    return np.random.SeedSequence([seed, n_rows])


def _one(study_or_studies: optuna.Study | Sequence[optuna.Study]) -> optuna.Study:
    if isinstance(study_or_studies, optuna.Study):
        return study_or_studies
    studies = list(study_or_studies)
    if len(studies) != 1:
        raise InputError(
            f"explain reads one study at a time, not {len(studies)}: explain each, then pool them."
        )
    return studies[0]


def _assemble(
    frame: Frame,
    results: Sequence[SubspaceResults],
    notes: Sequence[str],
    settings: Settings,
    seed: int,
) -> Explanation:
    level, (first, second, third, fourth) = settings.level, _stream(seed, 0).spawn(4)
    avoid = failure_rules(frame, level, second) if _trusted(results) else []
    results = [_weigh_failures(frame, one, avoid, fourth) for one in results]
    trusted, main, named = _trusted(results), results[0], list[Rule]()
    for one in trusted:
        named += rules_of(one.curves, frame.metric)
    rules = [*beside(frame, avoid, named), *named]
    chance = ChanceToFail(frame, third)
    for one in sorted(trusted, key=lambda one: -one.subspace.active):  # what is inside comes last
        rules = agreed(frame, one, rules, level, chance)
    advised = None
    if main in trusted:
        rules, advised = that_go_together(frame, results, rules, level, chance)
    rules = [_with_origin(frame, rule, seed) for rule in rules]
    more = None if rules else more_trials(main, trusted=bool(trusted))
    best = _best_row(frame)
    return Explanation(
        study=frame.study,
        metric=frame.metric,
        maximize=frame.maximize,
        level=level,
        surrogate=settings.surrogate,
        seed=seed,
        n_trials=frame.n_trials,
        n_complete=int(np.sum(frame.state == COMPLETE)),
        n_pruned=int(np.sum(frame.state == PRUNED)),
        n_failed=int(np.sum(frame.state == FAILED)),
        n_configurations=len(np.unique(frame.group)),
        cohorts=dict(Counter(cohort for cohort in frame.cohort if cohort)),
        trusted=bool(trusted),
        reason=None if rules else reason(main, advised, trusted=bool(trusted)),
        more_trials=more,
        next_steps=next_steps(frame, more, rules, trusted=bool(trusted)),
        quality=main.quality,
        noise=main.noise,
        worth=main.worth,
        best_value=float(frame.value[best]),
        best_trial=int(frame.number[best]),
        best_params=frame.params(best),
        importances=tuple(i for one in results for i in one.importances),
        remainder=main.remainder,
        effects=tuple(effect_of(curve) for one in results for curve in one.curves),
        rules=tuple(rules),
        recommendation=advised,
        tunability=None if advised is None else _tunability(frame, main, advised.params),
        surfaces=tuple(surface for one in trusted for surface in one.surfaces),
        failures=read_failures(frame, first),
        notes=(*frame.notes, *notes, *_branch_notes(results, trusted), *_constant_notes(frame)),
        frame=frame,
        fits=tuple((one.subspace, one.fitted) for one in results),
        curves=tuple(curve for one in results for curve in one.curves),
        fits_trusted=tuple(one in trusted for one in results),
        versions=_versions(),
    )


def _weigh_failures(
    frame: Frame, one: SubspaceResults, avoid: Sequence[Rule], stream: np.random.SeedSequence
) -> SubspaceResults:
    """Where a rule says that trials fail, what values gain counts times the chance to finish."""
    where = {rule.param: rule.unit_pieces[0] for rule in avoid}

    def weigh(curve: Curve, column: int) -> Curve:
        if curve.param not in where:
            return curve
        region, copies = where[curve.param], len(curve.marginal.copies)
        finish = finishing(frame, column, curve.grid, region, copies, stream)
        safe = (curve.grid.points < region[0]) | (curve.grid.points > region[1])
        worth = weighed(curve.marginal, curve.sign, curve.default, finish, safe)
        failing = np.quantile(finish[1], curve.level, axis=0) < FEW_FINISH
        return replace(curve, weighed=worth, failing=failing)

    columns = {axis.name: column for column, axis in enumerate(frame.axes)}
    return replace(one, curves=[weigh(curve, columns[curve.param]) for curve in one.curves])


def _tunability(
    frame: Frame, main: SubspaceResults, params: Mapping[str, Value]
) -> Tunability | None:
    """From the study's own defaults to the recommendation; None where it names no defaults."""
    columns = main.subspace.columns
    if not frame.default_given[columns].all():
        return None
    axes = [frame.axes[column] for column in columns]
    best = np.array([axis.to_unit([params[axis.name]])[0] for axis in axes])
    return tunability(main.advice, frame.default[columns], best, frame.bounds)


def _trusted(results: Sequence[SubspaceResults]) -> list[SubspaceResults]:
    """Those whose forest is better than chance, all of them tested together."""
    nulls = [one.null for one in results if one.null is not None]
    p_values = iter(joint_p_values(nulls)) if nulls else iter(())
    better = [one.null is None or next(p_values) <= TRUST_LEVEL for one in results]
    return [
        one
        for one, is_better in zip(results, better, strict=True)
        if is_better and one.may_be_trusted()
    ]


def _branch_notes(
    results: Sequence[SubspaceResults], trusted: Sequence[SubspaceResults]
) -> list[str]:
    """Where there are rules, which branches have none because their forest is not trusted."""
    if not trusted:
        return []
    return [
        f"Among trials with {one.subspace.within} ({one.subspace.rows.sum()}) the parameters do "
        "not predict the metric better than chance: no rules about what only these have."
        for one in results[1:]
        if one not in trusted
    ]


def _best_row(frame: Frame) -> int:
    """The best complete trial; the best pruned one where none is complete."""
    score = frame.value if frame.maximize else -frame.value
    counts = frame.state == COMPLETE
    return int(np.nanargmax(np.where(counts, score, np.nan) if counts.any() else score))


def _constant_notes(frame: Frame) -> list[str]:
    return [f"'{name}' was always {value}: nothing to learn." for name, value in frame.constants]


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("optuna", "scikit-learn", "numpy")}


def _with_origin(frame: Frame, rule: Rule, seed: int) -> Rule:
    """The rule with the ranges of the other parameters, and where it comes from."""
    others = {axis.name: _extent(axis) for axis in frame.axes if axis.name != rule.param}
    others |= {name: (value,) for name, value in frame.constants}
    cohorts = dict(Counter(cohort for cohort in frame.cohort if cohort))
    return replace(
        rule,
        validity=others,
        provenance={
            "study": frame.study,
            "trials": [int(frame.number.min()), int(frame.number.max())],
            "cohorts": cohorts,
            "seed": seed,
            "versions": _versions(),
        },
    )


def _extent(axis: Axis) -> tuple[Value, ...]:
    return axis.choices if axis.is_categorical else (axis.from_unit(0.0), axis.from_unit(1.0))
