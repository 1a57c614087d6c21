"""Tabular networks that train side by side: their gradients, written by hand.

The networks are small. When a network trains alone, torch's calls cost half of the time of a step.
Side by side, the networks share the calls for embeddings, batch norms, rectifiers and losses. Each
network has its own matrix products and its own optimiser: these gain nothing from sharing.

The result for one network does not depend on the other networks of the stack, to the bit. So a
trial that trains alone is a stack of one, and a trial of a stack can be repeated alone. Three rules
make it so:
- Each network has matrix products of its own.
- Sums over rows are computed in the same order in every column.
- Each network's columns begin at a multiple of PAD, and rows are a multiple of PAD long. The last
  columns of a row may be rounded otherwise than columns that fill a vector register, and on other
  processors than Intel's, MKL takes other kernels for rows that do not begin at a whole register.

Shapes: B rows, S networks, C categorical columns, E the summed widths of the embeddings, N
continuous columns, W the widths of all networks in one layer, each rounded up to a multiple of PAD.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hpsearch.trainers.step.optimiser import FlatWeights
from hpsearch.trainers.tabular.network.losses import LossOf, losses
from hpsearch.trainers.tabular.network.model import EPS, MOMENTUM, Sizes, TabularModel

PAD = 16


def padded(width: int) -> int:
    """The next multiple of PAD."""
    return -(-width // PAD) * PAD


@dataclass(frozen=True)
class DropMasks:
    """The dropout masks of one network, by which its numbers are multiplied.

    `embeddings` is (B, E), and each of `layers` is (B, width of that hidden layer). A mask is None
    where nothing is dropped.
    """

    embeddings: Tensor | None
    layers: Sequence[Tensor | None]


class Rows(NamedTuple):
    """Rows for one network: `codes` (B, C), `numbers` (B, N) and `targets` (B,).

    Targets of an integer type are classes, all others are numbers.
    """

    codes: Tensor
    numbers: Tensor
    targets: Tensor
    drop: DropMasks

    def part(self, start: int, stop: int) -> Rows:
        """The rows from `start` to before `stop`."""
        which, drop = slice(start, stop), self.drop
        masks = [None if mask is None else mask[which] for mask in (drop.embeddings, *drop.layers)]
        drop = DropMasks(masks[0], masks[1:])
        return Rows(self.codes[which], self.numbers[which], self.targets[which], drop)


class Batch(NamedTuple):
    """Rows for all networks of a stack.

    `places` (B, S, E) are the indices of the rows' embeddings in the weights of the stack.
    `numbers` is (B, S times N, padded), `targets` (S, B). `dropped` (B, S, E) and each of `masks`
    (B, W) are the dropout masks of the embeddings and of the hidden layers.
    """

    places: Tensor
    numbers: Tensor
    targets: Tensor
    dropped: Tensor | None
    masks: list[Tensor | None]

    def rows(self, start: int, stop: int) -> Batch:
        """The rows from `start` to before `stop`."""
        which = slice(start, stop)
        dropped = None if self.dropped is None else self.dropped[which]
        masks = [None if mask is None else mask[which] for mask in self.masks]
        targets = self.targets[:, which]
        return Batch(self.places[which], self.numbers[which], targets, dropped, masks)


class Columns:
    """The columns of the networks in one layer: `own` holds a slice for each, without padding."""

    def __init__(self, widths: Sequence[int]) -> None:
        starts = list(accumulate(map(padded, widths), initial=0))
        self.total = starts.pop()
        self.own = [slice(a, a + width) for a, width in zip(starts, widths, strict=True)]

    def spread(self, parts: Sequence[Tensor | None], empty: float, like: Tensor) -> Tensor:
        """Put each network's part (..., width) into its columns of one tensor (..., W).

        All other columns, and those of a part that is None, are filled with `empty`.
        """
        shape = next(part.shape[:-1] for part in parts if part is not None)
        whole = like.new_full((*shape, self.total), empty)
        for part, columns in zip(parts, self.own, strict=True):
            if part is not None:
                whole[..., columns] = part
        return whole


class LayerBuffers:
    """Memory for what a step on `rows` rows computes in a hidden layer, with views of each
    network's own columns."""

    def __init__(self, columns: Columns, rows: int, like: Tensor) -> None:
        self.active, self.x, self.back = like.new_zeros(3, rows, columns.total)
        self.mean, self.inverse = like.new_zeros(2, columns.total)
        self.active_of, self.x_of, self.back_of = (
            [whole[:, own] for own in columns.own] for whole in (self.active, self.x, self.back)
        )
        self.turned_of = [back.t() for back in self.back_of]


