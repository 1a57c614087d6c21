"""One collaborative-filtering model in training, epoch by epoch.

The dot-product model has steps of its own, with gradients by hand and buffers made once. At its
size a step costs what its calls cost, so there are few of them: one look-up for users and items
together, one optimiser step over one table, and no autograd. On a GPU all of them are one CUDA
graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import count

import numpy as np
import torch
from torch import Tensor

from hpsearch.trainers.collab.config import CollabConfig
from hpsearch.trainers.collab.model import DotBias, EmbeddingNN, Link, build_model, fill_unknown
from hpsearch.trainers.collab.prepare import PreparedRatings, Side
from hpsearch.trainers.collab.split_ratings import Negatives
from hpsearch.trainers.shared.stages import Epoch, Stage, Trained
from hpsearch.trainers.shared.y_range import auto_range
from hpsearch.trainers.step.cuda_graph import CapturedStep
from hpsearch.trainers.step.device_adamw import DeviceAdamW
from hpsearch.trainers.step.gradients import gradients
from hpsearch.trainers.step.optimiser import AdamW, GroupedAdamW, Optimiser, Part
from hpsearch.trainers.step.param_groups import optimiser_groups
from hpsearch.trainers.step.schedule import OneCycle, parse_moms


def new_optimiser(model: DotBias, wd: float) -> AdamW:
    """AdamW over the whole table, whose gradient is zero between the steps."""
    table = model.table.detach()
    return AdamW([Part(table, torch.zeros_like(table), wd)])


class DotBiasLoop:
    """Training steps of a dot-product model, on batches of `bs` ratings.

    Weight decay `wd` applies to every row of the table at every step. The biases have the decay
    `bias_wd`, or the same `wd`: in fastai they are embeddings, whose decay is not switched off.
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
        """Train on the pairs in their order.

        Args:
            pairs: User and item numbers (n, 2); n is a multiple of `bs`.
            targets: The ratings (n,).
            first: The step of `cycle` that the first batch is trained with.
            lr: The highest rate of the cycle.

        Returns:
            The mean loss (scalar), on the device.
        """
        steps = len(pairs) // self.bs
        offset = torch.tensor([0, self.n_users], device=pairs.device)
        batches = (pairs + offset).view(steps, self.bs, 2).transpose(1, 2).reshape(steps, -1)
        wanted = self._wanted(targets).view(steps, self.bs)
        scores = self.table.new_empty(steps, self.bs)
        rates = [(lr * share, moms) for share, moms in map(cycle.at, range(first, first + steps))]
        with torch.no_grad():
            graphs = GraphSteps(self, rates) if takes_graphs(self.table) else None
            for i, (rows, goal, out) in enumerate(
                zip(batches.unbind(), wanted.unbind(), scores.unbind(), strict=True)
            ):
                if graphs is None:
                    self.gradient(rows, goal, out)
                    self.update(rows, rates[i][0], partial(self.optimiser.step, *rates[i]))
                else:
                    graphs.take(i, rows, goal, out)
                if i % 256 == 255 or i == steps - 1:
                    progress(i + 1, steps)
            if graphs is not None:
                graphs.end()
            return self.link.loss(scores.view(-1), targets)

    def _wanted(self, targets: Tensor) -> Tensor:
        """The targets, scaled from `y_range` to 0 ... 1 if the model ends in a sigmoid."""
        if self.link.y_range is None:
            return targets
        low, high = self.link.y_range
        return (targets - low) / (high - low)

    def gradient(self, rows: Tensor, wanted: Tensor, scores: Tensor) -> None:
        """Add the gradient of a batch's mean loss to `grad`.

        Args:
            rows: The table's rows of the users, then those of the items (2 * bs,).
            wanted: The targets as `_wanted` scales them (bs,).
            scores: Receives the scores (bs,).
        """
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

    def update(self, rows: Tensor, lr: float | Tensor, step: Callable[[], None]) -> None:
        """Take an optimiser `step` over the whole table at the rate `lr`, and set the gradient back
        to zero at the `rows`."""
        biases = self.table[:, -1]
        kept = biases * (lr * self.spared_wd) if self.spared_wd else None
        step()
        if kept is not None:
            biases.add_(kept)
        self.grad.index_fill_(0, rows, 0.0)


def takes_graphs(table: Tensor) -> bool:
    return table.is_cuda


