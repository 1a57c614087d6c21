"""Layer groups: discriminative learning rates, freezing, and what weight decay skips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

_NORMS = (nn.BatchNorm1d, nn.LayerNorm)


def discriminative_lrs(lr: float, lr_decay: float, n_groups: int) -> tuple[float, ...]:
    """One rate per group, first layers first: `lr / lr_decay**k` for the k-th group from the top.

    fastai's `slice(lr / lr_decay**(n - 1), lr)` is the same geometric series.
    """
    return tuple(lr / lr_decay ** (n_groups - 1 - i) for i in range(n_groups))


def freeze_to(groups: Sequence[nn.Module], n: int) -> None:
    """Groups before index `n` (negative: from the end) get no gradient; norm layers always do."""
    first = n if n >= 0 else len(groups) + n
    for i, group in enumerate(groups):
        for module in group.modules():
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(i >= first or isinstance(module, _NORMS))


def make_adam(groups: Sequence[nn.Module], wd: float) -> torch.optim.AdamW:
    """Adam with decoupled weight decay `wd` (none on norm layers and biases), eps 1e-5.

    An LSTM's two biases do decay: fastai 2.8 looks for parameters that are called "bias".

    Each layer group becomes up to two parameter groups, marked with its index as `layer_group`.
    A parameter that two layer groups share (a tied decoder) belongs to the first.
    """
    seen: set[int] = set()
    optimiser_groups: list[dict[str, Any]] = []
    for index, group in enumerate(groups):
        plain: list[nn.Parameter] = []
        decayed: list[nn.Parameter] = []
        for module in group.modules():
            for name, parameter in module.named_parameters(recurse=False):
                if id(parameter) in seen:
                    continue
                seen.add(id(parameter))
                skips = isinstance(module, _NORMS) or name == "bias"
                (plain if skips else decayed).append(parameter)
        for parameters, decay in ((decayed, wd), (plain, 0.0)):
            if parameters:
                optimiser_groups.append(
                    {"params": parameters, "weight_decay": decay, "layer_group": index}
                )
    return torch.optim.AdamW(optimiser_groups, betas=(0.9, 0.99), eps=1e-5, fused=True)


def set_rates(optimiser: torch.optim.Optimizer, lrs: Sequence[float], momentum: float) -> None:
    """Give every layer group its learning rate, and all of them the momentum (beta1)."""
    for group in optimiser.param_groups:
        group["lr"] = lrs[group["layer_group"]]
        group["betas"] = (momentum, group["betas"][1])
