"""From a study to its explanation: read, analyse each subspace, judge, assemble."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import optuna

from hpsearch.analysis.advice import more_trials, next_steps, reason
from hpsearch.analysis.axes import Axis, Value
from hpsearch.analysis.explanation import Explanation
from hpsearch.analysis.failures import failure_rules, read_failures
from hpsearch.analysis.frame import COMPLETE, FAILED, PRUNED, Frame, read_study
from hpsearch.analysis.parts import Part, analyse
from hpsearch.analysis.readings import effect_of
from hpsearch.analysis.rules import Rule, rules_of
from hpsearch.analysis.subspaces import subspaces
from hpsearch.errors import InputError

TRUST_LEVEL = 0.05
SURROGATES = ("forest", "exact")


def explain(
    study_or_studies: optuna.Study | Sequence[optuna.Study],
    *,
    level: float = 0.9,
    metric: str | None = None,
    surrogate: str = "forest",
    seed: int = 0,
    good_region: float | None = None,
) -> Explanation:
    """Explain what the trials of any Optuna study say about its parameters.

    Args:
        study_or_studies: the study.
        level: of all intervals, above 0 and below 1.
        metric: name or number of the objective, needed when there are several.
        surrogate: "forest", or "exact" for tables that hold every combination.
        seed: of the forests; the same seed gives the same explanation.
        good_region: the share of trials, the best ones, that keep their values; all others count
            like the worst of these, so that a few disasters do not own the whole variance.

    Raises:
        InputError: one sentence, when nothing can be learned from the study.
    """
    if not 0 < level < 1:
        raise InputError(f"level is {level:g}: give a number above 0 and below 1, such as 0.9.")
    if surrogate not in SURROGATES:
        raise InputError(f"surrogate '{surrogate}' is unknown: use {' or '.join(SURROGATES)}.")
    if seed < 0:
        raise InputError(f"seed is {seed}: give 0 or a larger number.")
    frame = read_study(_one(study_or_studies), metric)
    if good_region is not None:
        frame = _clipped(frame, good_region)
    found, notes = subspaces(frame)
    if not found:
        raise InputError(
            f"no parameter of study '{frame.study}' was used by enough trials: run more trials."
        )
    # A branch draws the random numbers that its trials alone, as a study, would draw.
    parts = [
        analyse(frame, space, level, surrogate, _stream(seed, int(space.rows.sum())))
        for space in found
    ]
    return _assemble(
        frame, parts, notes, _stream(seed, 0), level=level, surrogate=surrogate, seed=seed
    )


def _clipped(frame: Frame, share: float) -> Frame:
    """The frame with values no worse than the quantile that `share` of the trials reach."""
    if not 0 < share <= 1:
        raise InputError(f"good_region is {share:g}: give a share above 0 and at most 1.")
    known = frame.final[np.isfinite(frame.final)]
    worst = float(np.quantile(known, 1 - share if frame.maximize else share))
    final = (np.maximum if frame.maximize else np.minimum)(frame.final, worst)
    if np.ptp(final[np.isfinite(final)]) == 0:
        raise InputError(f"good_region {share:g} leaves one value only: give a larger share.")
    note = f"Values worse than {worst:.4g} are read as that: the best {share:.0%} keep theirs."
    return replace(frame, final=final, notes=(*frame.notes, note))


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
    parts: Sequence[Part],
    notes: Sequence[str],
    stream: np.random.SeedSequence,
    *,
    level: float,
    surrogate: str,
    seed: int,
) -> Explanation:
    alpha = TRUST_LEVEL / len(parts)
    trusted, main = [part for part in parts if part.trusted(alpha)], parts[0]
    first, second = stream.spawn(2)
    rules = failure_rules(frame, level, second)
    for part in trusted:
        rules += rules_of(part.readings, frame.metric)
    rules = [_with_origin(frame, rule, seed) for rule in rules] if trusted else []
    more = None if rules else more_trials(main, trusted=bool(trusted))
    best = _best_row(frame)
    return Explanation(
        study=frame.study,
        metric=frame.metric,
        maximize=frame.maximize,
        level=level,
        surrogate=surrogate,
        seed=seed,
        n_trials=frame.n_trials,
        n_complete=int(np.sum(frame.state == COMPLETE)),
        n_pruned=int(np.sum(frame.state == PRUNED)),
        n_failed=int(np.sum(frame.state == FAILED)),
        n_configurations=len(np.unique(frame.group)),
        cohorts=dict(Counter(cohort for cohort in frame.cohort if cohort)),
        trusted=bool(trusted),
        reason=None if rules else reason(main, trusted=bool(trusted)),
        more_trials=more,
        next_steps=next_steps(frame, more, rules, trusted=bool(trusted)),
        quality=main.quality,
        noise=main.noise,
        best_value=float(frame.value[best]),
        best_params=_params(frame, best),
        importances=tuple(i for part in parts for i in part.importances),
        remainder=main.remainder,
        effects=tuple(effect_of(reading) for part in parts for reading in part.readings),
        rules=tuple(rules),
        surfaces=tuple(surface for part in trusted for surface in part.surfaces),
        failures=read_failures(frame, first),
        notes=(*frame.notes, *notes, *_constant_notes(frame)),
        frame=frame,
        fits=tuple((part.subspace, part.fitted) for part in parts),
        versions=_versions(),
    )


def _best_row(frame: Frame) -> int:
    """The best complete trial; the best pruned one where none is complete."""
    score = frame.value if frame.maximize else -frame.value
    counts = frame.state == COMPLETE
    return int(np.nanargmax(np.where(counts, score, np.nan) if counts.any() else score))


def _params(frame: Frame, row: int) -> dict[str, Value]:
    return {
        axis.name: axis.from_unit(float(frame.unit[row, column]))
        for column, axis in enumerate(frame.axes)
        if not math.isnan(frame.unit[row, column])
    }


def _constant_notes(frame: Frame) -> list[str]:
    return [f"'{name}' was always {value}: nothing to learn." for name, value in frame.constants]


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
