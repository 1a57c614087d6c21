"""Advice is for where the other parameters are set well, and says where the mean says otherwise."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from optuna.distributions import IntDistribution

from hpsearch.analysis import explain
from hpsearch.errors import InputError

GRID = (np.arange(200) + 0.5) / 200


@pytest.fixture(scope="module")
def table():
    """Three parameters of four values each, all combinations: (the table, a study's arguments)."""
    values = np.random.default_rng(3).random((4, 4, 4))
    space = {name: IntDistribution(0, 3) for name in "abc"}
    rows = [dict(zip("abc", cell, strict=True)) for cell in itertools.product(range(4), repeat=3)]
    return values, (rows, values.ravel(), space)


@pytest.mark.parametrize(("share", "cells"), [(None, 4), (0.5, 8), (1.0, 16)])
def test_a_full_table_gives_the_mean_of_the_best_cells_at_each_value(studies, table, share, cells):
    values, given = table
    explained = explain(studies.of(*given), surrogate="exact", good_region=share)
    for axis, effect in enumerate(explained.effects):
        ordered = np.sort(np.moveaxis(values, axis, 0).reshape(4, 16), axis=1)[:, ::-1]
        assert effect.mean == pytest.approx(ordered[:, :cells].mean(axis=1), abs=1e-6)
        assert effect.whole == pytest.approx(ordered.mean(axis=1), abs=1e-6)


def moving(p):
    """The best x0 is .2 + .6 x1, and x1 should be .8."""
    return -12 * (p[:, 0] - 0.2 - 0.6 * p[:, 1]) ** 2 - 6 * (p[:, 1] - 0.8) ** 2


@pytest.fixture(scope="module")
def true_best():
    """x0 at the best of the mean over all x1, and over the best quarter of x1."""
    x0, x1 = np.meshgrid(GRID, GRID, indexing="ij")
    surface = np.sort(moving(np.column_stack([x0.ravel(), x1.ravel()])).reshape(200, 200), axis=1)
    return GRID[surface.mean(axis=1).argmax()], GRID[surface[:, 150:].mean(axis=1).argmax()]


def test_a_curve_is_best_where_the_others_are_set_well(studies, true_best):
    mean, good = true_best
    assert good > mean + 0.1
    explained = explain(studies.uniform(moving, 100, 3, noise=0.2))
    effect = next(effect for effect in explained.effects if effect.param == "x0")
    assert effect.best == pytest.approx(good, abs=0.05)
    assert effect.unit[np.argmax(effect.whole)] == pytest.approx(mean, abs=0.06)


def test_a_rule_says_where_the_mean_over_the_whole_space_is_best_elsewhere(studies):
    """A high x0 is best of all, but only where x1 is high; elsewhere x0 must be low."""

    def pocket(p):
        high = p[:, 1] > 0.6
        return np.where(high, 3 * np.exp(-18 * (p[:, 0] - 0.8) ** 2), -4 * p[:, 0])

    explained = explain(studies.uniform(pocket, 150, 2, noise=0.1))
    effect = next(effect for effect in explained.effects if effect.param == "x0")
    assert effect.best == pytest.approx(0.8, abs=0.07)
    assert effect.unit[np.argmax(effect.whole)] < 0.5
    rule = next(rule for rule in explained.rules if rule.param == "x1")
    assert rule.mean_value == explained.effects[1].values[np.argmax(explained.effects[1].whole)]
    assert not rule.mean_differs
    elsewhere = replace(rule, kind="optimum", low=0.7, high=0.9, mean_value=0.12)
    assert elsewhere.mean_differs
    assert "On average over the whole space 0.12 is best" in elsewhere.statement


def test_a_share_of_the_space_is_above_0_and_at_most_1(studies):
    study = studies.uniform(lambda p: p[:, 0], 30, 2)
    for share in (0.0, 1.2):
        with pytest.raises(InputError, match=r"good_region is .*: give a share above 0"):
            explain(study, good_region=share)
