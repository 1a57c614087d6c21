"""AdamW whose rate and momentum lie on the device, so that a step can be part of a CUDA graph.

torch's fused kernel takes beta1 as a number of the host, which a graph would keep for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from hpsearch.trainers.step.optimiser import BETA2, EPS, AdamW


class DeviceAdamW:
    """AdamW for several models whose weights lie in one tensor. For each model it computes what
    its `AdamW` would, up to rounding.

    Args:
        weights, grads: The weights of all models and their gradients (n,). Weights that belong to
            no model stay as they are.
        places: The slice of `weights` that each model has.
        optimisers: The models' optimisers, whose parts follow each other in that slice. Their
            states are copied in, and `write_back` copies them out again.
    """

    def __init__(
        self,
        weights: Tensor,
        grads: Tensor,
        places: Sequence[slice],
        optimisers: Sequence[AdamW],
    ) -> None:
        self.weights, self.grads, self.optimisers = weights, grads, optimisers
        self.averages = torch.zeros_like(weights)
        self.squares = torch.zeros_like(weights)
        self._decay = torch.zeros_like(weights)
        # Those of no model go by the rates of the first; their gradients are zero.
        self._model = torch.zeros_like(weights, dtype=torch.long)
        for i, place in enumerate(places):
            self._model[place] = i
        self._slices = [
            _slices_of_parts(place, one) for place, one in zip(places, optimisers, strict=True)
        ]
        steps = [one.state[0]["step"] for one in optimisers]
        self.steps = torch.stack(steps).to(torch.float64)
        for one, slices in zip(optimisers, self._slices, strict=True):
            for part, state, where in zip(one.parts, one.state.values(), slices, strict=True):
                self._decay[where] = part.wd
                self.averages[where] = state["exp_avg"].view(-1)
                self.squares[where] = state["exp_avg_sq"].view(-1)

    def step(self, rates: Tensor) -> None:
        """One step with the gradients as they are; `rates` (2, models) in float64 holds the
        learning rates, then the momenta (beta1)."""
        lr, momentum = rates
        self.steps += 1
        size = lr / (1 - momentum**self.steps)
        root = (1 - BETA2**self.steps).sqrt()
        of_models = torch.stack([lr, 1 - momentum, -size, root]).float()
        lr, rest, size, root = of_models.index_select(1, self._model)
        self.weights.addcmul_(self.weights * self._decay, lr, value=-1)
        torch.lerp(self.averages, self.grads, rest, out=self.averages)
        self.squares.mul_(BETA2).addcmul_(self.grads, self.grads, value=1 - BETA2)
        below = self.squares.sqrt().div_(root).add_(EPS)
        self.weights.add_(size.mul_(self.averages).div_(below))

    def write_back(self) -> None:
        """Copy the states to the models' optimisers."""
        steps = self.steps.float()
        for i, (one, slices) in enumerate(zip(self.optimisers, self._slices, strict=True)):
            for part, state, where in zip(one.parts, one.state.values(), slices, strict=True):
                shape = part.weights.shape
                state["step"].copy_(steps[i])
                state["exp_avg"].copy_(self.averages[where].view(shape))
                state["exp_avg_sq"].copy_(self.squares[where].view(shape))


def _slices_of_parts(place: slice, optimiser: AdamW) -> list[slice]:
    """The slices of the optimiser's parts, which follow each other from the start of `place`."""
    sizes = [part.weights.numel() for part in optimiser.parts]
    bounds = accumulate(sizes, initial=place.start)
    return [slice(start, stop) for start, stop in pairwise(bounds)]
