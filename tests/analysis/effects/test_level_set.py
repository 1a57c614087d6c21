"""The set of values that may be as good as the best holds all that are, in as many pieces."""

from __future__ import annotations

import numpy as np
import pytest

from hpsearch.analysis import explain
from hpsearch.analysis.effects.level_set import level_set, stretches
from hpsearch.analysis.effects.partial_residuals import WIDEN, Marginal
from hpsearch.analysis.surrogate import fit
from hpsearch.errors import InputError

POINTS = np.linspace(0.0, 1.0, 101)
TWO_PEAKS = np.exp(-(((POINTS - 0.2) / 0.1) ** 2)) + 0.9 * np.exp(-(((POINTS - 0.8) / 0.1) ** 2))
PLATEAU = -np.maximum(POINTS - 0.5, 0.0)


def known(curve):
    """A curve about which nothing is uncertain."""
    return Marginal(curve, curve[None], curve[None])


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(("curve", "pieces"), [(TWO_PEAKS, 2), (PLATEAU, 1), (-PLATEAU, 1)])
def test_of_a_known_curve_it_is_what_lies_within_worth_of_the_best(curve, pieces, sign):
    inside = level_set(known(sign * curve), sign, 0.1501, 0.9)
    assert np.array_equal(inside, curve >= curve.max() - 0.1501)
    assert len(stretches(POINTS, inside, 0.01)) == pieces


def test_equal_values_of_a_table_are_equally_good():
    curve = np.array([0.1 + 0.2, 0.3, 0.0])
    assert level_set(known(curve), 1.0, 0.0, 0.9).tolist() == [True, True, False]


def test_a_distance_is_as_uncertain_as_the_copies_or_the_model_say_whichever_is_more():
    mean = np.zeros(3)
    copies = np.array([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])
    covariance = np.diag([0.0, 0.25, 4.0])
    marginal = Marginal(mean, copies, copies, covariance=covariance)
    errors, spread = marginal.distances(0)
    assert np.array_equal(errors, copies)
    assert spread == pytest.approx([0.0, 1.0, 2.0])
    errors, spread = Marginal(mean, copies, copies).distances(0)
    assert np.array_equal(errors, WIDEN * copies)
    assert spread == pytest.approx([0.0, WIDEN, 0.0])


@pytest.mark.parametrize("curve", [TWO_PEAKS, PLATEAU])
def test_it_holds_all_values_as_good_as_the_best_nine_times_in_ten_and_shrinks_to_them(curve):
    rng = np.random.default_rng(0)
    smooth = np.exp(-0.5 * ((POINTS[:, None] - POINTS) / 0.1) ** 2)
    root = np.linalg.cholesky(smooth + 1e-6 * np.eye(101))
    good, sizes = curve >= curve.max() - 0.1, []
    for noise in (0.03, 0.01):
        holds, size = [], []
        for _ in range(100):
            mean = curve + noise * root @ rng.normal(size=101)
            copies = mean + noise / WIDEN * rng.normal(size=(100, 101)) @ root.T
            inside = level_set(Marginal(mean, copies, copies), 1.0, 0.1, 0.9)
            holds.append(inside[good].all())
            size.append(inside.mean())
        assert np.mean(holds) >= 0.85
        sizes.append(np.mean(size))
    assert good.mean() <= sizes[1] < sizes[0]
    assert sizes[1] < good.mean() + 0.03


@pytest.fixture(scope="module")
def peaks(studies):
    """x0 has two peaks of height 3, x1 rises by .6."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "N_REFITS", 19)
        yield studies.uniform(
            lambda p: sum(3 * np.exp(-(((p[:, 0] - at) / 0.1) ** 2)) for at in (0.2, 0.8))
            + 0.6 * p[:, 1],
            120, 2, noise=0.2,
        )  # fmt: skip


def test_a_rule_names_both_of_two_peaks_and_what_all_else_costs(peaks):
    rule = explain(peaks, worth=0.2).rules[0]
    (first, second) = rule.pieces
    assert first[0] < 0.2 < first[1] < 0.4
    assert 0.6 < second[0] < 0.8 < second[1]
    assert (rule.low, rule.high, rule.worth) == (first[0], second[1], 0.2)
    assert " or " in rule.advice
    assert "All other values are surely worse by more than 0.2." in rule.statement


def test_what_is_not_worth_having_changes_nothing(peaks):
    kinds = {rule.param: rule.kind for rule in explain(peaks, worth=2.0).rules}
    assert kinds == {"x0": "optimum", "x1": "no-effect"}


@pytest.mark.parametrize("worth", [-0.1, float("nan"), float("inf")])
def test_worth_is_a_number_from_0_on(peaks, worth):
    with pytest.raises(InputError, match=r"worth is .*: give 0 or a larger number"):
        explain(peaks, worth=worth)
