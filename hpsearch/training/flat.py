"""The weights of a small model in one tensor, for trainers that write gradients by hand.

A model of some 30,000 weights at batch size 64 computes less than torch's bookkeeping costs: with
one tensor an optimiser step is one pass, and a gradient is written where the optimiser reads it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from hpsearch.training.optimiser import AdamW, Part

Shapes = Mapping[str, tuple[int, ...]]


class FlatWeights:
    """Named weights one after another in `all`, and their gradients likewise in `grads`.

    `weight` and `grad` hold a view for each name; the `decayed` ones come first, in their order.
    """

    def __init__(self, decayed: Shapes, plain: Shapes, device: str) -> None:
        shapes = {**decayed, **plain}
        sizes = [math.prod(shape) for shape in shapes.values()]
        self.n_decayed = sum(math.prod(shape) for shape in decayed.values())
        self.all, self.grads = (torch.zeros(sum(sizes), device=device) for _ in range(2))
        self.weight = _views(self.all, shapes, sizes)
        self.grad = _views(self.grads, shapes, sizes)

    def optimiser(self, wd: float) -> AdamW:
        """Adam with decoupled weight decay `wd`, as `param_groups.make_adam` makes it."""
        decayed, plain = slice(self.n_decayed), slice(self.n_decayed, None)
        return AdamW(
            [Part(self.all[s], self.grads[s], w) for s, w in ((decayed, wd), (plain, 0.0))]
        )


def _views(flat: Tensor, shapes: Shapes, sizes: list[int]) -> dict[str, Tensor]:
    parts = torch.split(flat, sizes)
    return {
        name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }
