"""How many workers share a GPU, found with simulated ones; a trial's own seconds."""

import random

import pytest

from hpsearch.search.speed.gpu_sharing import CONTEXT, MOST, GpuSharing, HillClimb, room
from hpsearch.trainers.contract import TrainResult


def simulate(rate, *, seconds=4000.0, start=8.0, epoch=0.5, noise=0.0, seed=0, fits=MOST):
    """A climb on a GPU that ends `rate(workers)` epochs a second with so many workers, of which a
    new one needs `start` seconds; epochs differ in length by the share `noise`."""
    climb, rng = HillClimb(), random.Random(seed)
    now = done = left = 0.0
    workers, begun, out_of_memory = 1, 0.0, []
    while now < seconds and not climb.settled:
        now += 0.5
        if climb.level > workers:
            workers, begun = climb.level, now
            if workers > fits:
                out_of_memory.append(workers)
                climb.limit(fits)
        workers = min(workers, climb.level)
        running = workers if now - begun > start else 1
        left += 0.5 * rate(running)
        while left > 0:
            left -= max(0.05, 1 + rng.gauss(0, noise))
            done += 1
        climb.observe(now, done, running)
    return climb, now, out_of_memory


def mps(n):
    return 2.0 * 0.88 * min(n, 5) if n > 1 else 2.0


def time_slices(n):
    return 2.0


def test_with_mps_workers_are_added_up_to_the_plateau():
    climb, now, _ = simulate(mps)
    assert climb.settled
    assert climb.level in (5, 6)
    assert list(climb.rates) == [1, 2, 4, 6, 8]
    assert climb.gain == pytest.approx(mps(climb.level) / 2.0, rel=0.05)
    assert now < 400


def test_where_processes_take_turns_one_is_left():
    climb, now, _ = simulate(time_slices)
    assert (climb.level, climb.settled) == (1, True)
    assert list(climb.rates) == [1, 2]
    assert now < 120


def test_a_rate_that_falls_steps_back():
    climb, *_ = simulate(lambda n: {1: 2.0, 2: 3.8, 4: 2.5}[n])
    assert climb.level == 2


def test_memory_ends_the_climb_before_it_runs_out():
    climb = HillClimb()
    climb.limit(room(available=80e9, peak=22e9))
    assert room(available=80e9, peak=22e9) == 3
    done = 0.0
    for second in range(2000):
        done += mps(climb.level)
        climb.observe(float(second), done, climb.level)
    assert climb.level == 3
    assert set(climb.rates) == {1, 2, 3}
    assert room(80e9, 200e9) == 1
    assert room(80e9, 1e9) == int(0.95 * 80e9 / (1.1e9 + CONTEXT))


def test_out_of_memory_lowers_the_number():
    climb, _, met = simulate(mps, fits=3)
    assert met == [4]
    assert (climb.level, climb.settled) == (3, True)


@pytest.mark.parametrize("seed", range(8))
def test_noise_costs_little(seed):
    """Epochs of several stages and batch sizes differ by half of their mean."""
    shared, *_ = simulate(mps, noise=0.5, seed=seed)
    assert mps(shared.level) >= 0.75 * mps(5)
    alone, *_ = simulate(time_slices, noise=0.5, seed=seed)
    assert alone.level <= 2


def test_long_epochs_are_not_waited_for_an_hour():
    climb, now, _ = simulate(lambda n: mps(n) / 40, seconds=10_000)
    assert climb.settled
    assert mps(climb.level) >= 0.75 * mps(5)
    assert now < 2400


def test_a_worker_that_starts_is_not_counted():
    """While two more load their libraries the rate is that of before."""
    climb = HillClimb()
    done = 0.0
    for second in range(70):
        done += 2
        climb.observe(float(second), done, 1)
    assert climb.level == 2
    rates = dict(climb.rates)
    for second in range(70, 400):
        done += 2
        climb.observe(float(second), done, 1)  # the second has no trial yet
    assert climb.rates == rates


def test_a_worker_between_two_trials_is_at_work():
    climb, done = HillClimb(), 0.0
    for second in range(200):
        done += mps(climb.level)
        climb.observe(float(second), done, climb.level - second % 2)
    assert len(climb.rates) >= 2


def test_unmeasured_levels_are_taken_to_gain_nothing():
    climb = HillClimb()
    assert climb.slowdowns() == {1: 1.0}
    climb.rates, climb.level = {1: 10.0, 2: 18.0}, 4
    assert climb.slowdowns() == pytest.approx({1: 1.0, 2: 20 / 18, 4: 40 / 18})


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_a_trials_seconds_are_those_it_would_have_taken_alone():
    clock = Clock()
    sharing = GpuSharing(clock)
    result = TrainResult({"accuracy": 0.9}, 5, 30.0)
    assert sharing.as_if_alone(result) is result  # nobody has told of others
    assert not sharing.is_shared
    sharing.update(1, {1: 1.0})
    clock.now += 10
    sharing.update(4, {1: 1.0})
    assert sharing.is_shared
    clock.now += 20  # 10 s alone, 20 s with three others
    sharing.update(4, {1: 1.0, 4: 2.5})  # measured since
    own = sharing.as_if_alone(result)
    assert own.seconds == pytest.approx(10 + 20 / 2.5)
    assert own.facts == {"wall_seconds": 30.0}
    short = sharing.as_if_alone(TrainResult({}, 1, 5.0))
    assert short.seconds == pytest.approx(2.0)
    sharing.update(1, {1: 1.0, 4: 2.5})
    clock.now += 5
    assert sharing.as_if_alone(TrainResult({}, 1, 5.0)).seconds == 5.0


def test_a_member_of_a_stack_on_a_shared_gpu_has_its_share_of_both():
    clock = Clock()
    sharing = GpuSharing(clock)
    sharing.update(2, {2: 2.0})
    clock.now += 60
    own = sharing.as_if_alone(TrainResult({}, 1, 10.0, {"wall_seconds": 60.0}))
    assert own.seconds == pytest.approx(5.0)
    assert own.facts["wall_seconds"] == 60.0
