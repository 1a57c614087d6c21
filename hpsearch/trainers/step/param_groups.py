"""Layer groups: discriminative learning rates, freezing, and what weight decay skips."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from hpsearch.trainers.step.optimiser import Group

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


def optimiser_groups(groups: Sequence[nn.Module], wd: float) -> list[Group]:
    """Divide the parameters of the layer groups by their weight decay.

    The decay is `wd`, but zero for norm layers and for parameters that are called "bias". So the
    two biases of an LSTM, which have longer names, do decay: fastai 2.8 does the same.

    Returns:
        At most two groups for each layer group. A parameter that two layer groups share, such as
        the weight of a tied decoder, belongs to the first of them.
    """
    seen: set[int] = set()
    made: list[Group] = []
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
                made.append(Group(parameters, index, decay))
    return made
