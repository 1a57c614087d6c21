"""torch's own AdamW over layer groups: the peer of `GroupedAdamW`."""

import torch

from hpsearch.trainers.step.optimiser import BETA2, EPS
from hpsearch.trainers.step.param_groups import optimiser_groups


def torch_adamw(groups, wd):
    """Over the `optimiser_groups`, each marked with its index as `layer_group`."""
    params = [
        {"params": list(group.weights), "weight_decay": group.wd, "layer_group": group.layer_group}
        for group in optimiser_groups(groups, wd)
    ]
    return torch.optim.AdamW(params, betas=(0.9, BETA2), eps=EPS, fused=True)


def set_rates(optimiser, lrs, momentum):
    """Give every layer group its learning rate, and all of them the momentum (beta1)."""
    for group in optimiser.param_groups:
        group["lr"] = lrs[group["layer_group"]]
        group["betas"] = (momentum, group["betas"][1])
