"""One collaborative-filtering model in training, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hpsearch.collab.config import CollabConfig
from hpsearch.collab.data import PreparedRatings
from hpsearch.collab.dot_bias_loop import DotBiasLoop, new_optimiser
from hpsearch.collab.model import DotBias, EmbeddingNN, Link, build_model
from hpsearch.collab.splits import Negatives
from hpsearch.training.fields import parse_moms
from hpsearch.training.loop import optimiser_step
from hpsearch.training.param_groups import make_adam
from hpsearch.training.schedule import OneCycle
from hpsearch.training.stages import Epoch, Stage


class CollabRun:
    """The model, its optimiser and the training ratings on the device."""

    def __init__(
        self, config: CollabConfig, data: PreparedRatings, *, seed: int, device: str
    ) -> None:
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
        self.optimiser: torch.optim.Optimizer

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
        rng = np.random.default_rng([self.seed, epoch.number])
        pairs, targets = self._with_negatives(rng)
        bs = min(self.config.bs, len(pairs))
        steps = len(pairs) // bs
        order = torch.from_numpy(rng.permutation(len(pairs))[: steps * bs]).to(self.device)
        moms = parse_moms(self.config.moms)
        cycle = OneCycle(steps * epoch.stage.epochs, self.config.pct_start, moms)
        first, lr = epoch.k * steps, self.config.lr
        if isinstance(self.model, DotBias):
            assert isinstance(self.optimiser, torch.optim.AdamW)
            loop = DotBiasLoop(self.model, self.optimiser, self.link, self.config.wd, bs)
            loss = loop.train_epoch(pairs[order], targets[order], cycle, first, lr, progress)
        else:
            self.dropout_seed = int(rng.integers(2**62))
            loss = self._train_network(
                self.model, pairs[order], targets[order], bs, cycle, first, progress
            )
        return loss.item(), (lr * cycle.highest(range(first, first + steps)),)

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
        pairs: Tensor,
        targets: Tensor,
        bs: int,
        cycle: OneCycle,
        first: int,
        progress: Callable[[int, int], None],
    ) -> Tensor:
        """An epoch of the network by autograd; its mean loss (scalar)."""
        model.train()
        total = torch.zeros((), device=self.device)
        steps = len(pairs) // bs
        devices = [self.device] if self.device.startswith("cuda") else []
        with torch.random.fork_rng(devices):  # the dropouts draw from torch's own generator
            torch.manual_seed(self.dropout_seed)
            batches = zip(torch.split(pairs, bs), torch.split(targets, bs), strict=True)
            for i, (batch, wanted) in enumerate(batches):
                loss = self.link.loss(model(batch[:, 0], batch[:, 1]), wanted)
                optimiser_step(loss, self.optimiser, cycle, first + i, [self.config.lr])
                total += loss.detach()
                if i % 64 == 63 or i == steps - 1:
                    progress(i + 1, steps)
        return total / steps
