"""The learning-rate range test (Smith 2017, arXiv 1506.01186) with fastai 2's rules.

Train for a hundred steps while the rate grows from far too low to far too high, and watch the loss:
it hardly moves, falls, and explodes. The rate to train with lies where it falls.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hpsearch.errors import HpsearchError, InputError
from hpsearch.trainers.step.optimiser import Optimiser

LOWEST, HIGHEST, STEPS = 1e-7, 10.0, 100
_BETA = 0.98
_DIVERGED = 4
"""The test ends where the smoothed loss is this many times its lowest value."""
_FEWEST_STEPS = 10
_FEWEST_POINTS = 3
_DIVERGING_POINTS = 5

Points = npt.NDArray[np.float64]
Generator = torch.Generator | np.random.Generator


class LrTest(NamedTuple):
    """A model for a range test: `step(lr)` trains `model` with `optimiser` for one step, at the
    rate `lr` of the last layer group, and returns the loss."""

    step: Callable[[float], float]
    model: nn.Module
    optimiser: Optimiser


class Suggestions(NamedTuple):
    """Learning rates to train with.

    `valley` lies halfway along the longest descent, `minimum` is a tenth of the rate with the
    lowest loss, `steepest` is where the loss falls fastest.
    """

    valley: float
    minimum: float
    steepest: float


@dataclass(frozen=True)
class LrCurve:
    """The steps of a range test: rate, loss, and debiased running average of the losses of each.

    `steps` is the number that was planned. `ended` says why the test ended: after "all" steps,
    because the average loss "diverged" to four times its lowest value, or because a loss was "not
    finite"; that step is left out.
    """

    lrs: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    steps: int
    ended: Literal["all", "diverged", "not finite"]

    @property
    def judged(self) -> slice:
        """The points that suggestions are taken from: all but the first tenth, where the average
        is of few losses, and the last five, where the loss explodes."""
        end = None if self.ended == "not finite" else -_DIVERGING_POINTS
        return slice(self.steps // 10, end)

    @property
    def suggestions(self) -> Suggestions:
        """Raises HpsearchError if the loss exploded before there was anything to judge."""
        lrs, losses = np.array(self.lrs)[self.judged], np.array(self.smoothed)[self.judged]
        if len(lrs) < _FEWEST_POINTS:
            reached = f" (at {self.lrs[-1]:.1e})" if self.lrs else ""
            raise HpsearchError(
                f"The loss exploded after {len(self.lrs)} of {self.steps} steps{reached}, too early"
                " to suggest a learning rate: begin lower, or take more steps."
            )
        return Suggestions(valley(lrs, losses), minimum(lrs, losses), steepest(lrs, losses))


def find_lr(
    step: Callable[[float], float],
    *,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    steps: int = STEPS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> LrCurve:
    """Train step by step while the rate grows, and record the losses.

    Args:
        step: step(lr) takes one optimiser step and returns its loss. `lr` is the rate of the last
            layer group; the caller knows the rates of the others.
        lowest, highest: Step i has the rate lowest * (highest / lowest)**(i / steps), as in
            fastai's `LRFinder`.
        steps: At most so many; the test ends early when the loss diverges.

    Raises:
        InputError: The rates or the number of steps are out of range.
    """
    if not 0 < lowest < highest < math.inf:
        raise InputError(
            f"The learning rates go from {lowest:g} to {highest:g}: give two numbers above 0, "
            "the lower one first."
        )
    if steps < _FEWEST_STEPS:
        raise InputError(f"{steps} steps are too few for a range test: take {STEPS}.")
    lrs: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    average = 0.0
    for i in range(steps):
        lr = lowest * (highest / lowest) ** (i / steps)
        loss = step(lr)
        progress(i + 1, steps)
        if not math.isfinite(loss):
            return LrCurve(tuple(lrs), tuple(losses), tuple(smoothed), steps, "not finite")
        average = _BETA * average + (1 - _BETA) * loss
        lrs.append(lr)
        losses.append(loss)
        smoothed.append(average / (1 - _BETA ** (i + 1)))
        if smoothed[-1] > _DIVERGED * min(smoothed):
            return LrCurve(tuple(lrs), tuple(losses), tuple(smoothed), steps, "diverged")
    return LrCurve(tuple(lrs), tuple(losses), tuple(smoothed), steps, "all")


def valley(lrs: Points, losses: Points) -> float:
    """The rate in the middle of the longest valley, rounded as in fastai 2.8, whose default it is.

    The valley is the longest decreasing subsequence of `losses` (n,). It ends at the last point of
    that subsequence and is as wide as the subsequence has points. Where no loss is lower than one
    before it, the result is the first rate.
    """
    length = np.ones(len(losses), dtype=int)
    for i in range(1, len(losses)):
        higher = length[:i][losses[:i] > losses[i]]
        length[i] += higher.max(initial=0)
    end = int(length.argmax())
    start = end - int(length[end]) if end else 0
    third = (end - start) / 3
    return float(lrs[start + int(third) + int(third / 2)])


def minimum(lrs: Points, losses: Points) -> float:
    """A tenth of the rate with the lowest loss."""
    return float(lrs[losses.argmin()]) / 10


def steepest(lrs: Points, losses: Points) -> float:
    """The rate from which the loss falls fastest per unit of log(rate)."""
    slopes = np.diff(losses) / np.diff(np.log(lrs))
    return float(lrs[slopes.argmin()])


@contextmanager
def restored(
    modules: Sequence[nn.Module],
    optimisers: Sequence[Optimiser] = (),
    generators: Sequence[Generator] = (),
) -> Iterator[None]:
    """Undo at the end of the block all that it changed, to the bit, even if it fails.

    The modules get back their weights, buffers, gradients, frozen parameters and modes, and the
    optimisers their states. So do the `generators` and the global generators: torch's on every
    device, numpy's and Python's.
    """
    undo: list[Callable[[], object]] = [_remember_module(module) for module in modules]
    undo += [_remember_optimiser(optimiser) for optimiser in optimisers]
    undo += [_remember_generator(generator) for generator in generators]
    undo.append(_remember_globals())
    try:
        yield
    finally:
        for put_back in undo:
            put_back()


def _remember_module(module: nn.Module) -> Callable[[], None]:
    tensors: list[Tensor] = [*module.parameters(), *module.buffers()]
    values = [(tensor, tensor.detach().clone(), tensor.requires_grad) for tensor in tensors]
    grads = [None if tensor.grad is None else tensor.grad.clone() for tensor in tensors]
    modes = [(part, part.training) for part in module.modules()]

    def put_back() -> None:
        with torch.no_grad():
            for (tensor, value, trains), grad in zip(values, grads, strict=True):
                tensor.requires_grad_(trains)
                tensor.copy_(value)
                tensor.grad = grad
        for part, training in modes:
            part.training = training

    return put_back


def _remember_optimiser(optimiser: Optimiser) -> Callable[[], None]:
    state = deepcopy(optimiser.state_dict())
    return lambda: optimiser.load_state_dict(state)


def _remember_generator(generator: Generator) -> Callable[[], object]:
    if isinstance(generator, torch.Generator):
        state = generator.get_state()
        return lambda: generator.set_state(state)
    bits = deepcopy(generator.bit_generator.state)
    return lambda: setattr(generator.bit_generator, "state", bits)


def _remember_globals() -> Callable[[], None]:
    cpu, python, numpy = torch.get_rng_state(), random.getstate(), np.random.get_state()
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []

    def put_back() -> None:
        torch.set_rng_state(cpu)
        random.setstate(python)
        np.random.set_state(numpy)
        if gpus:
            torch.cuda.set_rng_state_all(gpus)

    return put_back
