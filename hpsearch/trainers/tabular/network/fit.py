"""Tabular networks in training: rows on the device, optimisers, and the batches of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hpsearch.trainers.shared.stages import Epoch, Stage, Trained
from hpsearch.trainers.step.dropout_masks import Masks
from hpsearch.trainers.step.schedule import OneCycle, parse_moms
from hpsearch.trainers.tabular.config import TabularConfig, parse_layers
from hpsearch.trainers.tabular.network.graph_steps import GraphSteps
from hpsearch.trainers.tabular.network.losses import LossOf
from hpsearch.trainers.tabular.network.model import Sizes, TabularModel
from hpsearch.trainers.tabular.network.stack import Batch, DropMasks, Rows, Stack
from hpsearch.trainers.tabular.table.encoded_rows import EncodedRows

GATHERED_ROWS, GATHERED_ROWS_ON_GPU = 4096, 65_536
"""So many rows are gathered at once, for many batches: a gather of few rows costs about as much."""
PREDICTED_ROWS = 16_384
"""So many rows go through the network at once when it predicts."""


def new_model(
    config: TabularConfig,
    n_categories: tuple[int, ...],
    n_continuous: int,
    n_out: int,
    device: str,
) -> TabularModel:
    """Build the network of `config`; the caller draws or loads its weights.

    Args:
        n_categories: The number of codes of each categorical column.
        n_continuous: The number of continuous columns.
        n_out: The number of classes, or 1 for a number.
    """
    sizes = Sizes(n_categories, n_continuous, parse_layers(config.layers), n_out)
    return TabularModel(sizes, y_range=config.bounds, device=device)


class TabularFit:
    """A model in training, with its rows on the device and the optimiser of its one stage."""

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
        """`loss_of` replaces the loss of a table's target: see `losses.LossOf`."""
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
        """Begin with a new optimiser, and one cycle over the stage's epochs."""
        self.optimiser = self.model.flat.optimiser(self.config.wd)
        self.lrs = stage.lrs
        moms = parse_moms(self.config.moms)
        self.cycle = OneCycle(len(self.ends) * stage.epochs, self.config.pct_start, moms)

    def train_epoch(self, epoch: Epoch, progress: Callable[[int, int], None]) -> Trained:
        """Train on all rows once, in random order.

        Returns:
            The mean loss, and the highest rate of each parameter group.
        """
        return train_epochs([self], [epoch], progress)[0]

    def update(self, i: int) -> None:
        """Take one optimiser step with the rates of step `i` of the cycle."""
        share, momentum = self.cycle.at(i)
        self.optimiser.step(self.lrs[0] * share, momentum)

    def chunks(self, number: int) -> Iterator[Rows]:
        """Yield the rows of epoch `number` in its order, with dropout masks, many batches at once.

        The chunks end where `chunk_ends` says. Order and dropout depend on the seed and the epoch
        alone, so that a resumed trial continues as the uninterrupted one would.
        """
        rng = np.random.default_rng([self.seed, number])
        masks = Masks(int(rng.integers(2**62)), torch.device(self.device))
        order = torch.from_numpy(rng.permutation(len(self.codes))).to(self.device)
        start = 0
        for ends in self.chunk_ends():
            rows = order[start : ends[-1]]
            yield Rows(
                self.codes.index_select(0, rows), self.numbers.index_select(0, rows),
                self.targets.index_select(0, rows), self._drop(masks, len(rows)),
            )  # fmt: skip
            start = ends[-1]

    def chunk_ends(self) -> list[list[int]]:
        """The rows before which the batches end, in one list for each chunk.

        With 10 rows in batches of 4 and two batches in a chunk it is [[4, 8], [10]].
        """
        most = GATHERED_ROWS if self.device == "cpu" else GATHERED_ROWS_ON_GPU
        n = max(1, most // self.config.bs)
        return [self.ends[i : i + n] for i in range(0, len(self.ends), n)]

    def _drop(self, masks: Masks, rows: int) -> DropMasks:
        sizes, config, like = self.model.sizes, self.config, self.numbers

        def draw(width: int, p: float) -> Tensor | None:
            return masks.draw((rows, width), p, like) if p else None

        embedded = draw(sum(sizes.widths), config.emb_drop)
        return DropMasks(embedded, [draw(width, config.drop) for width in sizes.layers])


def batches(fits: Sequence[TabularFit], stack: Stack, numbers: Sequence[int]) -> Iterator[Batch]:
    """Yield the batches of one epoch for all fits at once; `numbers` are the fits' epochs.

    Each fit gathers a chunk of rows, many batches long. A chunk is cut into as many parts as there
    are fits, so that a part of all of them is about as large as one fit's chunk. A part is brought
    into the layout of the stack at once, and its batches are slices of it.

    Example: two fits whose batches end at rows 4, 8, 12, 16 and 18, all in one chunk. A part has
    5 // 2 = 2 batches. The parts begin at rows 0, 8 and 16 of the chunk, and their batches end at
    [4, 8], [4, 8] and [2], counted from the beginning of the part.
    """
    chunk_start = 0
    chunks = zip(*(fit.chunks(k) for fit, k in zip(fits, numbers, strict=True)), strict=True)
    for ends, chunk in zip(fits[0].chunk_ends(), chunks, strict=True):
        n = max(1, len(ends) // len(fits))
        part_start = 0
        for i in range(0, len(ends), n):
            part_ends = [end - chunk_start - part_start for end in ends[i : i + n]]
            part_stop = part_start + part_ends[-1]
            part = stack.batch([rows.part(part_start, part_stop) for rows in chunk])
            for start, stop in pairwise([0, *part_ends]):
                yield part.rows(start, stop)
            part_start = part_stop
        chunk_start = ends[-1]


def train_epochs(
    fits: Sequence[TabularFit], epochs: Sequence[Epoch], progress: Callable[[int, int], None]
) -> list[Trained]:
    """Train one epoch of each fit, side by side.

    The fits must have the same rows, batch size, depth and range of outputs.

    Returns:
        The mean loss of each fit, and the highest rate of each of its parameter groups.
    """
    stack, n_steps = Stack([fit.model for fit in fits]), len(fits[0].ends)
    for fit in fits:
        fit.optimiser.parts = fit.model.flat.parts(fit.config.wd)
    firsts = [epoch.k * n_steps for epoch in epochs]
    # Another loss may launch what a CUDA graph cannot hold.
    graphs = fits[0].device.startswith("cuda") and fits[0].loss_of is None
    steps = (graph_steps if graphs else HostSteps)(fits, stack, firsts)
    for i, batch in enumerate(batches(fits, stack, [epoch.number for epoch in epochs])):
        steps.take(i, batch)
        progress(i + 1, n_steps)
    totals = steps.end()
    stack.write_back()
    highest = [
        fit.cycle.highest(range(first, first + n_steps))
        for fit, first in zip(fits, firsts, strict=True)
    ]
    return [
        (total / len(fit.codes), tuple(lr * share for lr in fit.lrs))
        for fit, total, share in zip(fits, totals, highest, strict=True)
    ]


class HostSteps:
    """The steps of one epoch of a stack, without CUDA graphs.

    Each fit has its own optimiser, and the processor computes its rates. `firsts` holds, for each
    fit, the step of its cycle at which the epoch begins.
    """

    def __init__(self, fits: Sequence[TabularFit], stack: Stack, firsts: Sequence[int]) -> None:
        self._fits, self._stack, self._firsts = fits, stack, firsts
        self._totals = torch.zeros(len(fits), device=fits[0].device)

    def take(self, i: int, batch: Batch) -> None:
        """Train on the epoch's batch `i`."""
        loss = self._stack.gradient(batch, self._fits[0].loss_of)
        self._totals.add_(loss, alpha=len(batch.places))
        for fit, first in zip(self._fits, self._firsts, strict=True):
            fit.update(first + i)

    def end(self) -> list[float]:
        """The sum of each fit's losses over all rows."""
        return [float(total) for total in self._totals.tolist()]


def graph_steps(fits: Sequence[TabularFit], stack: Stack, firsts: Sequence[int]) -> GraphSteps:
    """The steps of one epoch of a stack as CUDA graphs, the rates of all steps on the device."""
    n_steps = len(fits[0].ends)
    rates = np.empty((n_steps, 2, len(fits)))
    for place, (fit, first) in enumerate(zip(fits, firsts, strict=True)):
        for i in range(n_steps):
            share, momentum = fit.cycle.at(first + i)
            rates[i, :, place] = fit.lrs[0] * share, momentum
    return GraphSteps(stack, [fit.optimiser for fit in fits], torch.from_numpy(rates))


def outputs(
    model: TabularModel,
    codes: npt.NDArray[np.int32],
    numbers: npt.NDArray[np.float32],
    device: str,
    progress: Callable[[int], None] = lambda done: None,
) -> npt.NDArray[np.float32]:
    """Compute the network's outputs for encoded rows.

    Args:
        codes: The categories of each row (rows, categorical columns).
        numbers: The scaled numbers of each row (rows, continuous columns).
        progress: Hears how many rows are done.

    Returns:
        The outputs (rows, n_out), in the order of the rows.
    """
    parts = []
    for start in range(0, len(codes), PREDICTED_ROWS):
        rows = slice(start, start + PREDICTED_ROWS)
        given = (torch.from_numpy(part[rows]).to(device) for part in (codes, numbers))
        parts.append(model(*given))
        progress(min(start + PREDICTED_ROWS, len(codes)))
    if not parts:
        return np.zeros((0, model.sizes.n_out), np.float32)
    return torch.cat(parts).cpu().numpy()