class GraphSteps:
    """The steps of one epoch as one CUDA graph.

    `rates` holds the learning rate and the momentum of each step. The optimiser's state is copied
    in, and `end` copies it out again.
    """

    def __init__(self, loop: DotBiasLoop, rates: Sequence[tuple[float, float]]) -> None:
        self._loop, device = loop, loop.table.device
        flat = loop.table.view(-1), loop.grad.view(-1)
        self._adam = DeviceAdamW(*flat, [slice(0, len(flat[0]))], [loop.optimiser])
        self._rates = torch.tensor(rates, dtype=torch.float64, device=device)[:, :, None]
        self._step = CapturedStep(self._train, device=str(device))

    def take(self, i: int, rows: Tensor, wanted: Tensor, scores: Tensor) -> None:
        """Train on the epoch's batch `i`: see `DotBiasLoop.gradient`."""
        scores.copy_(self._step(self._rates[i], rows, wanted)[0])

    def end(self) -> None:
        """Copy the state back to the optimiser."""
        self._adam.write_back()

    def _train(self, rates: Tensor, rows: Tensor, wanted: Tensor) -> tuple[Tensor]:
        scores = torch.empty_like(wanted)
        self._loop.gradient(rows, wanted, scores)
        self._loop.update(rows, rates[0, 0], partial(self._adam.step, rates))
        return (scores,)


Drawn = tuple[Tensor, Tensor, int]
"""(pairs, targets, seed of the dropout): what one epoch trains on, a whole number of batches."""


