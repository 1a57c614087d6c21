"""The language model's softmax over the vocabulary, some tokens at a time.

The logits of one batch are by far its largest tensor (48 x 72 tokens times 60,000 words: 830 MB in
float32). Made, used and forgotten for `CHUNK` tokens at a time, with their gradient in the same
pass, they stay in the processor's cache and are never held all together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 1024


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
    loss, right = hidden.new_zeros((), dtype=torch.float32), targets.new_zeros(())
    for _, logits, t in _chunks(hidden, weight, bias, targets):
        loss += _summed_loss(logits.softmax(1)[_each(t), t])
        right += (logits.argmax(1) == t).sum()
    return loss, right


class _SoftmaxLoss(torch.autograd.Function):
    """The gradient of a mean is known up to a factor once the probabilities are: `forward` makes
    it, `backward` multiplies."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:  # noqa: ANN401
        dtype = hidden.dtype
        low = weight.to(dtype)
        to_hidden = torch.empty_like(hidden)
        to_weight, to_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        loss = hidden.new_zeros((), dtype=torch.float32)
        for rows, logits, t in _chunks(hidden, weight, bias, targets):
            p = logits.softmax(1)
            of_targets = p[_each(t), t]
            loss += _summed_loss(of_targets)
            p[_each(t), t] = of_targets - 1
            to_bias += (p.new_ones(1, len(p)) @ p)[0]
            torch.mm(p, low, out=to_hidden[rows])
            to_weight += p.t() @ hidden[rows]
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


def _each(targets: Tensor) -> Tensor:
    return torch.arange(len(targets), device=targets.device)


def _summed_loss(p: Tensor) -> Tensor:
    """Summed cross-entropy (float32) of the targets' probabilities (n,), at most 87 nats each: a
    loss beyond that would be the logarithm of a zero."""
    return -p.float().clamp(min=torch.finfo(torch.float32).tiny).log().sum()


def _chunks(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """(rows, logits (n, V) in the type of `hidden`, targets (n,)) of `CHUNK` rows at a time."""
    low, low_bias = weight.to(hidden.dtype), bias.to(hidden.dtype)
    for start in range(0, len(targets), CHUNK):
        rows = slice(start, start + CHUNK)
        yield rows, torch.addmm(low_bias, hidden[rows], low.t()), targets[rows]
