"""The losses of tabular networks side by side, and their gradients by the outputs.

Shapes: S networks, B rows.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

LossOf = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""One network's: (outputs (B, n_out), targets (B,)) -> the mean loss, and its gradient by the
outputs."""


def ranged(out: Tensor, y_range: tuple[float, float]) -> Tensor:
    """Outputs inside the range."""
    low, high = y_range
    return torch.sigmoid(out) * (high - low) + low


def losses(
    out: Tensor, targets: Tensor, y_range: tuple[float, float] | None
) -> tuple[Tensor, Tensor]:
    """Compute the mean losses (S,) and their gradients by the outputs (S, B, n_out).

    Args:
        out: The outputs (S, B, n_out) before they are brought into `y_range`.
        targets: Integers (S, B) are classes, whose loss is cross-entropy in nats. Others are
            numbers, whose loss is the squared error.
    """
    n = targets.shape[1]
    if not targets.is_floating_point():
        logs = torch.log_softmax(out, 2)
        classes = targets[:, :, None]
        loss = -logs.gather(2, classes)[:, :, 0].mean(1)
        ones = out.new_ones(()).expand_as(classes)
        back = logs.exp_().scatter_add_(2, classes, -ones)
        return loss, back.div_(n)
    predicted = out if y_range is None else ranged(out, y_range)
    difference = predicted[:, :, 0] - targets
    back = (difference * (2 / n))[:, :, None]
    if y_range is not None:
        low, high = y_range
        back = back * (predicted - low) * (high - predicted) / (high - low)
    return difference.square().mean(1), back


def weighted(weights: Tensor) -> LossOf:
    """The cross-entropy in which a row counts as much as its class has of `weights` (classes,)."""

    def loss_of(out: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        logs, of_rows = torch.log_softmax(out, 1), weights[targets] / len(targets)
        loss = -(logs.gather(1, targets[:, None])[:, 0] * of_rows).sum()
        back = logs.exp_().scatter_add_(1, targets[:, None], -out.new_ones(len(targets), 1))
        return loss, back.mul_(of_rows[:, None])

    return loss_of
