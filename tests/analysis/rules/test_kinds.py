"""Each kind of rule on the shape that calls for it, and not on the others."""

from __future__ import annotations

import numpy as np
import pytest

from hpsearch.analysis import explain
from hpsearch.analysis.surrogate import fit

N, N_NO_EFFECT = 500, 1500  # to show that nothing is there takes more trials
N_REFITS = 19  # of the test whether a forest is trusted, the fewest for its 5%


def bump(u, centre, width):
    return np.exp(-0.5 * ((u - centre) / width) ** 2)


# Kind -> what x0 does to a metric with a standard deviation of about 1; x1 is a straight line.
SHAPES = {
    "optimum": lambda p: 4 * bump(p[:, 0], 0.4, 0.15),
    "threshold": lambda p: -8 * np.maximum(p[:, 0] - 0.6, 0.0),
    "edge": lambda p: 4 * p[:, 0],
    "conditional": lambda p: -16 * (p[:, 0] - p[:, 1]) ** 2,
    "no-effect": lambda p: 4 * bump(p[:, 1], 0.4, 0.15),
    "avoid": lambda p: 4 * bump(p[:, 1], 0.4, 0.15),
}


@pytest.fixture(scope="module", params=list(SHAPES))
def found(request, studies):
    """(the shape's kind, the kinds of x0's rules); below .2 trials fail where they are to avoid."""
    rng = np.random.default_rng(6)
    points = rng.random((N_NO_EFFECT if request.param == "no-effect" else N, 3))
    values = SHAPES[request.param](points) + 0.6 * rng.normal(size=len(points))
    space = {f"x{j}": studies.unit for j in range(3)}
    rows = [{f"x{j}": float(v) for j, v in enumerate(point)} for point in points]
    dead = (points[:, 0] < 0.2) & (request.param == "avoid") & (rng.random(len(points)) < 0.8)
    alive = np.flatnonzero(~dead)
    study = studies.of([rows[i] for i in alive], values[alive], space)
    study.add_trials([studies.failed(rows[i], space) for i in np.flatnonzero(dead)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "N_REFITS", N_REFITS)
        return request.param, explain(study)


def test_a_shape_yields_its_own_kind_of_rule_and_no_other(found):
    expected, explanation = found
    kinds = {rule.kind for rule in explanation.rules if rule.param == "x0"}
    if expected == "avoid":  # where trials end well x0 changes nothing, and that may be said too
        assert kinds in ({"avoid"}, {"avoid", "no-effect"})
    else:
        assert kinds == {expected}


def test_what_does_nothing_gets_no_other_rule_than_that(found):
    _, explanation = found
    assert {rule.kind for rule in explanation.rules if rule.param == "x2"} <= {"no-effect"}


def test_only_the_shape_with_failures_has_anything_to_avoid(found):
    expected, explanation = found
    avoided = {rule.param for rule in explanation.rules if rule.kind == "avoid"}
    assert avoided == ({"x0"} if expected == "avoid" else set())


def test_a_region_to_avoid_holds_the_failures(found):
    expected, explanation = found
    for rule in explanation.rules:
        if rule.kind == "avoid":
            assert (rule.low, expected) == (0.0, "avoid")
            assert rule.high == pytest.approx(0.2, abs=0.05)