class EdgeBuffers:
    """Memory for the inputs (B, S, n_in), embeddings first, and the outputs (S, B, n_out) of the
    networks. In both, each network's part begins at a multiple of PAD."""

    def __init__(self, sizes: Sizes, n: int, rows: int, like: Tensor) -> None:
        wide = like.new_zeros(2, rows, n, padded(sizes.n_in))
        self.x, self.back = wide[..., : sizes.n_in]
        n_embedded = sizes.n_in - sizes.n_continuous
        self.embedded, self.numbers = self.x.split([n_embedded, sizes.n_continuous], 2)
        self.back_embedded, self.back_numbers = self.back.split([n_embedded, sizes.n_continuous], 2)
        width = padded(sizes.n_continuous)
        self.padded = like.new_zeros(rows, n * width)
        self.unpadded = self.padded.view(rows, n, width)[:, :, : sizes.n_continuous]
        self.x_of, self.back_of = self.x.unbind(1), self.back.unbind(1)
        flat = like.new_zeros(2, n, padded(rows * sizes.n_out))[..., : rows * sizes.n_out]
        self.out, self.back_out = flat.view(2, n, rows, sizes.n_out)
        self.out_of, self.back_out_of = self.out.unbind(0), self.back_out.unbind(0)


class Product:
    """One matrix (out, in) of every network, its transpose, and its gradient."""

    def __init__(self, flats: Sequence[FlatWeights], name: str) -> None:
        self.weights = [flat.weight[name] for flat in flats]
        self.turned = [weight.t() for weight in self.weights]
        self.grads = [flat.grad[name] for flat in flats]


NORM: Any = torch.native_batch_norm  # whose stubs know neither `out` nor unpacked arguments
THROUGH_NORM: Any = torch.ops.aten.native_batch_norm_backward.default
THROUGH_RELU: Any = torch.ops.aten.threshold_backward.grad_input


