"""When a forest is better than chance: with several branches, and where noise differs in places."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution

from hpsearch.analysis import explain
from hpsearch.analysis.surrogate import fit
from hpsearch.analysis.surrogate.fit import Null, joint_p_values, refits_by_chance
from hpsearch.analysis.surrogate.forest import Settings, Table


def branches(studies, n_branches, n, *, effect):
    """`model` i adds i / 2; inside it only |p_i| matters, `effect` times."""
    rng = np.random.default_rng(0)
    space = {"model": CategoricalDistribution(list(range(n_branches)))}
    space |= {f"p{i}": studies.unit for i in range(n_branches)}
    rows, values = [], []
    for model, p in zip(rng.integers(n_branches, size=n), rng.random(n), strict=True):
        rows.append({"model": int(model), f"p{model}": float(p)})
        values.append(model / 2 + effect * 3 * abs(2 * p - 1) + 0.05 * rng.normal())
    return studies.of(rows, values, space, direction="minimize")


@pytest.fixture(scope="module")
def four(studies):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "N_REFITS", 19)
        return explain(branches(studies, 4, 160, effect=1.0))


def test_every_branch_of_four_gets_its_rule(four):
    rules = {rule.param: rule for rule in four.rules}
    assert set(rules) >= {"p0", "p1", "p2", "p3"}
    assert [rules[f"p{i}"].value for i in range(4)] == pytest.approx([0.5] * 4, abs=0.12)


def test_what_branches_explain_is_part_of_the_total(four):
    """The variance of i / 2 over four models is .3125, that of 3 |2 p - 1| is .75."""
    model = next(i for i in four.importances if i.params == ("model",))
    assert model.share == pytest.approx(0.3125 / (0.3125 + 0.75), abs=0.07)
    assert model.low < 0.294 < model.high
    inside = {i.params[0]: i.share for i in four.main_importances}
    assert min(inside[f"p{i}"] for i in range(4)) > 0.9
    assert model.share + four.remainder == pytest.approx(1.0)


def test_one_strong_forest_does_not_vouch_for_a_weak_one():
    chance = np.random.default_rng(0).normal(-0.1, 0.1, (3, 59))
    strong, weak, none = joint_p_values(
        [Null(row, r2) for row, r2 in zip(chance, (0.7, 0.05, -0.1), strict=True)]
    )
    assert strong == 1 / 60
    assert weak > 0.05
    assert none > 0.5


def test_joint_p_values_keep_their_level():
    """Of 400 families of five forests with nothing to find, 5% have a p-value of .05 or less."""
    rng = np.random.default_rng(0)
    below = 0
    for _ in range(400):
        family = rng.normal(size=(5, 60)) * rng.uniform(0.5, 2, (5, 1))
        below += min(joint_p_values([Null(row[1:], row[0]) for row in family])) <= 0.05
    assert below / 400 == pytest.approx(0.05, abs=0.033)  # three standard errors


def test_chance_reaches_farther_where_noise_differs_over_the_space():
    """Signs keep the noise of each place: where it is 15 times as large in a corner as elsewhere,
    R2 by chance varies more than with the same values in any order."""
    rng = np.random.default_rng(3)
    x = rng.random((100, 3)).astype(np.float32)
    y = rng.normal(size=100) * np.where(x[:, 0] > 0.8, 15.0, 1.0)

    def spread(values):
        table = Table(x, values, np.arange(100), np.zeros(3, np.int64))
        return refits_by_chance(table, Settings(leaf=3), np.random.SeedSequence(0)).r2.std()

    assert spread(y) > 1.3 * spread(rng.permutation(y))
