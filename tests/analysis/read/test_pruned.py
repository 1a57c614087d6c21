"""What pruned trials would have reached, where the truth is known."""

import numpy as np
import pytest

from hpsearch.analysis.read.pruned import MAX_MODELS, at_full_budget
from hpsearch.store.trials.columns import Reports

SLOPE = 0.5


def carried_on(unit, early, final, stopped):
    """Of trials with one report at step 1; those that are `stopped` know no more than it."""
    n = len(early)
    value, last = np.where(stopped, early, final), np.where(stopped, 1.0, 9.0)
    reports = Reports(np.arange(n), np.ones(n), early)
    return at_full_budget(value, stopped, last, reports, unit, np.zeros(unit.shape[1], int))


def test_stopped_trials_are_carried_on_by_those_that_went_on():
    """Final values are 2 + 0.5 times the report; the parameter says nothing."""
    early = np.linspace(0.0, 1.0, 20)
    found = carried_on(np.zeros((20, 1)), early, 2 + SLOPE * early, early < 0.5)
    assert found == pytest.approx(2 + SLOPE * early)


def test_a_first_report_that_says_nothing_of_the_end_makes_no_good_trial_bad():
    """The end depends on x alone, and so does the first report but for its noise. Of the good half
    whatever begins below its middle is stopped, as a search stops trials where it looks most."""
    rng = np.random.default_rng(0)
    x = rng.random((300, 3))
    good = x[:, 0] > 0.5
    final = 0.6 + 0.2 * good + rng.normal(0, 0.005, 300)
    early = 0.53 + 0.08 * good + rng.normal(0, 0.03, 300)
    stopped = good & (early < 0.61)
    found = carried_on(x, early, final, stopped)
    assert found[~stopped] == pytest.approx(final[~stopped])
    assert found[stopped].mean() == pytest.approx(0.8, abs=0.01)


def test_a_report_that_says_much_counts_beside_the_parameters():
    """final = 3 x0 + report, and the report is random: the worse half stops."""
    rng = np.random.default_rng(1)
    x, early = rng.random((400, 3)), rng.normal(size=400)
    final = 3 * x[:, 0] + early + rng.normal(0, 0.05, 400)
    stopped = (early < 0) & (np.arange(400) % 4 > 0)
    found = carried_on(x, early, final, stopped)
    off = found[stopped] - final[stopped]
    assert abs(off.mean()) < 0.1
    assert off.std() < 0.25


def test_more_epochs_gain_although_they_report_less_at_first():
    """final = epochs, and the first report of a trial of many epochs lags behind by twice as much.
    The lower 60% are stopped: most of the trials that would gain. The line through the reports
    alone of the 16 that went on says that more epochs are worse."""
    rng = np.random.default_rng(2)
    epochs, other = rng.random((2, 40))
    final = epochs + rng.normal(0, 0.5, 40)
    early = final - 2 * epochs + rng.normal(0, 0.05, 40)
    stopped = early < np.quantile(early, 0.6)
    found = carried_on(np.column_stack([epochs, other]), early, final, stopped)
    gain, truth = (np.polyfit(epochs, values, 1)[0] for values in (found, final))
    assert gain == pytest.approx(truth, abs=0.1)
    assert np.abs(found - final)[stopped].mean() < 0.1


def test_a_report_that_says_no_more_than_the_parameters_counts_nothing():
    """The end follows from the parameters alone, of which the report is a noisy picture."""
    rng = np.random.default_rng(0)
    x = rng.random((120, 3))
    final = (x[:, 0] - 0.3) ** 2 + 0.2 * x[:, 1]
    early = final + 0.5 + rng.normal(0, 0.02, 120)
    stopped = np.arange(120) >= 60
    found = carried_on(x, early, final, stopped)
    assert np.abs(found - final)[stopped].mean() < 0.005


def test_a_category_that_is_not_active_is_none_of_the_others():
    """Three categories and none end at 0, 1, 2 and 5; the report is the same for all."""
    kind = np.arange(48) % 4
    unit = np.where(kind == 3, np.nan, (kind + 0.5) / 3)[:, None]
    final = np.array([0.0, 1.0, 2.0, 5.0])[kind]
    stopped = np.arange(48) >= 32
    value, last = np.where(stopped, 0.0, final), np.where(stopped, 1.0, 9.0)
    reports = Reports(np.arange(48), np.ones(48), np.zeros(48))
    found = at_full_budget(value, stopped, last, reports, unit, np.array([3]))
    assert found == pytest.approx(final, abs=0.1)


def test_a_few_diverged_trials_move_the_others_little():
    rng = np.random.default_rng(2)
    x, early = rng.random((200, 2)), rng.random(200)
    final = x[:, 0] + SLOPE * early
    final[:5] = 1e6
    stopped = np.arange(200) >= 150
    found = carried_on(x, early, final, stopped)
    assert np.median(np.abs(found[stopped] - x[stopped, 0] - SLOPE * early[stopped])) < 0.3


def test_each_of_many_steps_has_a_model():
    """Trials that stop at 60 different steps, more than have a model of their own."""
    rng, n, steps = np.random.default_rng(3), 240, 60
    assert steps > MAX_MODELS
    x = rng.random((n, 2))
    stop = np.where(np.arange(n) % 2, 1 + np.arange(n) % steps, 100)
    rows = [(i, step, x[i, 0]) for i in range(n) for step in range(1, stop[i] + 1)]
    reports = Reports(*map(np.array, zip(*rows, strict=True)))
    pruned = stop < 100
    value = np.where(pruned, x[:, 0], 1 + x[:, 0])
    found = at_full_budget(value, pruned, stop.astype(float), reports, x, np.zeros(2, int))
    assert np.abs(found - 1 - x[:, 0]).max() < 0.1
