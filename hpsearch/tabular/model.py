"""The tabular network: embeddings and normalised numbers into (Linear, ReLU, batch norm, dropout)
layers, and its gradient, written by hand (fastai.tabular.model's TabularModel).

Shapes: B rows, C categorical columns, N continuous ones, E the summed widths of the embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from hpsearch.training.flat import FlatWeights

EPS, MOMENTUM = 1e-5, 0.1
"""Batch norm's, as torch has them."""
LossOf = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(outputs (B, n_out), targets (B,)) -> the mean loss, and its gradient by the outputs."""


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


@dataclass(frozen=True)
class DropMasks:
    """What each number of a batch is multiplied by: of the embeddings (B, E), of each hidden layer
    (B, width); None where nothing is dropped."""

    embeddings: Tensor | None
    layers: Sequence[Tensor | None]


class TabularModel(nn.Module):
    """All weights in one tensor; `forward` predicts, `gradient` trains."""

    statistics: Tensor

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
        self._running = list(zip(means, variances, strict=True))
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
        self._base = torch.tensor(base, dtype=torch.long, device=device)
        step = [self.sizes.widths[i] for i in column]
        self._width = torch.tensor(step, dtype=torch.long, device=device)
        self._embeddings = slice(0, end)

    def places(self, codes: Tensor) -> Tensor:
        """codes (B, C) -> where each number of their embeddings lies in `weights`, (B, E)."""
        of = codes.long().gather(1, self._column.expand(len(codes), -1))
        return of.mul_(self._width).add_(self._base)

    def init_weights(self, generator: torch.Generator) -> None:
        """Embeddings normal(0, .01) cut at two deviations, layers uniform(+-1/sqrt(inputs)), norms
        1 and .001: as fastai does."""
        for name, weight in self.flat.weight.items():
            if name.startswith("embedding"):
                nn.init.trunc_normal_(weight, std=0.01, a=-0.02, b=0.02, generator=generator)
            elif name.startswith("norm"):
                weight.fill_(1.0 if name.endswith("weight") else 1e-3)
            elif name != "out.bias":
                bound = weight.shape[1] ** -0.5
                weight.uniform_(-bound, bound, generator=generator)
        bound = self.flat.weight["out"].shape[1] ** -0.5
        self.flat.weight["out.bias"].uniform_(-bound, bound, generator=generator)
        if self.sizes.n_continuous:  # the first norm is torch's own
            self.flat.weight["norm.0.bias"].zero_()
        for mean, variance in self._running:
            mean.zero_()
            variance.fill_(1.0)

    @torch.no_grad()
    def forward(self, codes: Tensor, numbers: Tensor) -> Tensor:
        """codes (B, C), numbers (B, N) -> outputs (B, n_out), inside `y_range` if there is one."""
        weight = self.flat.weight
        x = self.flat.all[self.places(codes)]
        if self.sizes.n_continuous:
            x = torch.cat([x, self._normalised(0, numbers, training=False)[0]], 1)
        for i in range(len(self.sizes.layers)):
            x = torch.relu_(x @ weight[f"linear.{i}"].t())
            x = self._normalised(i + 1, x, training=False)[0]
        return self._ranged(torch.addmm(weight["out.bias"], x, weight["out"].t()))

    def gradient(
        self,
        places: Tensor,
        numbers: Tensor,
        targets: Tensor,
        drop: DropMasks,
        loss_of: LossOf | None = None,
    ) -> Tensor:
        """The mean loss of a batch, whose gradient replaces what was in `flat.grads`.

        `places` are those of the batch's codes. Integer targets (B,) are classes (cross-entropy in
        nats), others numbers (squared error), if `loss_of` does not say what they are.
        """
        weight, grad = self.flat.weight, self.flat.grad
        x = self.flat.all.index_select(0, places.view(-1)).view(places.shape)
        if drop.embeddings is not None:
            x = x * drop.embeddings
        first: list[Tensor] = []
        if self.sizes.n_continuous:
            normed, *first = self._normalised(0, numbers, training=True)
            x = torch.cat([x, normed], 1)
        kept = []
        for i, mask in enumerate(drop.layers):
            active = (x @ weight[f"linear.{i}"].t()).clamp_min_(0)
            normed, mean, inverse = self._normalised(i + 1, active, training=True)
            kept.append((x, active, mask, mean, inverse))
            x = normed if mask is None else normed * mask
        out = torch.addmm(weight["out.bias"], x, weight["out"].t())
        loss, back = (loss_of or self._loss)(out, targets)
        torch.mm(back.t(), x, out=grad["out"])
        torch.sum(back, 0, out=grad["out.bias"])
        back = back @ weight["out"]
        for i, (x, active, mask, mean, inverse) in reversed(list(enumerate(kept))):
            back = back if mask is None else back * mask
            back = self._through_norm(i + 1, back, active, mean, inverse)
            back = torch.ops.aten.threshold_backward(back, active, 0)
            torch.mm(back.t(), x, out=grad[f"linear.{i}"])
            back = back @ weight[f"linear.{i}"]
        if first:
            self._through_norm(0, back[:, places.shape[1] :].contiguous(), numbers, *first)
        back = back[:, : places.shape[1]]
        if drop.embeddings is not None:
            back = back * drop.embeddings
        embeddings = self.flat.grads[self._embeddings].zero_()
        embeddings.index_add_(0, places.view(-1), back.reshape(-1))
        return loss

    def _normalised(self, i: int, x: Tensor, *, training: bool) -> tuple[Tensor, Tensor, Tensor]:
        weight, bias = self.flat.weight[f"norm.{i}.weight"], self.flat.weight[f"norm.{i}.bias"]
        return torch.native_batch_norm(x, weight, bias, *self._running[i], training, MOMENTUM, EPS)

    def _through_norm(
        self, i: int, back: Tensor, x: Tensor, mean: Tensor, inverse: Tensor
    ) -> Tensor:
        """The gradient (B, width) of the norm's input; those of its weights go to `flat.grads`."""
        to_x, to_weight, to_bias = torch.ops.aten.native_batch_norm_backward(
            back, x, self.flat.weight[f"norm.{i}.weight"], *self._running[i], mean, inverse,
            True, EPS, [True, True, True],
        )  # fmt: skip
        self.flat.grad[f"norm.{i}.weight"].copy_(to_weight)
        self.flat.grad[f"norm.{i}.bias"].copy_(to_bias)
        return to_x  # type: ignore[no-any-return]

    def _ranged(self, out: Tensor) -> Tensor:
        if self.y_range is None:
            return out
        low, high = self.y_range
        return torch.sigmoid(out) * (high - low) + low

    def _loss(self, out: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The mean loss of the outputs (B, n_out) before `y_range`, and its gradient."""
        n = len(targets)
        if not targets.is_floating_point():
            logs = torch.log_softmax(out, 1)
            rows = targets[:, None]
            loss = -logs.gather(1, rows).mean()
            back = logs.exp_().scatter_add_(1, rows, out.new_full((n, 1), -1.0))
            return loss, back.div_(n)
        predicted = self._ranged(out)
        difference = predicted[:, 0] - targets
        back = (difference * (2 / n))[:, None]
        if self.y_range is not None:
            low, high = self.y_range
            back = back * (predicted - low) * (high - predicted) / (high - low)
        return difference.square().mean(), back
