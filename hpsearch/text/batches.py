"""Batches as index slices of flat token arrays: a stream for the language model, documents for the
classifier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hpsearch.errors import HpsearchError
from hpsearch.text.vocab import PAD_ID

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
        """The documents `which`, in that order, copied together."""
        lengths = self.lengths[which]
        offsets = np.zeros(len(which) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        # For every token of the result, where it stands in `ids`.
        shift = np.repeat(self.offsets[:-1][which] - offsets[:-1], lengths)
        return Documents(self.ids[np.arange(offsets[-1]) + shift], offsets)

    def reversed(self) -> Documents:
        """The same documents in the same order, each read from its end."""
        back = Documents(self.ids[::-1], len(self.ids) - self.offsets[::-1])
        return back.take(np.arange(len(self))[::-1])


def stream_batches(
    docs: Documents, bs: int, seq_len: int, device: str = "cpu"
) -> Iterator[tuple[Tensor, Tensor]]:
    """The documents, joined in their order and cut into `bs` streams, as (input, target) pairs of
    (T, bs) int64, T = seq_len but for the last. The target is the input shifted by one token.
    All of it goes to the `device` at once.

    Raises HpsearchError if there are fewer than two tokens per stream.
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
    """How many pairs `stream_batches` gives."""
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
        self._starts, self._lengths = docs.offsets[:-1], docs.lengths
        self._ids = torch.tensor(docs.ids, device=device)

    def pad(self, which: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Documents `which` as tokens (T, B) int64 on the device, padded at the end, and their
        lengths (B,) in main memory, longest first if `which` is sorted so."""
        lengths = torch.from_numpy(self._lengths[which])
        device = self._ids.device
        starts = torch.from_numpy(self._starts[which]).to(device, non_blocking=True)
        ends = starts + lengths.to(device, non_blocking=True)
        longest = int(self._lengths[which].max())
        where = starts + torch.arange(longest, device=device)[:, None]
        # Padding may point behind the last document.
        tokens = self._ids[where.clamp(max=len(self._ids) - 1)].long()
        return tokens.masked_fill_(where >= ends, PAD_ID), lengths
