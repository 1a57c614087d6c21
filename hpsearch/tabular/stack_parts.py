"""What a stack of tabular networks computes with: rows, columns, and where each network's lie.

Shapes as in `hpsearch.tabular.stack`: B rows, S networks, E the summed widths of the embeddings, N
continuous columns, W the networks' widths in a layer, each padded, together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from torch import Tensor

from hpsearch.tabular.model import Sizes
from hpsearch.training.flat import FlatWeights

PAD = 16


def padded(width: int) -> int:
    """The next multiple of PAD."""
    return -(-width // PAD) * PAD


@dataclass(frozen=True)
class DropMasks:
    """What each number of one network is multiplied by: of the embeddings (B, E), of each hidden
    layer (B, width); None where nothing is dropped."""

    embeddings: Tensor | None
    layers: Sequence[Tensor | None]


class Rows(NamedTuple):
    """Rows for one network: `codes` (B, C), `numbers` (B, N), `targets` (B,): integers are classes,
    others numbers."""

    codes: Tensor
    numbers: Tensor
    targets: Tensor
    drop: DropMasks

    def part(self, start: int, stop: int) -> Rows:
        """Those from `start` to before `stop`."""
        which, drop = slice(start, stop), self.drop
        masks = [None if mask is None else mask[which] for mask in (drop.embeddings, *drop.layers)]
        drop = DropMasks(masks[0], masks[1:])
        return Rows(self.codes[which], self.numbers[which], self.targets[which], drop)


class Batch(NamedTuple):
    """Rows for all networks: `places` (B, S, E) of their embeddings in the stack's weights,
    `numbers` (B, S padded N), `targets` (S, B), masks (B, S, E) and (B, W)."""

    places: Tensor
    numbers: Tensor
    targets: Tensor
    dropped: Tensor | None
    masks: list[Tensor | None]

    def rows(self, start: int, stop: int) -> Batch:
        """Those from `start` to before `stop`."""
        which = slice(start, stop)
        dropped = None if self.dropped is None else self.dropped[which]
        masks = [None if mask is None else mask[which] for mask in self.masks]
        targets = self.targets[:, which]
        return Batch(self.places[which], self.numbers[which], targets, dropped, masks)


class Columns:
    """Where the networks' columns lie in a layer: `own` is each one's slice, padding left out."""

    def __init__(self, widths: Sequence[int]) -> None:
        starts = list(accumulate(map(padded, widths), initial=0))
        self.total = starts.pop()
        self.own = [slice(a, a + width) for a, width in zip(starts, widths, strict=True)]

    def spread(self, parts: Sequence[Tensor | None], empty: float, like: Tensor) -> Tensor:
        """Each network's (..., width) in its columns of one tensor, `empty` in the rest."""
        shape = next(part.shape[:-1] for part in parts if part is not None)
        whole = like.new_full((*shape, self.total), empty)
        for part, columns in zip(parts, self.own, strict=True):
            if part is not None:
                whole[..., columns] = part
        return whole


class Layer:
    """What a step on `rows` rows makes of a hidden layer, and each network's own part of it."""

    def __init__(self, columns: Columns, rows: int, like: Tensor) -> None:
        self.active, self.x, self.back = like.new_zeros(3, rows, columns.total)
        self.mean, self.inverse = like.new_zeros(2, columns.total)
        self.active_of, self.x_of, self.back_of = (
            [whole[:, own] for own in columns.own] for whole in (self.active, self.x, self.back)
        )
        self.turned_of = [back.t() for back in self.back_of]


class Ends:
    """The same of the inputs (B, S, n_in), the embeddings before the numbers, and the outputs
    (S, B, n_out)."""

    def __init__(self, sizes: Sizes, n: int, rows: int, like: Tensor) -> None:
        self.x, self.back = like.new_zeros(2, rows, n, sizes.n_in)
        n_embedded = sizes.n_in - sizes.n_continuous
        self.embedded, self.numbers = self.x.split([n_embedded, sizes.n_continuous], 2)
        self.back_embedded, self.back_numbers = self.back.split([n_embedded, sizes.n_continuous], 2)
        width = padded(sizes.n_continuous)
        self.padded = like.new_zeros(rows, n * width)
        self.unpadded = self.padded.view(rows, n, width)[:, :, : sizes.n_continuous]
        self.x_of, self.back_of = self.x.unbind(1), self.back.unbind(1)
        self.out = like.new_zeros(n, rows, sizes.n_out)
        self.out_of = self.out.unbind(0)


class Product:
    """One matrix of every network, (out, in), turned too, and their gradients."""

    def __init__(self, flats: Sequence[FlatWeights], name: str) -> None:
        self.weights = [flat.weight[name] for flat in flats]
        self.turned = [weight.t() for weight in self.weights]
        self.grads = [flat.grad[name] for flat in flats]
