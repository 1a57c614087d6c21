"""The tabular network: embeddings and normalised numbers into (Linear, ReLU, batch norm, dropout)
layers (fastai.tabular.model's TabularModel).

Shapes: B rows, C categorical columns, N continuous ones, E the summed widths of the embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from hpsearch.trainers.step.optimiser import FlatWeights
from hpsearch.trainers.tabular.network.losses import ranged

EPS, MOMENTUM = 1e-5, 0.1
"""Batch norm's, as torch has them."""


@dataclass(frozen=True)
class Sizes:
    """`n_categories` of each categorical column (code 0, missing or unseen, is one of them), how
    many continuous columns, widths of the hidden layers, and outputs."""

    n_categories: tuple[int, ...]
    n_continuous: int
    layers: tuple[int, ...]
    n_out: int

    @property
    def widths(self) -> list[int]:
        """Of each embedding: min(600, round(1.6 n^0.56)), fastai's rule of thumb."""
        return [min(600, round(1.6 * n**0.56)) for n in self.n_categories]

    @property
    def n_in(self) -> int:
        return sum(self.widths) + self.n_continuous


class TabularModel(nn.Module):
    """All weights in one tensor, the embeddings first; `tabular.network.stack` trains them."""

    statistics: Tensor
    weights: Tensor

    def __init__(
        self, sizes: Sizes, *, y_range: tuple[float, float] | None = None, device: str = "cpu"
    ) -> None:
        super().__init__()
        self.sizes, self.y_range = sizes, y_range
        decayed = {
            f"embedding.{i}": (n, width)
            for i, (n, width) in enumerate(zip(sizes.n_categories, sizes.widths, strict=True))
        }
        # The norm of the continuous columns is the one called 0.
        norms = [sizes.n_continuous, *sizes.layers]
        plain: dict[str, tuple[int, ...]] = {}
        for i, (n_in, n_out) in enumerate(pairwise([sizes.n_in, *sizes.layers])):
            decayed[f"linear.{i}"] = (n_out, n_in)
        decayed["out"] = (sizes.n_out, ([sizes.n_in, *sizes.layers])[-1])
        for i, width in enumerate(norms):
            plain |= {f"norm.{i}.weight": (width,), f"norm.{i}.bias": (width,)}
        plain["out.bias"] = (sizes.n_out,)
        self.flat = FlatWeights(decayed, plain, device)
        self.register_buffer("weights", self.flat.all)
        # Running means, then variances, of the norms' inputs.
        running = torch.zeros(2, sum(norms), device=device)
        self.register_buffer("statistics", running)
        means, variances = (torch.split(row, norms) for row in running)
        self.running = list(zip(means, variances, strict=True))
        self._places(device)

    def _places(self, device: str) -> None:
        """Where in `weights` the embeddings of given codes lie."""
        column: list[int] = []
        base: list[int] = []
        end = 0
        for i, (n, width) in enumerate(
            zip(self.sizes.n_categories, self.sizes.widths, strict=True)
        ):
            column += [i] * width
            base += range(end, end + width)
            end += n * width
        self._column = torch.tensor(column, dtype=torch.long, device=device)
        self._base = torch.tensor(base, dtype=torch.int32, device=device)
        step = [self.sizes.widths[i] for i in column]
        self._width = torch.tensor(step, dtype=torch.int32, device=device)
        self.n_embedded = end

    def move(self, weights: Tensor, grads: Tensor) -> None:
        """Live in these tensors from now on: see `FlatWeights.move`."""
        self.flat.move(weights, grads)
        self.weights = self.flat.all

    def places(self, codes: Tensor) -> Tensor:
        """codes (B, C) -> where each number of their embeddings lies in `weights`, (B, E)."""
        of = codes.int().gather(1, self._column.expand(len(codes), -1))
        return of.mul_(self._width).add_(self._base)

    def init_weights(self, generator: torch.Generator) -> None:
        """Embeddings normal(0, .01) cut at two deviations, layers uniform(+-1/sqrt(inputs)), norms
        1 and .001: as fastai does. The `generator` is one of the processor's."""
        for name, weight in self.flat.weight.items():
            # Drawn by the processor: the same seed is the same network on every device.
            drawn = torch.empty(weight.shape)
            if name.startswith("embedding"):
                nn.init.trunc_normal_(drawn, std=0.01, a=-0.02, b=0.02, generator=generator)
            elif name.startswith("norm"):
                drawn.fill_(1.0 if name.endswith("weight") else 1e-3)
            else:
                matrix = self.flat.weight["out"] if name == "out.bias" else weight
                bound = matrix.shape[1] ** -0.5
                drawn.uniform_(-bound, bound, generator=generator)
            weight.copy_(drawn)
        if self.sizes.n_continuous:  # the first norm is torch's own
            self.flat.weight["norm.0.bias"].zero_()
        for mean, variance in self.running:
            mean.zero_()
            variance.fill_(1.0)

    @torch.no_grad()
    def forward(self, codes: Tensor, numbers: Tensor) -> Tensor:
        """codes (B, C), numbers (B, N) -> outputs (B, n_out), inside `y_range` if there is one."""
        weight = self.flat.weight
        x = self.flat.all[self.places(codes)]
        if self.sizes.n_continuous:
            x = torch.cat([x, self._normalised(0, numbers)], 1)
        for i in range(len(self.sizes.layers)):
            x = torch.relu_(x @ weight[f"linear.{i}"].t())
            x = self._normalised(i + 1, x)
        return self._ranged(torch.addmm(weight["out.bias"], x, weight["out"].t()))

    def _normalised(self, i: int, x: Tensor) -> Tensor:
        weight, bias = self.flat.weight[f"norm.{i}.weight"], self.flat.weight[f"norm.{i}.bias"]
        return torch.native_batch_norm(x, weight, bias, *self.running[i], False, MOMENTUM, EPS)[0]

    def _ranged(self, out: Tensor) -> Tensor:
        return out if self.y_range is None else ranged(out, self.y_range)