class CollabFit:
    """The model, its optimiser and the training ratings on the device."""

    def __init__(
        self, config: CollabConfig, data: PreparedRatings, *, seed: int, device: str
    ) -> None:
        if config.y_range == "auto":
            low, high = auto_range(data.train.values)
            config = replace(config, y_range=f"{low!r}/{high!r}")
        data.check_range(config)
        self.config, self.seed, self.device = config, seed, device
        self.link = Link.of(config, data.implicit)
        n_users, n_items = len(data.user_ids), len(data.item_ids)
        self.model = build_model(config, n_users, n_items)
        self.model.init_weights(torch.Generator().manual_seed(seed))
        self.model.to(device)
        train = data.train
        self.pairs = torch.from_numpy(np.stack([train.users, train.items], 1)).to(device)
        self.targets = torch.from_numpy(train.values).to(device)
        self.users = train.users
        self.negatives = (
            Negatives.of(train.users, train.items, n_users, n_items) if data.implicit else None
        )
        pairs = len(self._with_negatives(np.random.default_rng(0))[0])
        self.bs = min(config.bs, pairs)
        self.n_ratings: dict[Side, Tensor] = {
            "users": torch.bincount(self.pairs[:, 0], minlength=n_users).float(),
            "items": torch.bincount(self.pairs[:, 1], minlength=n_items).float(),
        }
        self.optimiser: Optimiser

    def start_stage(self, stage: Stage) -> None:
        """A new optimiser, without memory."""
        if isinstance(self.model, DotBias):
            self.optimiser = new_optimiser(self.model, self.config.wd)
        else:
            self.optimiser = GroupedAdamW(optimiser_groups([self.model], self.config.wd))

    def train_epoch(self, epoch: Epoch, progress: Callable[[int, int], None]) -> Trained:
        """Train one epoch.

        Order, negatives and dropout depend on the seed and the epoch alone, so that a resumed trial
        continues as the uninterrupted one would. The pairs after the last whole batch, others in
        every epoch, are left out, as in fastai.

        Returns:
            The mean loss, and the highest rate of the only parameter group.
        """
        pairs, targets, seed = self.draw(epoch.number)
        steps = len(pairs) // self.bs
        moms = parse_moms(self.config.moms)
        cycle = OneCycle(steps * epoch.stage.epochs, self.config.pct_start, moms)
        first, (lr,) = epoch.k * steps, epoch.stage.lrs
        loss = self._steps(pairs, targets, cycle, first, lr, seed, progress)
        fill_unknown(self.model, self.n_ratings)
        return loss.item(), (lr * cycle.highest(range(first, first + steps)),)

    def endless_batches(self) -> Iterator[tuple[Tensor, Tensor, int]]:
        """Batches (pairs, targets, seed of the dropouts) of one epoch after another, for the range
        test."""
        for number in count(1):
            pairs, targets, seed = self.draw(number)
            for batch in self._batches(pairs, targets):
                yield *batch, seed

    def step(self, pairs: Tensor, targets: Tensor, seed: int, lr: float) -> float:
        """Train on one batch at the rate `lr`; its loss."""
        flat = OneCycle.flat(self.config.moms)
        return self._steps(pairs, targets, flat, 0, lr, seed).item()

    def train_on(self, drawn: Drawn, n: int) -> float:
        """Train on the first n batches of what was drawn, or on all; returns their pairs."""
        pairs, targets = (part[: n * self.bs] for part in drawn[:2])
        self._steps(pairs, targets, OneCycle.flat(self.config.moms), 0, 1e-9, drawn[2])
        return float(len(pairs))

    def _batches(self, pairs: Tensor, targets: Tensor) -> list[tuple[Tensor, Tensor]]:
        parts = torch.split(pairs, self.bs), torch.split(targets, self.bs)
        return list(zip(*parts, strict=True))

    def draw(self, number: int) -> Drawn:
        """Draw what epoch `number` trains on, in random order."""
        rng = np.random.default_rng([self.seed, number])
        pairs, targets = self._with_negatives(rng)
        order = torch.from_numpy(rng.permutation(len(pairs))[: len(pairs) // self.bs * self.bs])
        order = order.to(self.device)
        return pairs[order], targets[order], int(rng.integers(2**62))

    def _steps(
        self,
        pairs: Tensor,
        targets: Tensor,
        cycle: OneCycle,
        first: int,
        lr: float,
        seed: int,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Tensor:
        """Train on the pairs in their order, from step `first` of the cycle; returns the mean
        loss (scalar)."""
        if isinstance(self.model, DotBias):
            assert isinstance(self.optimiser, AdamW)
            config = self.config
            loop = DotBiasLoop(
                self.model, self.optimiser, self.link, config.wd, self.bs, config.bias_wd
            )
            return loop.train_epoch(pairs, targets, cycle, first, lr, progress)
        batches = self._batches(pairs, targets)
        with self._seeded(seed):
            return self._train_network(self.model, batches, cycle, first, lr, progress)

    def _with_negatives(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """The training pairs and their targets; for choices, newly drawn negatives too."""
        if self.negatives is None:
            return self.pairs, self.targets
        users, items = self.negatives.draw(np.repeat(self.users, self.config.negatives), rng)
        drawn = torch.from_numpy(np.stack([users, items], 1)).to(self.device)
        zeros = torch.zeros(len(drawn), device=self.device)
        return torch.cat([self.pairs, drawn]), torch.cat([self.targets, zeros])

    def _train_network(
        self,
        model: EmbeddingNN,
        batches: Sequence[tuple[Tensor, Tensor]],
        cycle: OneCycle,
        first: int,
        lr: float,
        progress: Callable[[int, int], None],
    ) -> Tensor:
        """Steps of the network by autograd; its mean loss (scalar)."""
        assert isinstance(self.optimiser, GroupedAdamW)
        model.train()
        step = CapturedStep(
            _Gradients(model, self.link, self.optimiser.weights), device=self.device, most=1
        )
        total = torch.zeros((), device=self.device)
        for i, (pairs, wanted) in enumerate(batches):
            loss, *grads = step(pairs, wanted)
            share, momentum = cycle.at(first + i)
            self.optimiser.step(grads, [lr * share], momentum)
            total += loss
            if i % 64 == 63 or i == len(batches) - 1:
                progress(i + 1, len(batches))
        return total / len(batches)

    @contextmanager
    def _seeded(self, seed: int) -> Iterator[None]:
        """torch's own generator, from which the dropouts draw, begins at `seed` in the block."""
        with torch.random.fork_rng([self.device] if self.device.startswith("cuda") else []):
            torch.manual_seed(seed)
            yield


class _Gradients:
    """What a step of a network computes before the optimiser.

    It does not refer to the CollabFit: a cycle of references would keep the memory of both.
    """

    def __init__(self, model: EmbeddingNN, link: Link, weights: Sequence[Tensor]) -> None:
        self.model, self.link, self.weights = model, link, weights

    def __call__(self, pairs: Tensor, wanted: Tensor) -> tuple[Tensor, ...]:
        """User and item numbers (batch, 2) and targets (batch,) -> mean loss, a gradient for each
        weight."""
        loss = self.link.loss(self.model(pairs[:, 0], pairs[:, 1]), wanted)
        return loss.detach(), *gradients(loss, self.weights)
