"""What the epoch loops share: one optimiser step, and when to give a trial up."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hpsearch.training.contract import DivergedError
from hpsearch.training.param_groups import set_rates
from hpsearch.training.schedule import OneCycle


def optimiser_step(
    loss: Tensor,
    optimiser: torch.optim.Optimizer,
    cycle: OneCycle,
    step: int,
    lrs: Sequence[float],
    clip: float = 0.0,
) -> None:
    """Backward and update with the rates and the momentum of `step` in the cycle."""
    share, momentum = cycle.at(step)
    set_rates(optimiser, [lr * share for lr in lrs], momentum)
    loss.backward()  # type: ignore[no-untyped-call]
    if clip:
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, clip)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def check_finite(loss: float, what: str) -> float:
    """The loss itself; raises DivergedError if it is infinite or not a number."""
    if not math.isfinite(loss):
        raise DivergedError(f"The {what} became {loss}: the training diverged; a lower lr may do.")
    return loss
