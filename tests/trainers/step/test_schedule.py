"""The one-cycle schedule at the points where its values are known in closed form."""

import numpy as np
import pytest

from hpsearch.trainers.step.schedule import OneCycle, cosine


def test_the_rate_starts_at_a_25th_peaks_after_a_quarter_and_ends_near_a_100000th():
    cycle = OneCycle(steps=1000, pct_start=0.25, moms=(0.8, 0.7))
    assert cycle.at(0) == pytest.approx((1 / 25, 0.8))
    assert cycle.at(250) == pytest.approx((1.0, 0.7))
    share, momentum = cycle.at(999)
    assert share < 2e-5
    assert momentum == pytest.approx(0.8, abs=1e-6)


def test_halfway_up_and_halfway_down_a_cosine_is_at_the_mean_of_its_ends():
    cycle = OneCycle(steps=800, pct_start=0.25, moms=(0.95, 0.85))
    assert cycle.at(100) == pytest.approx(((1 + 1 / 25) / 2, 0.9))
    assert cycle.at(500) == pytest.approx(((1 + 1e-5) / 2, 0.9))


@pytest.mark.parametrize(("steps", "pct_start"), [(7, 0.25), (40, 0.5), (1000, 0.05)])
def test_every_step_is_on_its_half_of_a_cosine(steps, pct_start):
    position = np.arange(steps) / steps
    up = (1 - np.cos(np.pi * position / pct_start)) / 2
    down = (1 + np.cos(np.pi * (position - pct_start) / (1 - pct_start))) / 2
    rising = position < pct_start
    share = np.where(rising, 0.04 + 0.96 * up, 1e-5 + (1 - 1e-5) * down)
    momentum = np.where(rising, 0.8 - 0.1 * up, 0.8 - 0.1 * down)
    cycle = OneCycle(steps, pct_start, (0.8, 0.7))
    np.testing.assert_allclose([cycle.at(i) for i in range(steps)], np.c_[share, momentum])


@pytest.mark.parametrize("pct_start", [0.0, 1.0])
def test_a_cycle_may_only_fall_or_only_rise(pct_start):
    shares = [OneCycle(10, pct_start).at(step)[0] for step in range(10)]
    assert shares == sorted(shares, reverse=pct_start == 0)


def test_cosine_passes_through_its_ends():
    assert cosine(3.0, 5.0, 0) == pytest.approx(3)
    assert cosine(3.0, 5.0, 1) == pytest.approx(5)


def test_the_highest_rate_of_an_epoch_is_the_peak_where_it_holds_it_and_else_its_edge():
    cycle = OneCycle(steps=400, pct_start=0.25)
    assert cycle.highest(range(200)) == 1
    assert cycle.highest(range(200, 400)) == cycle.at(200)[0] < 1
    assert cycle.highest(range(50)) == cycle.at(49)[0] < 1
