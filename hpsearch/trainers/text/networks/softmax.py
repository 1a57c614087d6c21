"""The language model's softmax over the vocabulary, some tokens at a time.

The logits of one batch are by far its largest tensor (48 x 72 tokens times 60,000 words: 830 MB in
float32). Made, used and forgotten for some tokens at a time, with their gradient in the same pass,
they stay in a processor's cache and are never held all together. A GPU wants large products: there
a part may take `GPU_LOGITS` bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 1024
GPU_LOGITS = 2**29


def softmax_loss(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy in nats (float32) of softmax(hidden @ weight.T + bias).

    hidden (N, E), weight (V, E), bias (V,), targets (N,). Products are in the type of `hidden`.
    """
    loss: Tensor = _SoftmaxLoss.apply(hidden, weight, bias, targets)  # type: ignore[no-untyped-call]
    return loss


@torch.no_grad()
def softmax_score(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Summed cross-entropy in nats, and how many of the targets (N,) have the highest logit."""
    low, low_bias = weight.to(hidden.dtype), bias.to(hidden.dtype)
    loss, right = hidden.new_zeros((), dtype=torch.float32), targets.new_zeros(())
    for rows in _parts(hidden, weight):
        logits, t = torch.addmm(low_bias, hidden[rows], low.t()), targets[rows]
        loss += _summed_loss(logits.softmax(1)[_row_numbers(t), t])
        right += (logits.argmax(1) == t).sum()
    return loss, right


class _SoftmaxLoss(torch.autograd.Function):
    """The gradient of a mean is known up to a factor once the probabilities are: `forward` makes
    it, `backward` multiplies."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:  # noqa: ANN401
        low, low_bias = weight.to(hidden.dtype), bias.to(hidden.dtype)
        to_hidden, to_weight, to_bias = torch.empty_like(hidden), None, torch.zeros_like(bias)
        loss = hidden.new_zeros((), dtype=torch.float32)
        for rows in _parts(hidden, weight):
            t = targets[rows]
            p = torch.addmm(low_bias, hidden[rows], low.t()).softmax(1)
            of_targets = p[_row_numbers(t), t]
            loss += _summed_loss(of_targets)
            p[_row_numbers(t), t] = of_targets - 1
            to_bias += (p.new_ones(1, len(p)) @ p)[0]
            torch.mm(p, low, out=to_hidden[rows])
            part = p.t() @ hidden[rows]
            to_weight = part.to(weight.dtype) if to_weight is None else to_weight.add_(part)
        ctx.save_for_backward(to_hidden, to_weight, to_bias)
        ctx.n = len(targets)
        mean: Tensor = loss / ctx.n
        return mean

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # noqa: ANN401
        to_hidden, to_weight, to_bias = ctx.saved_tensors
        scale = grad / ctx.n
        return to_hidden * scale.to(to_hidden.dtype), to_weight * scale, to_bias * scale, None


def _row_numbers(targets: Tensor) -> Tensor:
    return torch.arange(len(targets), device=targets.device)


def _summed_loss(p: Tensor) -> Tensor:
    """Summed cross-entropy (float32) of the targets' probabilities (n,), at most 87 nats each: a
    loss beyond that would be the logarithm of a zero."""
    return -p.float().clamp(min=torch.finfo(torch.float32).tiny).log().sum()


def _parts(hidden: Tensor, weight: Tensor) -> Iterator[slice]:
    """The rows of `hidden` to work on at once: `CHUNK`, on a GPU as many as the limit lets."""
    n, at_once = len(hidden), CHUNK
    if hidden.device.type != "cpu":
        most = max(CHUNK, GPU_LOGITS // (len(weight) * hidden.element_size()))
        at_once = -(-n // -(-n // most))  # parts of one size: no small one is left over
    for start in range(0, n, at_once):
        yield slice(start, start + at_once)
