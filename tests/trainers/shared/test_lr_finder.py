"""The range test where theory says what must happen, and fastai 2.8's suggestions."""

import math
import random
import struct
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hpsearch.core.words import digits
from hpsearch.errors import HpsearchError, InputError
from hpsearch.trainers.shared.lr_finder import LrCurve, find_lr, minimum, restored, steepest, valley
from hpsearch.trainers.shared.lr_plot import _beyond, _loss_range, write_html, write_png


class Quadratic:
    """Gradient descent on curvature * w**2 / 2, stable below a rate of 2 / curvature."""

    def __init__(self, curvature):
        self.curvature, self.w = curvature, 1.0

    def step(self, lr):
        loss = self.curvature * self.w**2 / 2
        self.w -= lr * self.curvature * self.w
        return loss


@pytest.mark.parametrize("curvature", [3.0, 100.0, 1e4])
def test_on_a_quadratic_the_loss_falls_below_the_stability_limit_and_rises_above_it(curvature):
    limit = 2 / curvature
    curve = find_lr(Quadratic(curvature).step)
    assert curve.ended == "diverged"
    assert curve.lrs[-1] > limit
    for lr, before, after in zip(curve.lrs, curve.losses, curve.losses[1:], strict=False):
        if before > 1e-300 and abs(lr * curvature) > 1e-10:
            assert (after < before) == (lr < limit)
    assert max(curve.suggestions) < limit


def test_rates_grow_by_one_factor_from_the_lowest_towards_the_highest():
    seen = []
    curve = find_lr(lambda lr: seen.append(lr) or 1.0)
    assert curve.lrs == tuple(seen)
    assert len(seen) == 100
    assert seen[0] == 1e-7
    np.testing.assert_allclose(np.diff(np.log10(seen)), 8 / 100)
    assert curve.ended == "all"


def test_the_average_of_a_constant_is_the_constant_from_the_first_step_on():
    curve = find_lr(lambda lr: 2.5)
    np.testing.assert_allclose(curve.smoothed, 2.5)


def test_the_average_weighs_a_loss_by_a_power_of_98_hundredths_of_its_age():
    losses = iter([3.0, 1.0, 2.0] + [2.0] * 97)
    curve = find_lr(lambda lr: next(losses))
    weights = np.array([0.98**2, 0.98, 1])
    assert curve.smoothed[2] == pytest.approx(weights @ [3, 1, 2] / weights.sum())


def test_it_ends_where_the_average_is_over_four_times_its_lowest():
    losses = iter([1.0] * 50 + [100.0] * 50)
    curve = find_lr(lambda lr: next(losses))
    assert curve.ended == "diverged"
    assert curve.smoothed[-1] > 4 * min(curve.smoothed) >= curve.smoothed[-2]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_ends_it_without_an_error(bad):
    losses = iter([5.0 - 0.05 * i for i in range(60)] + [bad])
    curve = find_lr(lambda lr: next(losses))
    assert curve.ended == "not finite"
    assert len(curve.lrs) == len(curve.losses) == len(curve.smoothed) == 60
    assert all(map(math.isfinite, curve.suggestions))


def test_settings_out_of_range_are_refused():
    for settings in (
        {"lowest": 0.0},
        {"lowest": 1.0, "highest": 0.1},
        {"lowest": math.nan},
        {"highest": math.inf},
        {"steps": 9},
    ):
        with pytest.raises(InputError) as caught:
            find_lr(lambda lr: 1.0, **settings)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("points", [0, 1, 12])
def test_a_curve_that_explodes_at_once_suggests_nothing_and_says_so(points, tmp_path):
    losses = iter([1.0] * points + [math.nan])
    curve = find_lr(lambda lr: next(losses))
    for ask in (
        lambda: curve.suggestions,
        lambda: write_png(curve, tmp_path / "x.png"),
        lambda: write_html(curve, tmp_path / "x.html"),
    ):
        with pytest.raises(HpsearchError, match=rf"exploded after {points} of 100 steps") as caught:
            ask()
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def formula(lr):
    """Falls around a rate of .01 and explodes from .5 on."""
    return 4 - 2 / (1 + (0.01 / lr) ** 0.8) + (lr / 0.5) ** 2


RATES = 10.0 ** np.arange(-6, 3)  # 1e-6 ... 1e2


def test_the_valley_is_halfway_down_the_longest_descent():
    flat_then_down = np.array([9.0, 9, 9, 8, 7, 6, 5, 4, 30])
    # six points fall, to index 7: from 1, a third is 2, half a third 1
    assert valley(RATES, flat_then_down) == RATES[1 + 2 + 1]
    with_a_bump = np.array([9.0, 8, 7, 7.5, 6, 5, 4, 3, 30])  # the bump is skipped, not the end
    assert valley(RATES, with_a_bump) == RATES[0 + 2 + 1]
    longer_later = np.array([5.0, 4, 9, 8, 7, 6, 5, 10, 10])
    assert valley(RATES, longer_later) == RATES[1 + 1 + 0]
    assert valley(RATES, np.arange(9.0)) == RATES[0]


def test_the_minimum_is_a_tenth_of_the_rate_with_the_lowest_loss():
    assert minimum(RATES, np.array([9.0, 8, 7, 6, 1, 5, 5, 5, 5])) == pytest.approx(1e-3)


