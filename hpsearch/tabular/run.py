"""Tabular networks in training: their rows, optimisers, and an epoch's batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hpsearch.tabular.config import TabularConfig, parse_layers
from hpsearch.tabular.losses import LossOf
from hpsearch.tabular.model import Sizes, TabularModel
from hpsearch.tabular.rows import EncodedRows
from hpsearch.tabular.stack import Stack
from hpsearch.tabular.stack_parts import Batch, DropMasks, Rows
from hpsearch.training.fields import parse_moms
from hpsearch.training.masks import Masks
from hpsearch.training.schedule import OneCycle
from hpsearch.training.stages import Epoch, Stage

TOGETHER = 4096
"""Rows that are gathered at once, many batches of them: a gather costs about as much for few."""
PREDICTED_TOGETHER = 16_384


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
    """A model, its training rows on the device, and the optimiser of its one stage."""

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
        """One pass over the rows in random order: mean loss, and the highest rate."""
        return train_epochs([self], [epoch], progress)[0]

    def update(self, i: int) -> None:
        """One optimiser step with the rates of step `i`."""
        share, momentum = self.cycle.at(i)
        self.optimiser.step(self.lrs[0] * share, momentum)

    def chunks(self, number: int) -> Iterator[Rows]:
        """The rows of epoch `number` in its order, many batches at once: those that end at the
        `together` next of `ends`.

        Order and dropout depend on seed and epoch alone, so that a resumed trial goes on as the
        uninterrupted one would.
        """
        rng = np.random.default_rng([self.seed, number])
        masks = Masks(int(rng.integers(2**62)), torch.device(self.device))
        order = torch.from_numpy(rng.permutation(len(self.codes))).to(self.device)
        begin = 0
        for ends in self.chunk_ends():
            which = order[begin : ends[-1]]
            yield Rows(
                self.codes.index_select(0, which), self.numbers.index_select(0, which),
                self.targets.index_select(0, which), self._drop(masks, len(which)),
            )  # fmt: skip
            begin = ends[-1]

    def chunk_ends(self) -> list[list[int]]:
        """Where batches end, those of a chunk together."""
        together = max(1, TOGETHER // self.config.bs)
        return [self.ends[i : i + together] for i in range(0, len(self.ends), together)]

    def _drop(self, masks: Masks, rows: int) -> DropMasks:
        sizes, config, like = self.model.sizes, self.config, self.numbers

        def draw(width: int, p: float) -> Tensor | None:
            return masks.draw((rows, width), p, like) if p else None

        embedded = draw(sum(sizes.widths), config.emb_drop)
        return DropMasks(embedded, [draw(width, config.drop) for width in sizes.layers])


def batches(runs: Sequence[TabularRun], stack: Stack, numbers: Sequence[int]) -> Iterator[Batch]:
    """Batches for all runs, each in the epoch of its number, as slices of what was gathered for
    many of them."""
    begin = 0
    chunks = zip(*(run.chunks(k) for run, k in zip(runs, numbers, strict=True)), strict=True)
    for ends, rows in zip(runs[0].chunk_ends(), chunks, strict=True):
        together, first = max(1, len(ends) // len(runs)), 0
        for i in range(0, len(ends), together):
            of_part = [end - begin - first for end in ends[i : i + together]]
            part = stack.batch([one.part(first, first + of_part[-1]) for one in rows])
            start = 0
            for end in of_part:
                yield part.rows(start, start := end)
            first += of_part[-1]
        begin = ends[-1]


def train_epochs(
    runs: Sequence[TabularRun], epochs: Sequence[Epoch], progress: Callable[[int, int], None]
) -> list[tuple[float, tuple[float, ...]]]:
    """One epoch of each run, side by side: its mean loss, and its highest rate.

    The runs must have the same rows, batch size, depth and range of outputs.
    """
    stack, n_steps = Stack([run.model for run in runs]), len(runs[0].ends)
    for run in runs:
        run.optimiser.parts = run.model.flat.parts(run.config.wd)
    totals = torch.zeros(len(runs), device=runs[0].device)
    for i, batch in enumerate(batches(runs, stack, [epoch.number for epoch in epochs])):
        totals.add_(stack.gradient(batch, runs[0].loss_of), alpha=len(batch.places))
        for run, epoch in zip(runs, epochs, strict=True):
            run.update(epoch.k * n_steps + i)
        progress(i + 1, n_steps)
    stack.write_back()
    steps = [range(epoch.k * n_steps, (epoch.k + 1) * n_steps) for epoch in epochs]
    highest = [run.cycle.highest(which) for run, which in zip(runs, steps, strict=True)]
    return [
        (total / len(run.codes), tuple(lr * share for lr in run.lrs))
        for run, total, share in zip(runs, totals.tolist(), highest, strict=True)
    ]


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
