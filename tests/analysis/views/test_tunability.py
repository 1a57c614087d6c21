"""What tuning gains, on functions that say it."""

from __future__ import annotations

import pytest

from hpsearch.analysis import explain
from hpsearch.analysis.views import tunability


@pytest.fixture(scope="module")
def explained(studies):
    """x0 ruins the metric above .9, where no default lies; x1 gains 2 from its default."""

    def function(p):
        return -20.0 * (p[:, 0] > 0.9) + 4 * p[:, 1]

    defaults = {"x0": 0.4, "x1": 0.5}
    return explain(studies.uniform(function, 200, 2, noise=0.02, defaults=defaults))


def test_what_owns_the_variance_need_not_be_worth_tuning(explained):
    assert explained.main_importances[0].params == ("x0",)
    gains = {one.param: one for one in explained.tunability.params}
    assert explained.tunability.params[0].param == "x1"
    assert gains["x1"].alone == pytest.approx(2, abs=0.5)
    assert gains["x0"].alone < 0.7


def test_the_path_leads_from_the_defaults_to_the_recommendation(explained):
    found, advised = explained.tunability, explained.recommendation
    assert found.default == pytest.approx(2, abs=0.5)
    assert found.path[0].param == "x1"
    for step in found.path:
        assert step.value == pytest.approx(advised.params[step.param], abs=0.01)
    # What it predicts is too good, as it was picked for that: nothing is better than 4.
    assert 3.9 < advised.predicted.value < found.path[-1].predicted < 4.2
    assert "## What tuning gains" in explained.to_markdown()
    assert "What tuning gains" in explained.to_html()


def test_a_study_without_defaults_has_none(studies):
    assert explain(studies.uniform(lambda p: p[:, 0], 40, 2, noise=0.1)).tunability is None


def test_a_difference_in_the_last_digits_is_no_gain():
    gain = tunability._gain
    assert gain(0.7 + 1e-16, 0.7) == gain(0.7, 0.7 + 2e-14) == 0.0
    assert gain(0.7 + 1e-6, 0.7) == pytest.approx(1e-6)
    assert gain(1e-12, 0.0) == 1e-12  # of a metric that is as small itself
