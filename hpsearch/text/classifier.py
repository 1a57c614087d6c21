"""The ULMFiT classifier (Howard and Ruder 2018, section 3.3): encoder, concat pooling, head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hpsearch.text.awd_lstm import AWDLSTM, CLASSIFIER_DROPOUTS
from hpsearch.training.device import autocast
from hpsearch.training.masks import Masks


class Head(nn.Module):
    """BN, dropout, Linear, ReLU, BN, dropout, Linear on pooled documents (B, 3 * E)."""

    def __init__(self, n_in: int, n_hidden: int, n_classes: int, drop: tuple[float, float]) -> None:
        super().__init__()
        self.drop = drop
        self.norm1 = nn.BatchNorm1d(n_in)
        self.linear1 = nn.Linear(n_in, n_hidden, bias=False)
        self.norm2 = nn.BatchNorm1d(n_hidden)
        self.linear2 = nn.Linear(n_hidden, n_classes, bias=False)

    def init_weights(self, generator: torch.Generator) -> None:
        with torch.no_grad():
            for linear in (self.linear1, self.linear2):
                bound = linear.in_features**-0.5
                for parameter in linear.parameters():
                    parameter.uniform_(-bound, bound, generator=generator)

    def forward(self, pooled: Tensor, masks: Masks | None) -> Tensor:
        x = _dropout(self.norm1(pooled), self.drop[0], masks)
        x = torch.relu(self.linear1(x))
        out: Tensor = self.linear2(_dropout(self.norm2(x), self.drop[1], masks))
        return out


class TextClassifier(nn.Module):
    """Reads whole documents in chunks of `seq_len`, carrying the state, and pools the outputs of
    the last `max_len` tokens into [last, max, mean]."""

    def __init__(
        self,
        encoder: AWDLSTM,
        n_classes: int,
        *,
        lin_ftrs: int,
        drop_mult: float,
        seq_len: int,
        max_len: int,
        alpha: float = 2.0,
        beta: float = 1.0,
    ) -> None:
        super().__init__()
        self.alpha, self.beta = alpha, beta
        drop = CLASSIFIER_DROPOUTS.times(drop_mult)
        self.encoder, self.seq_len, self.max_len = encoder, seq_len, max_len
        self.head = Head(3 * encoder.emb, lin_ftrs, n_classes, (drop.output, 0.1))

    def forward(
        self, tokens: Tensor, lengths: Tensor, masks: Masks | None
    ) -> tuple[Tensor, Tensor]:
        """tokens (T, B) padded at the end, lengths (B,) sorted from long to short -> logits
        (B, classes) and, in training, the AR and TAR penalty (a number; fastai has it too).

        `lengths` lie in main memory, so that nothing here waits for the device. Padding enters
        neither state, pools nor penalty: a document leaves the batch after its last chunk, and
        inside that chunk what follows its last token is masked.
        """
        ends = lengths.tolist()
        lengths = lengths.to(tokens.device, non_blocking=True)
        state = self.encoder.zero_state(tokens.shape[1])
        pools, penalty = _Pools(), _Penalty()
        for start in range(0, ends[0], self.seq_len):
            stop = min(start + self.seq_len, ends[0])
            active, going_on = _longer_than(ends, start), _longer_than(ends, stop)
            state = [(h[:, :active], c[:, :active]) for h, c in state]
            # What lies before the last `max_len` tokens of every document only makes the state: to
            # keep its graph would take gigabytes for a book, and gives no gradient.
            counts = stop > ends[active - 1] - self.max_len
            with torch.set_grad_enabled(counts and torch.is_grad_enabled()):
                out, state = self.encoder(tokens[start:stop, :active], state, masks)
            if not counts:
                continue
            inside = None
            if stop > ends[active - 1] or start < ends[0] - self.max_len:
                step = torch.arange(start, stop, device=tokens.device)[:, None]
                last = lengths[:active]
                inside = ((step < last) & (step >= last - self.max_len))[..., None]
            pools.add(out, inside, lengths[going_on:active] - 1 - start)
            if self.training and out.requires_grad:
                penalty.add(out, inside)
        counted = [min(n, self.max_len) for n in ends]
        pooled = pools.concat(lengths.clamp(max=self.max_len))
        with autocast(tokens.device.type, torch.float32):  # the head is small
            logits = self.head(pooled, masks)
        return logits, penalty.value(self.alpha, self.beta, counted)

    def layer_groups(self) -> list[nn.Module]:
        """Embedding, the LSTM layers one by one, head."""
        return [self.encoder.embedding, *self.encoder.rnns, self.head]


class _Pools:
    """Running last, max and mean over the outputs of documents that end one after another."""

    def __init__(self) -> None:
        self._last: list[Tensor] = []
        self._top: Tensor | None = None
        self._total: Tensor | None = None

    def add(self, out: Tensor, inside: Tensor | None, last: Tensor) -> None:
        """Outputs (T, B, E) of the documents that are still read, and `inside` (T, B, 1) where
        they count (None: all do). The shortest of them end here, at the steps `last`."""
        n = out.shape[1]
        if len(last):
            rows = torch.arange(n - len(last), n, device=out.device)
            self._last.insert(0, out[last, rows])
        total = _masked(out, inside).sum(0, dtype=torch.float32)
        top = out if inside is None else out.masked_fill(~inside, -torch.inf)
        top = top.amax(0)
        if self._top is not None and self._total is not None:
            top = torch.cat([torch.maximum(self._top[:n], top), self._top[n:]])
            total = torch.cat([self._total[:n] + total, self._total[n:]])
        self._top, self._total = top, total

    def concat(self, counts: Tensor) -> Tensor:
        """[last, max, mean] (B, 3 * E) in float32 for documents with `counts` (B,) outputs: a mean
        over many tokens differs between documents in digits that bfloat16 does not have."""
        assert self._top is not None
        assert self._total is not None
        pools = (torch.cat(self._last), self._top, self._total / counts[:, None])
        return torch.cat([pool.float() for pool in pools], dim=1)


class _Penalty:
    """Activation regularisation (Merity et al. 2017, section 4.6): AR on the outputs' size, TAR on
    their change from step to step."""

    def __init__(self) -> None:
        self._squares: list[Tensor] = []
        self._changes: list[Tensor] = []
        self._before: tuple[Tensor, Tensor | None] | None = None
        self._width = 0

    def add(self, out: Tensor, inside: Tensor | None) -> None:
        """The next outputs (T, B, E) of documents still read, and where (T, B, 1) they count
        (None: everywhere)."""
        x = _masked(out.float(), inside)
        self._squares.append(x.square().sum())
        change = _masked(x[1:] - x[:-1], inside[1:] & inside[:-1] if inside is not None else None)
        self._changes.append(change.square().sum())
        if self._before is not None:
            last, was_inside = self._before
            change = x[0] - last[: out.shape[1]]
            change = _masked(change, inside[0] if inside is not None else None)
            change = _masked(change, was_inside[: len(change)] if was_inside is not None else None)
            self._changes.append(change.square().sum())
        self._before = (x[-1], inside[-1] if inside is not None else None)
        self._width = out.shape[2]

    def value(self, alpha: float, beta: float, counted: list[int]) -> Tensor:
        """alpha * AR + beta * TAR for documents with `counted` outputs; zero if none was added."""
        if not self._squares:
            return torch.zeros(())
        n, n_changes = sum(counted), max(1, sum(counted) - len(counted))
        ar = torch.stack(self._squares).sum() / (n * self._width)
        tar = torch.stack(self._changes).sum() / (n_changes * self._width)
        return alpha * ar + beta * tar


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask


def _longer_than(lengths: list[int], n: int) -> int:
    return sum(length > n for length in lengths)


def _dropout(x: Tensor, p: float, masks: Masks | None) -> Tensor:
    return x if masks is None or p == 0 else x * masks.draw(tuple(x.shape), p, x)
