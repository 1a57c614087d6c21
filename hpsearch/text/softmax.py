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
        loss += _summed_loss(logits, logits.softmax(1), t)
        right += (logits.argmax(1, keepdim=True) == t).sum()
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
            loss += _summed_loss(logits, p, t)
            p.scatter_add_(1, t, torch.full_like(t, -1, dtype=dtype))
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


def _summed_loss(logits: Tensor, p: Tensor, targets: Tensor) -> Tensor:
    """Summed cross-entropy (float32) of logits (n, V) with probabilities p, targets (n, 1).

    The logarithm of the sum of all exponentials comes from the largest probability, which cannot
    be zero: log(p of the target) could be that of a zero, and log_softmax takes twice the memory.
    """
    total = logits.amax(1).float() - p.amax(1).float().log()
    return (total - logits.gather(1, targets)[:, 0].float()).sum()


def _chunks(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """(rows, logits (n, V) in the type of `hidden`, targets (n, 1)) of `CHUNK` rows at a time."""
    low, low_bias = weight.to(hidden.dtype), bias.to(hidden.dtype)
    for start in range(0, len(targets), CHUNK):
        rows = slice(start, start + CHUNK)
        yield rows, torch.addmm(low_bias, hidden[rows], low.t()), targets[rows, None]
