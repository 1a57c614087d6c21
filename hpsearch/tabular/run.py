"""A tabular network in training: its rows, its optimiser, and an epoch's batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hpsearch.tabular.config import TabularConfig, parse_layers
from hpsearch.tabular.model import DropMasks, LossOf, Sizes, TabularModel
from hpsearch.training.fields import parse_moms
from hpsearch.training.masks import Masks
from hpsearch.training.schedule import OneCycle
from hpsearch.training.stages import Epoch, Stage

TOGETHER = 4096
"""Rows that are gathered at once, many batches of them: a gather costs about as much for few."""
PREDICTED_TOGETHER = 16_384


@dataclass(frozen=True)
class EncodedRows:
    """`codes` (rows, C) and `numbers` (rows, N) of a table, and what is to be predicted: `targets`
    (rows,), int64 classes or float32 numbers on the scale that the network learns them on."""

    codes: npt.NDArray[np.int32]
    numbers: npt.NDArray[np.float32]
    targets: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.codes)


def new_model(
    config: TabularConfig,
    n_categories: tuple[int, ...],
    n_continuous: int,
    n_out: int,
    device: str,
) -> TabularModel:
    """The network of `config`, its weights still to be drawn or loaded."""
    sizes = Sizes(n_categories, n_continuous, parse_layers(config.layers), n_out)
    return TabularModel(sizes, y_range=config.y_range, device=device)


class TabularRun:
    """The model, its training rows on the device, and the optimiser of its one stage."""

    def __init__(
        self,
        config: TabularConfig,
        model: TabularModel,
        train: EncodedRows,
        *,
        seed: int,
        device: str,
        loss_of: LossOf | None = None,
    ) -> None:
        self.config, self.model, self.seed, self.device = config, model, seed, device
        self.loss_of = loss_of
        self.codes, self.numbers, self.targets = (
            torch.from_numpy(part).to(device)
            for part in (train.codes, train.numbers, train.targets)
        )
        ends = list(range(config.bs, len(train), config.bs))
        if ends and len(train) - ends[-1] == 1:
            ends.pop()  # batch norm cannot train on one row: it joins the batch before
        self.ends = [*ends, len(train)]

    def start_stage(self, stage: Stage) -> None:
        """A new optimiser, and one cycle over the stage's epochs."""
        self.optimiser = self.model.flat.optimiser(self.config.wd)
        self.lrs = stage.lrs
        moms = parse_moms(self.config.moms)
        self.cycle = OneCycle(len(self.ends) * stage.epochs, self.config.pct_start, moms)

    def train_epoch(
        self, epoch: Epoch, progress: Callable[[int, int], None]
    ) -> tuple[float, tuple[float, ...]]:
        """One pass over the rows in random order: mean loss, and the highest rate.

        Order and dropout depend on seed and epoch alone, so that a resumed trial goes on as the
        uninterrupted one would.
        """
        rng = np.random.default_rng([self.seed, epoch.number])
        masks = Masks(int(rng.integers(2**62)), torch.device(self.device))
        order = torch.from_numpy(rng.permutation(len(self.codes))).to(self.device)
        total = torch.zeros((), device=self.device)
        steps = range(epoch.k * len(self.ends), (epoch.k + 1) * len(self.ends))
        for i, (places, numbers, targets, drop) in zip(
            steps, self._batches(order, masks), strict=True
        ):
            total += self.step(places, numbers, targets, drop, i) * len(targets)
            progress(i - steps.start + 1, len(self.ends))
        highest = self.cycle.highest(steps)
        return total.item() / len(self.codes), tuple(lr * highest for lr in self.lrs)

    def step(
        self, places: Tensor, numbers: Tensor, targets: Tensor, drop: DropMasks, i: int
    ) -> Tensor:
        """Train on one batch with the rates of step `i`; its mean loss."""
        loss = self.model.gradient(places, numbers, targets, drop, self.loss_of)
        share, momentum = self.cycle.at(i)
        self.optimiser.step(self.lrs[0] * share, momentum)
        return loss

    def endless_batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor, DropMasks]]:
        """Batches of one epoch after another, for the range test."""
        for epoch in count():
            order = torch.from_numpy(
                np.random.default_rng([self.seed, epoch]).permutation(len(self.codes))
            )
            yield from self._batches(order.to(self.device), Masks(epoch, torch.device(self.device)))

    def _batches(
        self, order: Tensor, masks: Masks
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, DropMasks]]:
        """Batches as slices of what was gathered for many of them."""
        config, begin = self.config, 0
        together = max(1, TOGETHER // config.bs)
        for first in range(0, len(self.ends), together):
            ends = self.ends[first : first + together]
            which = order[begin : ends[-1]]
            places = self.model.places(self.codes[which])
            numbers, targets = self.numbers[which], self.targets[which]
            widths = self.model.sizes.layers
            embedded = self._mask(masks, places.shape[1], config.emb_drop, numbers)
            hidden = [self._mask(masks, width, config.drop, numbers) for width in widths]
            start = 0
            for end in ends:
                rows = slice(start, start := end - begin)
                yield (
                    places[rows],
                    numbers[rows],
                    targets[rows],
                    DropMasks(
                        None if embedded is None else embedded[rows],
                        [None if mask is None else mask[rows] for mask in hidden],
                    ),
                )
            begin = ends[-1]

    @staticmethod
    def _mask(masks: Masks, width: int, p: float, like: Tensor) -> Tensor | None:
        return masks.draw((len(like), width), p, like) if p else None


def outputs(
    model: TabularModel,
    codes: npt.NDArray[np.int32],
    numbers: npt.NDArray[np.float32],
    device: str,
    progress: Callable[[int], None] = lambda done: None,
) -> npt.NDArray[np.float32]:
    """The network's outputs (rows, n_out) for encoded rows, in their order."""
    parts = []
    for start in range(0, len(codes), PREDICTED_TOGETHER):
        rows = slice(start, start + PREDICTED_TOGETHER)
        given = (torch.from_numpy(part[rows]).to(device) for part in (codes, numbers))
        parts.append(model(*given))
        progress(min(start + PREDICTED_TOGETHER, len(codes)))
    if not parts:
        return np.zeros((0, model.sizes.n_out), np.float32)
    return torch.cat(parts).cpu().numpy()
