"""Tabular networks in training side by side: their gradients, written by hand.

The network is small: alone, half of a step's time is what torch's calls cost. Side by side, the
networks share the calls for embeddings, batch norms, rectifiers and losses; products of matrices
and optimisers are each network's own, for those are as fast alone.

What becomes of a network does not depend, to the bit, on which others are beside it: a trial alone
is a stack of one, and may be repeated so. Products are its own; what is summed over the rows is
summed alike in every column; and each network's columns begin at a multiple of PAD, for the last
columns of a row may round otherwise than those that fill a vector register.

Shapes: B rows, S networks, E the summed widths of the embeddings, N continuous columns, W the
networks' widths in a layer, each padded, together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hpsearch.tabular.losses import LossOf, losses
from hpsearch.tabular.model import EPS, MOMENTUM, TabularModel
from hpsearch.tabular.stack_parts import Batch, Columns, Ends, Layer, Product, Rows

NORM: Any = torch.native_batch_norm  # whose stubs know neither `out` nor unpacked arguments
THROUGH_NORM: Any = torch.ops.aten.native_batch_norm_backward.default
THROUGH_RELU: Any = torch.ops.aten.threshold_backward.grad_input


class Stack:
    """Networks that differ in nothing but their weights and the widths of their hidden layers.

    While it is used, `models` live in its tensors. Their running statistics are the stack's until
    `write_back`.
    """

    def __init__(self, models: Sequence[TabularModel]) -> None:
        self.models, like = models, models[0].weights
        place = Columns([model.weights.numel() for model in models])
        # The padding of the norms reads and writes one more number, which stays zero.
        self.weights, self.grads = like.new_zeros(2, place.total + 1)
        for model, own in zip(models, place.own, strict=True):
            model.move(self.weights[own], self.grads[own])
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
        self._made: dict[int, tuple[Ends, list[Layer]]] = {}
        self.products = [
            Product([model.flat for model in models], f"linear.{i}")
            for i in range(len(models[0].sizes.layers))
        ]
        self.last = Product([model.flat for model in models], "out")

    def _places_of_norms(self, nothing: int) -> None:
        """Where in the weights those of the norms lie, in the order of their columns, then the
        biases of the outputs."""
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
        """One step's rows, or many steps', of every network."""
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
        """The mean losses (S,) of a batch, whose gradients replace what was in `grads`.

        They are cross-entropies in nats for classes and squared errors for numbers, if `loss_of`
        does not say what they are.
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
        """Give the running statistics to the networks."""
        for columns, wholes, *norms in zip(
            self.columns, self.running, *(model.running for model in self.models), strict=True
        ):
            for own, norm in zip(columns.own, norms, strict=True):
                for statistic, whole in zip(norm, wholes, strict=True):
                    statistic.copy_(whole[own])

    def _buffers(self, rows: int) -> tuple[Ends, list[Layer]]:
        if rows not in self._made:
            ends = Ends(self.models[0].sizes, len(self.models), rows, self.weights)
            layers = [Layer(columns, rows, self.weights) for columns in self.columns[1:]]
            self._made[rows] = ends, layers
        return self._made[rows]

    def _inputs(self, ends: Ends, batch: Batch, norms: Sequence[Tensor]) -> list[Tensor]:
        """Fill `ends.x`; the numbers' means and inverse deviations in this batch."""
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
        self, ends: Ends, xs: Sequence[Tensor], targets: Tensor, loss_of: LossOf | None
    ) -> tuple[Tensor, Tensor]:
        """The losses (S,), and their gradients by the outputs (S, B, n_out)."""
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
        """A product with a vector sums in an order that depends on how `x` lies in memory."""
        return x.contiguous() if self.models[0].sizes.n_out == 1 else x

    def _backward(
        self,
        ends: Ends,
        layers: Sequence[Layer],
        masks: Sequence[Tensor | None],
        back: Tensor,
        norms: Sequence[Tensor],
    ) -> list[Tensor]:
        """Gradients of the matrices to `grads`, of the inputs to `ends.back`; of the hidden
        layers' norms they are returned."""
        before: list[Ends | Layer] = [ends, *layers]
        backs = back.unbind(0)
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
        self, ends: Ends, batch: Batch, norms: Sequence[Tensor], first: Sequence[Tensor]
    ) -> list[Tensor]:
        """Gradients of the embeddings to `grads`; of the numbers' norm they are returned."""
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
        """The gradients of a norm's inputs (B, W), if they are wanted, its weights and biases."""
        found = THROUGH_NORM(
            back, x, norms[2 * i], *self.running[i], mean, inverse, True, EPS, [inputs, True, True]
        )
        return list(found)
