"""What the epoch loops share: gradients of a loss, and when to give a trial up."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hpsearch.trainers.contract import DivergedError


def gradients(loss: Tensor, weights: Sequence[Tensor], clip: float = 0.0) -> list[Tensor]:
    """Compute the gradient of the loss by each weight.

    If `clip` is given and the norm of all gradients together is larger, they are scaled down to
    that norm. Nothing waits for the device, so that the call can be part of a CUDA graph.
    """
    # The optimiser's kernel goes through weight and gradient in one order.
    grads = [grad.contiguous() for grad in torch.autograd.grad(loss, [*weights])]
    if clip:
        share = (clip / (nn.utils.get_total_norm(grads) + 1e-6)).clamp(max=1.0)
        grads = list(torch._foreach_mul(grads, share))
    return grads


def check_finite(loss: float, what: str) -> float:
    """The loss itself; raises DivergedError if it is infinite or not a number."""
    if not math.isfinite(loss):
        raise DivergedError(f"The {what} became {loss}: the training diverged; a lower lr may do.")
    return loss
