"""Whether the best value of a parameter moves with what the studies differ in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from hpsearch.analysis.pooling.random_effects import paule_mandel, random_effects
from hpsearch.analysis.pooling.results import MIN_REGRESSION, Moderator
from hpsearch.analysis.read.axes import Floats, Value

MIN_GROUP = 2  # studies of one category
LOG_RATIO = 10.0  # a positive number that varies by more is taken as its logarithm


def moderators(
    facts: Sequence[Mapping[str, Value]], estimates: Floats, errors: Floats, level: float
) -> tuple[Moderator, ...]:
    """How the best value moves with each fact that all studies have and that varies.

    Numbers by meta-regression, categories and numbers that take two values as subgroups, each
    alone. p-values are corrected for the number of facts that were tried (Bonferroni).

    Source: Knapp and Hartung (2003), with the tau of Paule and Mandel.

    Args:
        facts: of k studies, by name.
        estimates: (k,), their best values on the parameter's scale.
        errors: (k,), their standard errors.
        level: of the slopes' intervals.

    Returns:
        The moderators, the smallest p-value first; none for fewer than five studies.

    Example:
        The best value grows by 2 with each unit of x:

        >>> x = np.arange(6.0)
        >>> found = moderators([{"x": v} for v in x], 2 * x + 1, np.full(6, 0.1), 0.9)
        >>> found[0].name, round(found[0].slope, 6), found[0].p_value < 0.01
        ('x', 2.0, True)
    """
    if len(facts) < MIN_REGRESSION:
        return ()
    shared = [name for name in facts[0] if all(name in one for one in facts)]
    found = []
    for name in shared:
        values = [one[name] for one in facts]
        numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        if numeric and len(set(values)) > 2:
            one = _regressed(name, np.array(values, np.float64), estimates, errors, level)
        else:
            one = _grouped(name, values, estimates, errors)
        if one is not None:
            found.append(one)
    corrected = [
        Moderator(**{**vars(one), "p_value": min(one.p_value * len(found), 1.0)}) for one in found
    ]
    return tuple(sorted(corrected, key=lambda one: one.p_value))


def meta_regression(design: Floats, estimates: Floats, errors: Floats) -> tuple[Floats, Floats]:
    """Weighted least squares with the spread between studies: coefficients (p,) and their
    covariance (p, p), which has k - p degrees of freedom.

    Source: Knapp and Hartung (2003), whose factor is at least 1 here; tau^2 is Paule and Mandel's.

    Args:
        design: (k, p), with a column of ones.
        estimates: (k,).
        errors: (k,).

    Example:
        With equal errors far below the scatter it is ordinary least squares:

        >>> x, y = np.array([0.0, 1.0, 2.0, 3.0, 4.0]), np.array([1.0, 0.0, 3.0, 2.0, 5.0])
        >>> b, covariance = meta_regression(np.stack([np.ones(5), x], 1), y, np.full(5, 1e-3))
        >>> ordinary = stats.linregress(x, y)
        >>> bool(np.isclose(b[1], ordinary.slope))
        True
        >>> bool(np.isclose(np.sqrt(covariance[1, 1]), ordinary.stderr))
        True
    """
    variances = np.maximum(errors, 1e-12 * (float(np.abs(estimates).max()) or 1.0)) ** 2
    weights = 1 / (variances + paule_mandel(estimates, variances, design))
    covariance = np.linalg.inv(design.T @ (weights[:, None] * design))
    slopes = covariance @ design.T @ (weights * estimates)
    freedom = len(estimates) - design.shape[1]
    factor = float(np.sum(weights * (estimates - design @ slopes) ** 2)) / freedom
    return np.asarray(slopes), np.asarray(covariance * max(factor, 1.0))


def _regressed(
    name: str, values: Floats, estimates: Floats, errors: Floats, level: float
) -> Moderator | None:
    if not np.isfinite(values).all():
        return None
    log = bool(values.min() > 0 and values.max() > LOG_RATIO * values.min())
    x = np.log(values) if log else values
    slopes, covariance = meta_regression(
        np.stack([np.ones(len(x)), x - x.mean()], axis=1), estimates, errors
    )
    slope, error, freedom = float(slopes[1]), float(np.sqrt(covariance[1, 1])), len(x) - 2
    half = float(stats.t.ppf((1 + level) / 2, freedom)) * error
    p_value = 2 * float(stats.t.sf(abs(slope) / error, freedom))
    return Moderator(name, len(x), log, slope, slope - half, slope + half, (), p_value)


def _grouped(
    name: str, values: Sequence[Value], estimates: Floats, errors: Floats
) -> Moderator | None:
    """Subgroups of two studies or more; None unless two of them hold all studies but a few."""
    labels = np.array([str(value) for value in values])
    known = {str(value): value for value in values}
    groups = [label for label in dict.fromkeys(labels) if (labels == label).sum() >= MIN_GROUP]
    rows = np.isin(labels, groups)
    freedom = int(rows.sum()) - len(groups)
    if len(groups) < 2 or freedom < MIN_REGRESSION - 2:
        return None
    design = np.stack([np.ones(rows.sum()), *((labels[rows] == g) for g in groups[1:])], axis=1)
    slopes, covariance = meta_regression(design.astype(np.float64), estimates[rows], errors[rows])
    b, inner = slopes[1:], covariance[1:, 1:]
    statistic = float(b @ np.linalg.solve(inner, b)) / len(b)
    means = tuple(
        (known[g], int((labels == g).sum()),
         random_effects(estimates[labels == g], errors[labels == g]).mean)
        for g in groups
    )  # fmt: skip
    p_value = float(stats.f.sf(statistic, len(b), freedom))
    return Moderator(name, int(rows.sum()), False, None, None, None, means, p_value)
