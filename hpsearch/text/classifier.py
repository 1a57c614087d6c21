"""The ULMFiT classifier (Howard and Ruder 2018, section 3.3): encoder, concat pooling, head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hpsearch.text.awd_lstm import AWDLSTM, CLASSIFIER_DROPOUTS, Masks, detach


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

        Padding enters neither state, pools nor penalty: a document leaves the batch after its last
        chunk, and inside that chunk what follows its last token is masked.
        """
        steps_left = lengths.tolist()
        lengths = lengths.to(tokens.device)
        state = self.encoder.zero_state(tokens.shape[1])
        pools, penalty = _Pools(), _Penalty()
        for start in range(0, tokens.shape[0], self.seq_len):
            active = sum(1 for n in steps_left if n > start)
            state = [(h[:, :active], c[:, :active]) for h, c in detach(state)]
            chunk = tokens[start : start + self.seq_len, :active]
            # What lies before the last `max_len` tokens of every document only makes the state: to
            # keep its graph would take gigabytes for a book, and gives no gradient.
            counts = start + len(chunk) > steps_left[active - 1] - self.max_len
            with torch.set_grad_enabled(counts and torch.is_grad_enabled()):
                out, state = self.encoder(chunk, state, masks)
            step = torch.arange(start, start + chunk.shape[0], device=tokens.device)[:, None]
            ends = lengths[:active]
            inside = ((step < ends) & (step >= ends - self.max_len))[..., None]
            going_on = sum(1 for n in steps_left if n > start + self.seq_len)
            pools.add(out, inside, ends[going_on:] - 1 - start, going_on)
            if self.training and out.requires_grad:
                penalty.add(out, inside)
        pooled = pools.concat(lengths.clamp(max=self.max_len))
        return self.head(pooled.float(), masks), penalty.value(self.alpha, self.beta)

    def layer_groups(self) -> list[nn.Module]:
        """Embedding, the LSTM layers one by one, head."""
        return [self.encoder.embedding, *self.encoder.rnns, self.head]


class _Pools:
    """Running last, max and mean over the outputs of documents that end one after another."""

    def __init__(self) -> None:
        self._last: list[Tensor] = []
        self._top: Tensor | None = None
        self._total: Tensor | None = None

    def add(self, out: Tensor, inside: Tensor, last: Tensor, going_on: int) -> None:
        """Outputs (T, B, E) of the documents that are still read, `inside` (T, B, 1) where they
        count; those from `going_on` on end here, at the steps `last`."""
        top = out.masked_fill(~inside, -torch.inf).amax(0)
        total = (out * inside).sum(0, dtype=torch.float32)
        if self._top is not None and self._total is not None:
            n = out.shape[1]
            top = torch.cat([torch.maximum(self._top[:n], top), self._top[n:]])
            total = torch.cat([self._total[:n] + total, self._total[n:]])
        self._top, self._total = top, total
        rows = torch.arange(going_on, out.shape[1], device=out.device)
        self._last.insert(0, out[last, rows])

    def concat(self, counts: Tensor) -> Tensor:
        """[last, max, mean] (B, 3 * E) for documents with `counts` (B,) outputs."""
        assert self._top is not None
        assert self._total is not None
        mean = (self._total / counts[:, None]).to(self._top.dtype)
        return torch.cat([torch.cat(self._last), self._top, mean], dim=1)


class _Penalty:
    """Activation regularisation (Merity et al. 2017, section 4.6): AR on the outputs' size, TAR on
    their change from step to step."""

    def __init__(self) -> None:
        self._squares: list[Tensor] = []
        self._changes: list[Tensor] = []
        self._n = self._n_changes = 0
        self._before: tuple[Tensor, Tensor] | None = None

    def add(self, out: Tensor, inside: Tensor) -> None:
        """The next outputs (T, B, E) of documents still read, and where (T, B, 1) they count."""
        counted = out.float() * inside
        self._squares.append(counted.pow(2).sum())
        self._n += int(inside.sum()) * out.shape[-1]
        if self._before is not None:
            n = out.shape[1]
            last, last_inside = self._before
            counted = torch.cat([last[:, :n], counted])
            inside = torch.cat([last_inside[:, :n], inside])
        both = inside[1:] & inside[:-1]
        self._changes.append(((counted[1:] - counted[:-1]) * both).pow(2).sum())
        self._n_changes += int(both.sum()) * out.shape[-1]
        self._before = (counted[-1:], inside[-1:])

    def value(self, alpha: float, beta: float) -> Tensor:
        """alpha * AR + beta * TAR; zero when nothing was added."""
        total = torch.zeros(())
        for weight, parts, n in (
            (alpha, self._squares, self._n),
            (beta, self._changes, self._n_changes),
        ):
            if n:
                total = total.to(parts[0].device) + weight * torch.stack(parts).sum() / n
        return total


def _dropout(x: Tensor, p: float, masks: Masks | None) -> Tensor:
    return x if masks is None or p == 0 else x * masks.draw(tuple(x.shape), p, x)
