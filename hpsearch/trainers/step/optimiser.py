"""Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101), and what
checkpoints and range tests need of any optimiser.

torch's fused kernel does the work: `torch.optim.AdamW(fused=True)` computes the same to the bit.
But the first optimiser of `torch.optim` imports torch's compiler, a second in every process, and
its bookkeeping costs a small model as much as the step.

`FlatWeights` holds the weights of a small model in one tensor, for trainers that write gradients by
hand. A model of some 30,000 weights at batch size 64 computes less than torch's bookkeeping costs:
with one tensor an optimiser step is one pass, and a gradient is written where the optimiser reads
it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate, islice
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

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
        """Adam with decoupled weight decay `wd` of those that decay."""
        return AdamW(self.parts(wd))


BETA2, EPS = 0.99, 1e-5


class Optimiser(Protocol):
    """torch's optimisers, and `AdamW`."""

    def state_dict(self) -> dict[str, Any]:
        """Under "state" the tensors of each weight by its index; the caller changes none."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Go on from what `state_dict` gave."""


class Part(NamedTuple):
    """Weights that are trained alike, their gradient of the same shape, and their weight decay."""

    weights: Tensor
    grad: Tensor
    wd: float


class _Adam:
    """The state of the weights by their index: steps made, and moving averages."""

    def __init__(self, weights: Mapping[int, Tensor]) -> None:
        self.state = {
            i: {
                "step": torch.zeros((), device=weight.device),
                "exp_avg": torch.zeros_like(weight),
                "exp_avg_sq": torch.zeros_like(weight),
            }
            for i, weight in weights.items()
        }

    def state_dict(self) -> dict[str, Any]:
        return {"state": self.state}

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        for i, entry in state_dict["state"].items():
            for name, value in entry.items():
                self.state[i][name].copy_(value)


class AdamW(_Adam):
    """For a few large tensors with one rate."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        super().__init__({i: part.weights for i, part in enumerate(parts)})

    def step(self, lr: float, momentum: float) -> None:
        """One step with the gradients as they are; `momentum` is beta1.

        The weights must be ones that autograd does not follow."""
        torch._foreach_add_([state["step"] for state in self.state.values()], 1)
        for part, state in zip(self.parts, self.state.values(), strict=True):
            _update([part.weights], [part.grad], [state], lr, momentum, part.wd)


class Group(NamedTuple):
    """Weights of one layer group that have one weight decay."""

    weights: Sequence[Tensor]
    layer_group: int
    wd: float


class GroupedAdamW(_Adam):
    """For a model whose layer groups have rates of their own; the caller hands it the gradients.

    Frozen weights (that require no gradient) count in the indices of the state and have none. A
    step is one launch on a GPU for each group, and one more: rates and momentum change from step
    to step, and a CUDA graph would keep them as they were.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self.weights: list[Tensor] = []
        """Those that are trained, in the order of their gradients."""
        self._groups: list[tuple[Group, list[int]]] = []
        trained: dict[int, Tensor] = {}
        first = 0
        for group in groups:
            own = [i for i, w in enumerate(group.weights, start=first) if w.requires_grad]
            weights = [group.weights[i - first] for i in own]
            first += len(group.weights)
            self.weights += weights
            # In tensors that autograd does not follow, on the same memory.
            group = group._replace(weights=[weight.detach() for weight in weights])
            trained |= dict(zip(own, group.weights, strict=True))
            if own:
                self._groups.append((group, own))
        super().__init__(trained)

    def step(self, grads: Sequence[Tensor], lrs: Sequence[float], momentum: float) -> None:
        """One step with the gradients of `weights` and the rate of each layer group; `momentum` is
        beta1."""
        torch._foreach_add_([state["step"] for state in self.state.values()], 1)
        left = iter(grads)
        for group, own in self._groups:
            _update(
                group.weights, list(islice(left, len(own))), [self.state[i] for i in own],
                lrs[group.layer_group], momentum, group.wd,
            )  # fmt: skip


def _update(
    weights: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Sequence[Mapping[str, Tensor]],
    lr: float,
    momentum: float,
    wd: float,
) -> None:
    """Weights and averages after their steps were counted."""
    torch._fused_adamw_(
        [*weights], [*grads], [state["exp_avg"] for state in states],
        [state["exp_avg_sq"] for state in states], [], [state["step"] for state in states],
        lr=lr, beta1=momentum, beta2=BETA2, weight_decay=wd, eps=EPS, amsgrad=False, maximize=False,
    )  # fmt: skip
