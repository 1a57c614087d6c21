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
    ) -> None:
        super().__init__()
        drop = CLASSIFIER_DROPOUTS.times(drop_mult)
        self.encoder, self.seq_len, self.max_len = encoder, seq_len, max_len
        self.head = Head(3 * encoder.emb, lin_ftrs, n_classes, (drop.output, 0.1))

    def forward(self, tokens: Tensor, lengths: Tensor, masks: Masks | None) -> Tensor:
        """tokens (T, B) padded at the end, lengths (B,) sorted from long to short -> (B, classes).

        Padding enters neither state nor pools: a document leaves the batch after its last chunk,
        and inside that chunk what follows its last token is masked.
        """
        out: Tensor = self.head(self._pool(tokens, lengths, masks).float(), masks)
        return out

    def _pool(self, tokens: Tensor, lengths: Tensor, masks: Masks | None) -> Tensor:
        """Pooled outputs (B, 3 * E)."""
        device = tokens.device
        state = self.encoder.zero_state(tokens.shape[1])
        steps_left = lengths.tolist()
        lengths = lengths.to(device)
        last: list[Tensor] = []
        top: Tensor | None = None
        total: Tensor | None = None
        for start in range(0, tokens.shape[0], self.seq_len):
            active = sum(1 for n in steps_left if n > start)
            state = [(h[:, :active], c[:, :active]) for h, c in detach(state)]
            chunk = tokens[start : start + self.seq_len, :active]
            out, state = self.encoder(chunk, state, masks)
            step = torch.arange(start, start + chunk.shape[0], device=device)[:, None]
            ends = lengths[:active]
            inside = ((step < ends) & (step >= ends - self.max_len))[..., None]
            top = _merge(top, out.masked_fill(~inside, -torch.inf).amax(0), torch.maximum)
            total = _merge(total, (out * inside).sum(0, dtype=torch.float32), torch.add)
            # Documents that end here, the shortest of the active ones: their last outputs.
            first = sum(1 for n in steps_left if n > start + self.seq_len)
            rows = torch.arange(first, active, device=device)
            last.insert(0, out[ends[first:] - 1 - start, rows])
        assert top is not None
        assert total is not None
        mean = total / lengths.clamp(max=self.max_len)[:, None]
        return torch.cat([torch.cat(last), top, mean.to(top.dtype)], dim=1)

    def layer_groups(self) -> list[nn.Module]:
        """Embedding, the LSTM layers one by one, head."""
        return [self.encoder.embedding, *self.encoder.rnns, self.head]


def _merge(so_far: Tensor | None, new: Tensor, how: object) -> Tensor:
    """Combine the running pool (B, E) with that of the documents still active (first rows)."""
    if so_far is None:
        return new
    assert callable(how)
    joined: Tensor = how(so_far[: len(new)], new)
    return torch.cat([joined, so_far[len(new) :]])


def _dropout(x: Tensor, p: float, masks: Masks | None) -> Tensor:
    return x if masks is None or p == 0 else x * masks.draw(tuple(x.shape), p, x)