class Stack:
    """Networks that differ in nothing but their weights and the widths of their hidden layers.

    The weights of the `models` are moved into the tensors of the stack. Their running statistics
    are copied into it, and `write_back` copies them out again.
    """

    def __init__(self, models: Sequence[TabularModel]) -> None:
        self.models, like = models, models[0].weights
        place = Columns([model.weights.numel() for model in models])
        # The padding of the norms reads and writes one more number, which stays zero.
        self.weights, self.grads = like.new_zeros(2, place.total + 1)
        for model, own in zip(models, place.own, strict=True):
            model.move(self.weights[own], self.grads[own])
        self.own = place.own
        self.starts = [own.start for own in place.own]
        self.embeddings = [model.flat.grads[: model.n_embedded] for model in models]
        widths = zip(*([one.sizes.n_continuous, *one.sizes.layers] for one in models), strict=True)
        self.columns = [Columns(width) for width in widths]
        self._places_of_norms(place.total)
        running = zip(*(model.running for model in models), strict=True)
        self.running = [
            tuple(columns.spread(rows, 0.0, like) for rows in zip(*norms, strict=True))
            for columns, norms in zip(self.columns, running, strict=True)
        ]
        self._made: dict[int, tuple[EdgeBuffers, list[LayerBuffers]]] = {}
        self.products = [
            Product([model.flat for model in models], f"linear.{i}")
            for i in range(len(models[0].sizes.layers))
        ]
        self.last = Product([model.flat for model in models], "out")

    def _places_of_norms(self, nothing: int) -> None:
        """Find the indices of the norms' weights and biases in `weights`, in the order of their
        columns, then those of the outputs' biases. Padding has the index `nothing`."""
        parts = []
        for i, columns in enumerate(self.columns):
            for kind in ("weight", "bias"):
                part = torch.full((columns.total,), nothing)
                for model, start, own in zip(self.models, self.starts, columns.own, strict=True):
                    first = start + model.flat.start[f"norm.{i}.{kind}"]
                    part[own] = torch.arange(first, first + own.stop - own.start)
                parts.append(part)
        self._norm_sizes = [len(part) for part in parts]
        places = torch.cat(parts)
        n_out = self.models[0].sizes.n_out
        for model, start in zip(self.models, self.starts, strict=True):
            first = start + model.flat.start["out.bias"]
            parts.append(torch.arange(first, first + n_out))
        self._norms = places.to(self.weights.device)
        self._plain = torch.cat(parts).to(self.weights.device)

    def batch(self, rows: Sequence[Rows]) -> Batch:
        """Bring the rows of every network, for one step or for many, into the stack's layout."""
        given = zip(self.models, self.starts, rows, strict=True)
        places = [model.places(one.codes).add_(start) for model, start, one in given]
        numbers = self.columns[0].spread([one.numbers for one in rows], 0.0, rows[0].numbers)
        drops = [one.drop.embeddings for one in rows]
        dropped = None
        if any(drop is not None for drop in drops):
            whole = self.weights.new_ones(places[0].shape)
            dropped = torch.stack([whole if drop is None else drop for drop in drops], 1)
        masks: list[Tensor | None] = []
        for i, columns in enumerate(self.columns[1:]):
            parts = [one.drop.layers[i] for one in rows]
            some = any(part is not None for part in parts)
            masks.append(columns.spread(parts, 1.0, self.weights) if some else None)
        targets = torch.stack([one.targets for one in rows])
        return Batch(torch.stack(places, 1), numbers, targets, dropped, masks)

    def gradient(self, batch: Batch, loss_of: LossOf | None = None) -> Tensor:
        """Compute the gradients of a batch into `grads`, where they replace what was there.

        Returns:
            The mean loss of each network (S,): that of `loss_of` if it is given, otherwise the
            cross-entropy in nats for classes and the squared error for numbers.
        """
        ends, layers = self._buffers(len(batch.places))
        norms = self.weights.index_select(0, self._norms).split(self._norm_sizes)
        first = self._inputs(ends, batch, norms)
        xs = ends.x_of
        for i, (layer, mask) in enumerate(zip(layers, batch.masks, strict=True)):
            for x, turned, active in zip(xs, self.products[i].turned, layer.active_of, strict=True):
                torch.mm(x, turned, out=active)
            layer.active.clamp_min_(0)
            NORM(
                layer.active, *norms[2 * i + 2 : 2 * i + 4], *self.running[i + 1], True, MOMENTUM,
                EPS, out=(layer.x, layer.mean, layer.inverse),
            )  # fmt: skip
            if mask is not None:
                layer.x.mul_(mask)
            xs = layer.x_of
        loss, back = self._outputs(ends, xs, batch.targets, loss_of)
        of_layers = self._backward(ends, layers, batch.masks, back, norms)
        of_inputs = self._to_inputs(ends, batch, norms, first)
        plain = torch.cat([*of_inputs, *of_layers, back.sum(1).view(-1)])
        self.grads.index_copy_(0, self._plain, plain)
        return loss

    def write_back(self) -> None:
        """Copy the running statistics to the networks."""
        for columns, wholes, *norms in zip(
            self.columns, self.running, *(model.running for model in self.models), strict=True
        ):
            for own, norm in zip(columns.own, norms, strict=True):
                for statistic, whole in zip(norm, wholes, strict=True):
                    statistic.copy_(whole[own])

    def _buffers(self, rows: int) -> tuple[EdgeBuffers, list[LayerBuffers]]:
        if rows not in self._made:
            ends = EdgeBuffers(self.models[0].sizes, len(self.models), rows, self.weights)
            layers = [LayerBuffers(columns, rows, self.weights) for columns in self.columns[1:]]
            self._made[rows] = ends, layers
        return self._made[rows]

    def _inputs(self, ends: EdgeBuffers, batch: Batch, norms: Sequence[Tensor]) -> list[Tensor]:
        """Fill `ends.x`; returns the means and the inverse deviations of the batch's numbers."""
        places = batch.places
        x = self.weights.index_select(0, places.view(-1)).view(places.shape)
        if batch.dropped is not None:
            x.mul_(batch.dropped)
        ends.embedded.copy_(x)
        n = self.models[0].sizes.n_continuous
        if not n:
            return []
        first: list[Tensor]
        normed, *first = NORM(batch.numbers, *norms[:2], *self.running[0], True, MOMENTUM, EPS)
        ends.numbers.copy_(normed.view(len(x), len(self.models), -1)[:, :, :n])
        return first

    def _outputs(
        self, ends: EdgeBuffers, xs: Sequence[Tensor], targets: Tensor, loss_of: LossOf | None
    ) -> tuple[Tensor, Tensor]:
        """Compute the losses (S,), and their gradients by the outputs (S, B, n_out)."""
        for model, x, turned, out in zip(
            self.models, xs, self.last.turned, ends.out_of, strict=True
        ):
            torch.addmm(model.flat.weight["out.bias"], self._whole(x), turned, out=out)
        if loss_of is None:
            return losses(ends.out, targets, self.models[0].y_range)
        found = [loss_of(*one) for one in zip(ends.out_of, targets, strict=True)]
        loss, back = (torch.stack(part) for part in zip(*found, strict=True))
        return loss, back

    def _whole(self, x: Tensor) -> Tensor:
        """Copy `x` where the matrix is a vector: the order of the sums in a product with a vector
        depends on the memory layout of `x`."""
        return x.contiguous() if self.models[0].sizes.n_out == 1 else x

    def _backward(
        self,
        ends: EdgeBuffers,
        layers: Sequence[LayerBuffers],
        masks: Sequence[Tensor | None],
        back: Tensor,
        norms: Sequence[Tensor],
    ) -> list[Tensor]:
        """Write the gradients of the matrices to `grads` and those of the inputs to `ends.back`;
        returns those of the hidden layers' norms."""
        before: list[EdgeBuffers | LayerBuffers] = [ends, *layers]
        backs = ends.back_out_of
        ends.back_out.copy_(back)
        for way, x, grad in zip(backs, before[-1].x_of, self.last.grads, strict=True):
            torch.mm(way.t(), self._whole(x), out=grad)
        for way, weight, to in zip(backs, self.last.weights, before[-1].back_of, strict=True):
            torch.mm(way, weight, out=to)
        found: list[Tensor] = []
        for i, layer in reversed(list(enumerate(layers))):
            if (mask := masks[i]) is not None:
                layer.back.mul_(mask)
            through, *of_norm = self._through_norm(
                i + 1, layer.back, layer.active, norms, layer.mean, layer.inverse, inputs=True
            )
            THROUGH_RELU(through, layer.active, 0, grad_input=layer.back)
            product = self.products[i]
            for turned, x, grad in zip(layer.turned_of, before[i].x_of, product.grads, strict=True):
                torch.mm(turned, x, out=grad)
            for way, weight, to in zip(
                layer.back_of, product.weights, before[i].back_of, strict=True
            ):
                torch.mm(way, weight, out=to)
            found[:0] = of_norm
        return found

    def _to_inputs(
        self, ends: EdgeBuffers, batch: Batch, norms: Sequence[Tensor], first: Sequence[Tensor]
    ) -> list[Tensor]:
        """Write the gradients of the embeddings to `grads`; returns those of the numbers' norm."""
        torch._foreach_zero_(self.embeddings)
        back = ends.back_embedded
        if batch.dropped is not None:
            back = back * batch.dropped
        self.grads.index_add_(0, batch.places.view(-1), back.reshape(-1))
        if not first:
            return []
        ends.unpadded.copy_(ends.back_numbers)
        return self._through_norm(0, ends.padded, batch.numbers, norms, *first, inputs=False)[1:]

    def _through_norm(
        self,
        i: int,
        back: Tensor,
        x: Tensor,
        norms: Sequence[Tensor],
        mean: Tensor,
        inverse: Tensor,
        *,
        inputs: bool,
    ) -> list[Tensor]:
        """Compute the gradients of a norm: of its inputs (B, W) if `inputs` says so, of its weights
        and of its biases."""
        found = THROUGH_NORM(
            back, x, norms[2 * i], *self.running[i], mean, inverse, True, EPS, [inputs, True, True]
        )
        return list(found)
