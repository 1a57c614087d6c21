"""AdamW over whole tensors, and what checkpoints and range tests need of any optimiser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

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


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv 1711.05101), in torch's
    fused kernel: what `torch.optim.AdamW(fused=True)` computes, to the bit.

    The first optimiser of `torch.optim` imports torch's compiler, a second in every process, and
    its bookkeeping costs a small model as much as the step.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self.state = {
            i: {
                "step": torch.zeros((), device=part.weights.device),
                "exp_avg": torch.zeros_like(part.weights),
                "exp_avg_sq": torch.zeros_like(part.weights),
            }
            for i, part in enumerate(parts)
        }

    def step(self, lr: float, momentum: float) -> None:
        """One step with the gradients as they are; `momentum` is beta1.

        The weights must be ones that autograd does not follow."""
        torch._foreach_add_([state["step"] for state in self.state.values()], 1)
        for part, state in zip(self.parts, self.state.values(), strict=True):
            torch._fused_adamw_(
                [part.weights], [part.grad], [state["exp_avg"]], [state["exp_avg_sq"]], [],
                [state["step"]], lr=lr, beta1=momentum, beta2=BETA2, weight_decay=part.wd, eps=EPS,
                amsgrad=False, maximize=False,
            )  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        return {"state": self.state}

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        for i, entry in state_dict["state"].items():
            for name, value in entry.items():
                self.state[i][name].copy_(value)
