"""Dropout masks from a generator of their own, so that a seed decides them."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Masks:
    """Draws dropout masks: zero with probability p, else 1 / (1 - p)."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.generator = torch.Generator(device).manual_seed(seed)

    def restart(self, seed: int) -> None:
        """Draw what new masks of this seed would draw, from the same generator."""
        self.generator.manual_seed(seed)

    def draw(self, shape: tuple[int, ...], p: float, like: Tensor) -> Tensor:
        """Draw a mask of this shape, of the type and on the device of `like`.

        The probability is rounded to a multiple of 2**-16. So one random integer of 64 bits gives
        four numbers, which is ten times as fast as `bernoulli_`.
        """
        n = math.prod(shape)
        bits = torch.empty((n + 3) // 4, dtype=torch.int64, device=like.device)
        bits.random_(-(2**63), None, generator=self.generator)
        kept = max(1, round((1 - p) * 2**16))
        mask = bits.view(torch.int16)[:n].view(shape) <= kept - 2**15 - 1
        return mask.to(like.dtype).mul_(2**16 / kept)
