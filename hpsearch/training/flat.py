"""The weights of a small model in one tensor, for trainers that write gradients by hand.

A model of some 30,000 weights at batch size 64 computes less than torch's bookkeeping costs: with
one tensor an optimiser step is one pass, and a gradient is written where the optimiser reads it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import accumulate

import torch
from torch import Tensor

from hpsearch.training.optimiser import AdamW, Part

Shapes = Mapping[str, tuple[int, ...]]


class FlatWeights:
    """Named weights one after another in `all`, and their gradients likewise in `grads`.

    `weight` and `grad` hold a view for each name, `start` where it begins; the `decayed` ones come
    first, in their order.
    """

    def __init__(self, decayed: Shapes, plain: Shapes, device: str) -> None:
        self._shapes = {**decayed, **plain}
        self._sizes = [math.prod(shape) for shape in self._shapes.values()]
        self.start = dict(zip(self._shapes, accumulate(self._sizes, initial=0), strict=False))
        self.n_decayed = sum(math.prod(shape) for shape in decayed.values())
        n = sum(self._sizes)
        self._view(torch.zeros(n, device=device), torch.zeros(n, device=device))

    def move(self, weights: Tensor, grads: Tensor) -> None:
        """Live in these tensors from now on. Views of the old ones, an optimiser's too, are not
        followed."""
        self._view(weights.copy_(self.all), grads)

    def _view(self, weights: Tensor, grads: Tensor) -> None:
        self.all, self.grads = weights, grads
        self.weight, self.grad = self._views(weights), self._views(grads)

    def _views(self, flat: Tensor) -> dict[str, Tensor]:
        parts = torch.split(flat, self._sizes)
        named = zip(self._shapes.items(), parts, strict=True)
        return {name: part.view(shape) for (name, shape), part in named}

    def parts(self, wd: float) -> list[Part]:
        """What decays by `wd`, and what does not."""
        decayed, plain = slice(self.n_decayed), slice(self.n_decayed, None)
        return [Part(self.all[s], self.grads[s], w) for s, w in ((decayed, wd), (plain, 0.0))]

    def optimiser(self, wd: float) -> AdamW:
        """Adam with decoupled weight decay `wd`, as `param_groups.make_adam` makes it."""
        return AdamW(self.parts(wd))
