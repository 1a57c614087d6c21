"""Batches as index slices of flat token arrays: a stream for the language model, documents for the
classifier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hpsearch.errors import HpsearchError
from hpsearch.trainers.text.tokens.vocab import PAD_ID

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Documents:
    """Numericalised texts: document i is `ids[offsets[i]:offsets[i + 1]]`."""

    ids: Ids
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens per document (documents,)."""
        return np.diff(self.offsets)

    def take(self, which: npt.NDArray[np.int64]) -> Documents:
        """Copy the documents `which`, in that order."""
        return self._pieces(self.offsets[:-1][which], self.lengths[which])

    def last(self, n: int) -> Documents:
        """The same documents in the same order, of each only its last `n` tokens."""
        lengths = np.minimum(self.lengths, n)
        return self._pieces(self.offsets[1:] - lengths, lengths)

    def _pieces(self, starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> Documents:
        """Make a document of each piece of `ids`."""
        offsets = np.zeros(len(starts) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        # For every token of the result, where it stands in `ids`.
        shift = np.repeat(starts - offsets[:-1], lengths)
        return Documents(self.ids[np.arange(offsets[-1]) + shift], offsets)

    def reversed(self) -> Documents:
        """The same documents in the same order, each read from its end."""
        back = Documents(self.ids[::-1], len(self.ids) - self.offsets[::-1])
        return back.take(np.arange(len(self))[::-1])


def stream_batches(
    docs: Documents, bs: int, seq_len: int, device: str = "cpu"
) -> Iterator[tuple[Tensor, Tensor]]:
    """Join the documents in their order, cut them into `bs` parallel streams, and read these.

    All tokens are copied to the `device` at once.

    Yields:
        (input, target), both int64 (T, bs). T is `seq_len`, less for the last pair. The target is
        the input shifted by one token.

    Raises:
        HpsearchError: There are fewer than two tokens per stream.
    """
    per_stream = (len(docs.ids) - 1) // bs
    if per_stream < 1:
        raise HpsearchError(
            f"{len(docs.ids)} tokens are too few for {bs} parallel streams; "
            "give more text or lower the batch size."
        )
    flat = torch.tensor(docs.ids[: per_stream * bs + 1], device=device).long()
    inputs = flat[:-1].view(bs, per_stream).t().contiguous()
    targets = flat[1:].view(bs, per_stream).t().contiguous()
    for start in range(0, per_stream, seq_len):
        yield inputs[start : start + seq_len], targets[start : start + seq_len]


def count_stream_batches(n_tokens: int, bs: int, seq_len: int) -> int:
    """The number of pairs that `stream_batches` yields."""
    return -(-((n_tokens - 1) // bs) // seq_len)


def training_order(
    lengths: npt.NDArray[np.int64], bs: int, rng: np.random.Generator
) -> list[npt.NDArray[np.int64]]:
    """Shuffled batches of documents of similar length, those with the longest document first.

    Shuffle, sort by length inside mega-batches of 50 * bs, cut into batches, shuffle these
    (fastai's SortedDL; ULMFiT's sampler). A last batch of one document joins the one before it:
    batch norm cannot train on one.
    """
    order = rng.permutation(len(lengths))
    batches: list[npt.NDArray[np.int64]] = []
    for start in range(0, len(order), 50 * bs):
        mega = order[start : start + 50 * bs]
        mega = mega[np.argsort(-lengths[mega], kind="stable")]
        batches += [mega[i : i + bs] for i in range(0, len(mega), bs)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        joined = np.concatenate(batches[-2:])
        # It may be of the next mega-batch, and longer than those that it joins.
        batches[-2:] = [joined[np.argsort(-lengths[joined], kind="stable")]]
    longest = max(range(len(batches)), key=lambda i: int(lengths[batches[i]].max()))
    rest = [batch for i, batch in enumerate(batches) if i != longest]
    return [batches[longest], *(rest[i] for i in rng.permutation(len(rest)))]


def by_length(lengths: npt.NDArray[np.int64], bs: int) -> list[npt.NDArray[np.int64]]:
    """Batches from the longest document to the shortest, for validation and prediction."""
    order = np.argsort(-lengths, kind="stable")
    return [order[i : i + bs] for i in range(0, len(order), bs)]


class DocumentBatches:
    """Documents that lie on a device as one flat tensor; batches are index slices of it."""

    def __init__(self, docs: Documents, device: str = "cpu") -> None:
        self.lengths = docs.lengths
        self._ids = torch.tensor(docs.ids, device=device)
        self.device = self._ids.device
        starts = torch.from_numpy(docs.offsets[:-1].copy())
        self._bounds = torch.stack([starts, torch.from_numpy(self.lengths)]).to(device)

    def rows(self, batches: Sequence[npt.NDArray[np.int64]]) -> tuple[Tensor, ...]:
        """Copy the document numbers of all batches to the device at once."""
        together = torch.from_numpy(np.concatenate(batches)).to(self.device)
        return torch.split(together, [len(which) for which in batches])

    def pad(self, which: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """The documents `which` as one batch.

        Returns:
            Their tokens, int64 (T, B) on the device and padded at the end, and their lengths (B,)
            in main memory, in the order of `which`.
        """
        lengths = self.lengths[which]
        rows = torch.from_numpy(which).to(self.device, non_blocking=True)
        tokens, _ = self.pad_to(int(lengths.max()), rows)
        return tokens, torch.from_numpy(lengths)

    def pad_to(self, steps: int, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The documents `rows` (B,) as one batch, all of it on the device.

        Args:
            steps: T, at least the length of the longest of them.

        Returns:
            Their tokens, int64 (T, B) and padded at the end, and their lengths (B,).
        """
        starts, lengths = self._bounds[:, rows]
        step = torch.arange(steps, device=rows.device)[:, None]
        # Padding may point behind the last document.
        where = (starts + step).clamp_(max=len(self._ids) - 1)
        return self._ids[where].long().masked_fill_(step >= lengths, PAD_ID), lengths