def test_the_steepest_is_where_the_loss_falls_most_per_power_of_ten():
    assert steepest(RATES, np.array([9.0, 8, 7, 3, 2, 1, 5, 5, 5])) == RATES[2]
    apart = np.array([1e-4, 2e-4, 1e-1])
    assert steepest(apart, np.array([5.0, 4, 1])) == 1e-4  # 3.3 per power of ten, then 1.1


def test_suggestions_are_those_of_fastai_on_the_same_curve():
    """What fastai 2.8.12's `lr_find` gave for a model with this loss: steps, suggestions."""
    curve = find_lr(formula)
    assert (len(curve.lrs), curve.ended) == (99, "diverged")
    fastais = 0.0004786300996784121, 0.05248074531555176, 0.05754399299621582
    assert curve.suggestions == pytest.approx(fastais, rel=1e-6)


def bits(value):
    """Everything that a state dict holds, to the bit."""
    if isinstance(value, torch.Tensor):
        return (str(value.dtype), tuple(value.shape), value.detach().numpy().tobytes())
    if isinstance(value, dict):
        return {key: bits(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [bits(entry) for entry in value]
    return struct.pack("d", value) if isinstance(value, float) else value


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))


def train(model, optimiser, draw, steps):
    """The losses of a training that uses every source of randomness there is."""
    losses = []
    for _ in range(steps):
        x = torch.from_numpy(draw.normal(size=(16, 6)) + np.random.normal()).float()
        loss = (model(x * random.random()) - torch.randn(16, 1)).pow(2).mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    return losses


def state_of(model, optimiser, draw, masks):
    return bits(
        [
            model.state_dict(),
            [(p.requires_grad, p.grad) for p in model.parameters()],
            [part.training for part in model.modules()],
            optimiser.state_dict(),
            draw.bit_generator.state,
            masks.get_state(),
            torch.get_rng_state(),
            [str(part) for part in np.random.get_state()],
            random.getstate(),
        ]
    )


@pytest.mark.parametrize("trained_before", [0, 3])
@pytest.mark.parametrize("fails", [False, True])
def test_afterwards_nothing_is_different_not_by_a_bit(trained_before, fails):
    model = network()
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    draw, masks = np.random.default_rng(0), torch.Generator().manual_seed(0)
    train(model, optimiser, draw, trained_before)
    model[0].weight.grad = torch.ones(8, 6)
    model[3].bias.requires_grad_(False)
    before = state_of(model, optimiser, draw, masks)

    def excursion():
        with restored([model], [optimiser], [draw, masks]):
            model[3].bias.requires_grad_(True)
            for group in optimiser.param_groups:
                group.update(lr=7.0, betas=(0.1, 0.2))
            train(model, optimiser, draw, 5)
            torch.rand(3, generator=masks)
            model.eval()
            assert state_of(model, optimiser, draw, masks) != before
            if fails:
                raise RuntimeError("inside")

    if fails:
        with pytest.raises(RuntimeError, match="inside"):
            excursion()
    else:
        excursion()
    assert state_of(model, optimiser, draw, masks) == before


def test_a_training_goes_on_as_if_there_had_been_no_range_test():
    losses = []
    for looks in (False, True):
        model, draw = network(), np.random.default_rng(0)
        random.seed(0), np.random.seed(0)
        optimiser = torch.optim.AdamW(model.parameters(), lr=0.01, fused=True)
        train(model, optimiser, draw, 3)
        if looks:
            with restored([model], [optimiser], [draw]):
                find_lr(lambda lr: train(model, optimiser, draw, 1)[0])  # noqa: B023
        losses.append(train(model, optimiser, draw, 5))
    assert losses[0] == losses[1]


CURVE = find_lr(formula)


def test_the_picture_is_a_png_of_its_size(tmp_path):
    write_png(CURVE, tmp_path / "curve.png", title=r"$\nonsense$ & <clas>")
    content = (tmp_path / "curve.png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == (1200, 750)


def test_the_page_stands_alone_and_has_the_suggestions(tmp_path):
    write_html(CURVE, tmp_path / "curve.html", title="imdb & <clas>", loss="loss, nats")
    page = (tmp_path / "curve.html").read_text("utf-8")
    assert "<h1>imdb &amp; &lt;clas&gt;</h1>" in page
    assert "<script src" not in page
    assert "loss, nats" in page
    for lr in CURVE.suggestions:
        assert f"<td>{digits(lr, 2)}</td>" in page
    assert f"after {len(CURVE.lrs)} of 100 steps" in page


@pytest.mark.parametrize("losses", [[1.0] * 100, list(range(1, 101)), [0.0] * 100])
def test_a_curve_that_never_falls_can_be_drawn_too(tmp_path, losses):
    lrs = tuple(1e-7 * 10 ** (0.08 * i) for i in range(100))
    curve = LrCurve(lrs, tuple(losses), tuple(losses), 100, "all")
    write_png(curve, tmp_path / "curve.png")
    write_html(replace(curve, ended="not finite"), tmp_path / "curve.html")


def test_nothing_that_draws_is_imported_before_something_is_drawn():
    code = (
        "import sys; from hpsearch.trainers.shared import lr_plot;"
        "assert 'matplotlib' not in sys.modules;"
        "assert 'plotly' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_points_of_the_fall_lie_in_the_plot():
    low, high = _loss_range(CURVE)
    fall = CURVE.losses[: CURVE.smoothed.index(min(CURVE.smoothed)) + 1]
    assert low < min(CURVE.losses)
    assert max(fall) < high
    lrs, edge = _beyond(CURVE)
    assert len(lrs) == sum(loss > high for loss in CURVE.losses)
    assert set(edge) <= {high}
