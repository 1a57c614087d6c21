"""The wider range that is advised is one that Optuna takes, at the end where the best value is."""

from __future__ import annotations

import pytest

from hpsearch.analysis.estimates import Estimate
from hpsearch.analysis.read.frame import read_study
from hpsearch.analysis.rules.next_steps import next_steps
from hpsearch.analysis.rules.rules import Rule


def edge(name, value, unit_low, unit_high):
    nothing = Estimate(0.0, 0.0, 0.0)
    return Rule(
        param=name, kind="edge", value=value, low=None, high=None, level=0.9, share=nothing,
        gain=None, gain_worst=None, default=None, metric="value", n_trials=2,
        unit_low=unit_low, unit_high=unit_high,
    )  # fmt: skip


def advised(studies, name, distribution, best):
    """The lines for a rule whose interval holds nearly the whole range, as a flat effect's does."""
    rows = [{name: distribution.low}, {name: distribution.high}]
    frame = read_study(studies.of(rows, [0.0, 1.0], {name: distribution}))
    return next_steps(frame, None, [edge(name, best, 0.02, 0.98)], trusted=True)


@pytest.fixture
def distributions(studies):
    return studies.optuna.distributions


@pytest.mark.parametrize(
    ("kind", "options", "best", "expected"),
    [
        ("Float", {"low": 1e-3, "high": 1e3, "log": True}, 1e3, (1e-3, 1e6)),
        ("Float", {"low": 1e-3, "high": 1e3, "log": True}, 1e-3, (1e-6, 1e3)),
        ("Float", {"low": -2.0, "high": 6.0}, -2.0, (-6.0, 6.0)),
        ("Float", {"low": 2.0, "high": 8.0}, 2.0, (0.0, 8.0)),
        ("Float", {"low": 0.1, "high": 0.7, "step": 0.2}, 0.7, (0.1, 1.1)),
        ("Int", {"low": 1, "high": 256, "log": True}, 256, (1, 4096)),
        ("Int", {"low": 2, "high": 200, "log": True}, 2, (1, 200)),
        ("Int", {"low": 8, "high": 18_300, "log": True}, 18_300, (8, 875_247)),
        ("Int", {"low": 3, "high": 11, "step": 4}, 11, (3, 15)),
        ("Int", {"low": 16, "high": 64, "step": 16}, 16, (0, 64)),
    ],
)
def test_the_line_is_valid_and_widens_the_right_end(
    studies, distributions, kind, options, best, expected
):
    distribution = getattr(distributions, f"{kind}Distribution")(**options)
    (line,) = advised(studies, "p", distribution, best)
    trial = studies.optuna.create_study().ask()
    exec(line, {"trial": trial})
    wider = trial.distributions["p"]
    assert (wider.low, wider.high) == pytest.approx(expected, rel=1e-5)
    assert (wider.log, wider.step) == (distribution.log, distribution.step)


@pytest.mark.parametrize(
    ("kind", "options", "best"),
    [
        ("Int", {"low": 1, "high": 256, "log": True}, 1),  # Optuna allows no lower one
        ("Float", {"low": 0.0, "high": 0.5}, 0.0),
        ("Float", {"low": 0.2, "high": 1.0}, 1.0),
    ],
)
def test_where_nothing_lies_beyond_nothing_is_advised(studies, distributions, kind, options, best):
    assert (
        advised(studies, "p", getattr(distributions, f"{kind}Distribution")(**options), best) == ()
    )


def test_a_name_with_quotes_is_pasted_whole(studies, distributions):
    (line,) = advised(studies, 'a"b', distributions.FloatDistribution(2.0, 8.0), 8.0)
    trial = studies.optuna.create_study().ask()
    exec(line, {"trial": trial})
    assert trial.params.keys() == {'a"b'}
