"""The training steps of the dot-product model: gradients by hand, buffers made once.

At this size a step costs what its calls cost, so there are few of them: one look-up for users and
items together, one optimiser step over one table, and no autograd.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hpsearch.collab.model import DotBias, Link
from hpsearch.training.optimiser import AdamW, Part
from hpsearch.training.schedule import OneCycle


def new_optimiser(model: DotBias, wd: float) -> AdamW:
    """AdamW over the whole table, whose gradient is zero between the steps."""
    table = model.table.detach()
    return AdamW([Part(table, torch.zeros_like(table), wd)])


class DotBiasLoop:
    """Steps on batches of `bs` ratings over one model and its optimiser.

    Weight decay `wd` reaches every row at every step. That of the biases is `bias_wd`, or the same:
    fastai's embeddings are no "bias".
    """

    def __init__(
        self,
        model: DotBias,
        optimiser: AdamW,
        link: Link,
        wd: float,
        bs: int,
        bias_wd: float | None = None,
    ) -> None:
        self.optimiser, self.link = optimiser, link
        self.table, self.grad, _ = optimiser.parts[0]
        self.spared_wd = 0.0 if bias_wd is None else wd - bias_wd
        self.n_users, self.bs = model.n_users, bs
        width = self.table.shape[1]
        self.rows = self.table.new_empty(2 * bs, width)
        self.row_grads = self.table.new_empty(2 * bs, width)
        self.product = self.table.new_empty(bs, width - 1)
        self.error = self.table.new_empty(bs)
        self.users, self.items = self.rows[:bs], self.rows[bs:]
        span = 1.0 if link.y_range is None else link.y_range[1] - link.y_range[0]
        self.scale = (1.0 if link.implicit else 2.0 * span * span) / bs

    def train_epoch(
        self,
        pairs: Tensor,
        targets: Tensor,
        cycle: OneCycle,
        first: int,
        lr: float,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Tensor:
        """Train on `pairs` (n, 2) of user and item numbers and `targets` (n,), in this order, with
        the rates of step `first` on. n is a multiple of bs. Returns the mean loss (scalar)."""
        steps = len(pairs) // self.bs
        offset = torch.tensor([0, self.n_users], device=pairs.device)
        batches = (pairs + offset).view(steps, self.bs, 2).transpose(1, 2).reshape(steps, -1)
        wanted = self._wanted(targets).view(steps, self.bs)
        scores = self.table.new_empty(steps, self.bs)
        with torch.no_grad():
            for i, (rows, goal, out) in enumerate(
                zip(batches.unbind(), wanted.unbind(), scores.unbind(), strict=True)
            ):
                share, momentum = cycle.at(first + i)
                self.gradient(rows, goal, out)
                self._update(rows, lr * share, momentum)
                if i % 256 == 255 or i == steps - 1:
                    progress(i + 1, steps)
            return self.link.loss(scores.view(-1), targets)

    def _wanted(self, targets: Tensor) -> Tensor:
        """The targets in units of the sigmoid, where there is one."""
        if self.link.y_range is None:
            return targets
        low, high = self.link.y_range
        return (targets - low) / (high - low)

    def gradient(self, rows: Tensor, wanted: Tensor, scores: Tensor) -> None:
        """Add the mean loss's gradient to `grad` at the `rows` (2 bs,) of the table, users first;
        the scores go to `scores` (bs,)."""
        users, items, error, bs = self.users, self.items, self.error, self.bs
        torch.index_select(self.table, 0, rows, out=self.rows)
        torch.mul(users[:, :-1], items[:, :-1], out=self.product)
        torch.sum(self.product, 1, out=scores)
        scores.add_(users[:, -1]).add_(items[:, -1])
        if self.link.y_range is not None:
            squeezed = torch.sigmoid(scores)
            torch.sub(squeezed, wanted, out=error)
            torch.ops.aten.sigmoid_backward.grad_input(error, squeezed, grad_input=error)
        elif self.link.implicit:
            torch.sub(torch.sigmoid(scores), wanted, out=error)
        else:
            torch.sub(scores, wanted, out=error)
        error.mul_(self.scale)
        # d score / d user row = (item factors, 1), and the other way round.
        self.rows[:, -1] = 1.0
        torch.mul(items, error[:, None], out=self.row_grads[:bs])
        torch.mul(users, error[:, None], out=self.row_grads[bs:])
        self.grad.index_add_(0, rows, self.row_grads)

    def _update(self, rows: Tensor, lr: float, momentum: float) -> None:
        """One AdamW step over the whole table; the gradient is zero again after it."""
        biases = self.table[:, -1]
        kept = biases * (lr * self.spared_wd) if self.spared_wd else None
        self.optimiser.step(lr, momentum)
        if kept is not None:
            biases.add_(kept)
        self.grad.index_fill_(0, rows, 0.0)
