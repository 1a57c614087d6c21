"""One collaborative-filtering model in training, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count

import numpy as np
import torch
from torch import Tensor

from hpsearch.collab.config import CollabConfig
from hpsearch.collab.data import PreparedRatings, Side
from hpsearch.collab.dot_bias_loop import DotBiasLoop, new_optimiser
from hpsearch.collab.model import (
    DotBias,
    EmbeddingNN,
    Link,
    build_model,
    fill_unknown,
)
from hpsearch.collab.splits import Negatives
from hpsearch.training.fields import parse_moms
from hpsearch.training.loop import optimiser_step
from hpsearch.training.optimiser import AdamW, Optimiser
from hpsearch.training.param_groups import make_adam
from hpsearch.training.reach import check_reach
from hpsearch.training.schedule import OneCycle
from hpsearch.training.stages import Epoch, Stage


class CollabRun:
    """The model, its optimiser and the training ratings on the device."""

    def __init__(
        self, config: CollabConfig, data: PreparedRatings, *, seed: int, device: str
    ) -> None:
        self.config, self.seed, self.device = config, seed, device
        self.link = Link.of(config, data.implicit)
        check_reach("The ratings go", data.train.values, self.link.y_range, "{:g}/{:g}")
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
            self.optimiser = make_adam([self.model], self.config.wd)

    def train_epoch(
        self, epoch: Epoch, progress: Callable[[int, int], None]
    ) -> tuple[float, tuple[float, ...]]:
        """Train one epoch: mean loss, and the highest rate.

        Order, negatives and dropout depend on seed and epoch alone, so that a resumed trial goes
        on as the uninterrupted one would. What is left after the last whole batch (another rest
        every epoch) is not trained on, as fastai has it.
        """
        pairs, targets, seed = self._drawn(epoch.number)
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
            pairs, targets, seed = self._drawn(number)
            for batch in self._batches(pairs, targets):
                yield *batch, seed

    def step(self, pairs: Tensor, targets: Tensor, seed: int, lr: float) -> float:
        """Train on one batch at the rate `lr`; its loss."""
        flat = OneCycle.flat(self.config.moms)
        return self._steps(pairs, targets, flat, 0, lr, seed).item()

    def _batches(self, pairs: Tensor, targets: Tensor) -> list[tuple[Tensor, Tensor]]:
        parts = torch.split(pairs, self.bs), torch.split(targets, self.bs)
        return list(zip(*parts, strict=True))

    def _drawn(self, number: int) -> tuple[Tensor, Tensor, int]:
        """(pairs, targets, seed of the dropouts) of an epoch's whole batches, in random order."""
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
        """Train on the pairs in their order with the rates of step `first` on; the mean loss."""
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
        assert isinstance(self.optimiser, torch.optim.Optimizer)
        model.train()
        total = torch.zeros((), device=self.device)
        for i, (pairs, wanted) in enumerate(batches):
            loss = self.link.loss(model(pairs[:, 0], pairs[:, 1]), wanted)
            optimiser_step(loss, self.optimiser, cycle, first + i, [lr])
            total += loss.detach()
            if i % 64 == 63 or i == len(batches) - 1:
                progress(i + 1, len(batches))
        return total / len(batches)

    @contextmanager
    def _seeded(self, seed: int) -> Iterator[None]:
        """torch's own generator, from which the dropouts draw, begins at `seed` in the block."""
        with torch.random.fork_rng([self.device] if self.device.startswith("cuda") else []):
            torch.manual_seed(seed)
            yield
