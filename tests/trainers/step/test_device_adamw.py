"""AdamW with its rates on the device: what torch's fused kernel computes."""

import torch

from hpsearch.trainers.step.device_adamw import DeviceAdamW
from hpsearch.trainers.step.optimiser import AdamW, Part

RATES = [(1e-2, 0.9), (3e-2, 0.8), (1e-3, 0.95), (2e-2, 0.85), (5e-3, 0.9)]


def a_model(n_decayed, n_plain, seed):
    weights = torch.randn(n_decayed + n_plain, generator=torch.Generator().manual_seed(seed))
    grads = torch.zeros_like(weights)
    parts = [
        Part(weights[:n_decayed], grads[:n_decayed], 0.1),
        Part(weights[n_decayed:], grads[n_decayed:], 0.0),
    ]
    return weights, grads, AdamW(parts)


def side_by_side(models):
    """The same models in one tensor, with a gap of three weights between them."""
    sizes = [len(weights) for weights, *_ in models]
    starts = [0, sizes[0] + 3]
    weights, grads = torch.zeros(2, starts[1] + sizes[1])
    places, optimisers = [], []
    for start, (own, _, optimiser) in zip(starts, models, strict=True):
        place = slice(start, start + len(own))
        weights[place] = own
        n = optimiser.parts[0].weights.numel()
        parts = [
            Part(weights[place][:n], grads[place][:n], 0.1),
            Part(weights[place][n:], grads[place][n:], 0.0),
        ]
        places.append(place)
        optimisers.append(AdamW(parts))
    return weights, grads, places, optimisers


def test_it_equals_the_fused_kernel_and_goes_on_where_that_was():
    models = [a_model(7, 4, seed=0), a_model(5, 2, seed=1)]
    weights, grads, places, optimisers = side_by_side(models)
    noise = torch.Generator().manual_seed(2)
    adam = DeviceAdamW(weights, grads, places, optimisers)
    for k in range(len(RATES)):
        if k == 3:  # as between two epochs, or after a checkpoint
            adam.write_back()
            adam = DeviceAdamW(weights, grads, places, optimisers)
        rates = [RATES[k], RATES[-1 - k]]
        for (_, own, optimiser), place, (lr, momentum) in zip(models, places, rates, strict=True):
            own.copy_(torch.randn(len(own), generator=noise))
            grads[place] = own
            optimiser.step(lr, momentum)
        adam.step(torch.tensor(rates, dtype=torch.float64).t())
    adam.write_back()
    for (own, _, optimiser), place, other in zip(models, places, optimisers, strict=True):
        torch.testing.assert_close(weights[place], own, rtol=2e-6, atol=1e-7)
        for state, copied in zip(optimiser.state.values(), other.state.values(), strict=True):
            assert state["step"] == copied["step"] == len(RATES)
            for name in ("exp_avg", "exp_avg_sq"):
                torch.testing.assert_close(copied[name], state[name], rtol=2e-6, atol=1e-7)
    assert (weights[11:14] == 0).all()
