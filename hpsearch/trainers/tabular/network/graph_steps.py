"""The steps of a stack on a GPU: gradient and optimiser in one CUDA graph.

There a step of small networks costs what its launches cost, some hundred for a stack; as a graph it
is one. So all that changes from step to step is given as tensors: rows, masks, and the rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import torch
from torch import Tensor

from hpsearch.trainers.step.cuda_graph import CapturedStep
from hpsearch.trainers.step.device_adamw import DeviceAdamW
from hpsearch.trainers.step.optimiser import AdamW
from hpsearch.trainers.tabular.network.stack import Batch, Stack


class GraphSteps:
    """Steps of one epoch of a stack. The optimisers' states are the steps' own until `end`.

    `rates` (steps, 2, networks) holds the learning rates of each step, then its momenta.
    """

    def __init__(self, stack: Stack, optimisers: Sequence[AdamW], rates: Tensor) -> None:
        self._stack = stack
        self._adam = DeviceAdamW(stack.weights, stack.grads, stack.own, optimisers)
        self._rates = rates.to(stack.weights.device)
        self._totals = torch.zeros(len(optimisers), device=stack.weights.device)
        self._step = CapturedStep(self._train, device=str(stack.weights.device))

    def take(self, i: int, batch: Batch) -> None:
        """Train on a batch with the rates of step `i`."""
        masks = [mask for mask in (batch.dropped, *batch.masks) if mask is not None]
        self._dropped = [mask is not None for mask in (batch.dropped, *batch.masks)]
        self._step(self._rates[i], batch.places, batch.numbers, batch.targets, *masks)

    def end(self) -> list[float]:
        """The sums over all rows of each network's losses; this waits for the device."""
        self._adam.write_back()
        return [float(total) for total in self._totals.tolist()]

    def _train(
        self, rates: Tensor, places: Tensor, numbers: Tensor, targets: Tensor, *masks: Tensor
    ) -> tuple[Tensor]:
        which = count()
        dropped, *of_layers = (masks[next(which)] if there else None for there in self._dropped)
        loss = self._stack.gradient(Batch(places, numbers, targets, dropped, of_layers))
        self._totals.add_(loss, alpha=len(places))
        self._adam.step(rates)
        return (loss,)
