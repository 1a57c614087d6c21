"""The ULMFiT classifier (Howard and Ruder 2018, section 3.3): encoder, concat pooling, head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hpsearch.trainers.step.dropout_masks import Masks
from hpsearch.trainers.text.networks.awd_lstm import AWDLSTM, CLASSIFIER_DROPOUTS
from hpsearch.trainers.text.networks.chunks import read_side_by_side
from hpsearch.trainers.text.networks.pools import Penalty, Pools

MASKED_CHUNKS = 64
"""For how many chunks of a batch dropout masks are drawn: 4,608 tokens of 72 a chunk."""


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
    the last `max_len` tokens into [last, max, mean]. With `several` labels a text, each has a
    probability of its own; else those of the classes sum to 1."""

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
        self.several = False
        drop = CLASSIFIER_DROPOUTS.times(drop_mult)
        self.encoder, self.seq_len, self.max_len = encoder, seq_len, max_len
        self.head = Head(3 * encoder.emb, lin_ftrs, n_classes, (drop.output, 0.1))

    def forward(
        self,
        tokens: Tensor,
        lengths: Tensor,
        masks: Masks | None,
        dtype: torch.dtype = torch.float32,
    ) -> tuple[Tensor, Tensor]:
        """tokens (T, B) padded at the end, lengths (B,) sorted from long to short -> logits
        (B, classes) and, in training, the AR and TAR penalty (a number; fastai has it too).

        The encoder's products are in `dtype`; pools, head and penalty are float32.
        `lengths` lie in main memory, so that nothing here waits for the device. Padding enters
        neither state, pools nor penalty: a document leaves the batch after its last chunk, and
        inside that chunk what follows its last token is masked.
        """
        ends = lengths.tolist()
        lengths = lengths.to(tokens.device, non_blocking=True)
        state = self.encoder.zero_state(tokens.shape[1])
        n_chunks = -(-ends[0] // self.seq_len)
        # The chunks of a book take turns with the masks: they would not fit into memory.
        n_masks = min(n_chunks, MASKED_CHUNKS)
        dropout = self.encoder.draw_dropout(masks, n_masks, len(ends), dtype)
        pools, penalty = Pools(), Penalty()
        for k in range(n_chunks):
            start, stop = k * self.seq_len, min((k + 1) * self.seq_len, ends[0])
            active, going_on = _longer_than(ends, start), _longer_than(ends, stop)
            state = [(h[:, :active], c[:, :active]) for h, c in state]
            # What lies before the last `max_len` tokens of every document only makes the state: to
            # keep its graph would take gigabytes for a book, and gives no gradient.
            counts = stop > ends[active - 1] - self.max_len
            with torch.set_grad_enabled(counts and torch.is_grad_enabled()):
                own = dropout.chunks(k % n_masks, k % n_masks + 1, active)
                out, state = self.encoder.read(tokens[start:stop, :active], state, own, dtype)
            if not counts:
                continue
            inside = None
            if stop > ends[active - 1] or start < ends[0] - self.max_len:
                inside = self._inside(start, stop, lengths[:active])
            pools.add(out, inside, lengths[going_on:active] - 1 - start)
            if self.training and out.requires_grad:
                penalty.add(out, inside)
        return self._result(pools, penalty, lengths, masks)

    def forward_side_by_side(
        self,
        tokens: Tensor,
        lengths: Tensor,
        masks: Masks | None,
        dtype: torch.dtype = torch.float32,
    ) -> tuple[Tensor, Tensor]:
        """What `forward` computes in training, with all chunks read side by side: tokens (T, B) of
        whole chunks, lengths (B,) on the tokens' device in any order. No value on the host depends
        on the batch, so that the whole step can be one CUDA graph."""
        n_chunks = len(tokens) // self.seq_len
        dropout = self.encoder.draw_dropout(masks, n_chunks, tokens.shape[1], dtype)
        out = read_side_by_side(self.encoder, tokens, self.seq_len, dropout, dtype)
        inside = self._inside(0, len(tokens), lengths)
        pools, penalty = Pools(), Penalty()
        pools.add(out, inside, lengths - 1)
        if out.requires_grad:
            penalty.add(out, inside)
        return self._result(pools, penalty, lengths, masks)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Of logits (B, classes)."""
        return torch.sigmoid(logits) if self.several else torch.softmax(logits, dim=1)

    def _inside(self, start: int, stop: int, lengths: Tensor) -> Tensor:
        """Where the steps `start` to `stop` count (T, B, 1): in the last `max_len` tokens."""
        step = torch.arange(start, stop, device=lengths.device)[:, None]
        return ((step < lengths) & (step >= lengths - self.max_len))[..., None]

    def _result(
        self, pools: Pools, penalty: Penalty, lengths: Tensor, masks: Masks | None
    ) -> tuple[Tensor, Tensor]:
        counts = lengths.clamp(max=self.max_len)
        logits = self.head(pools.concat(counts), masks)
        return logits, penalty.value(self.alpha, self.beta, counts)

    def layer_groups(self) -> list[nn.Module]:
        """Embedding, the LSTM layers one by one, head."""
        return [self.encoder.embedding, *self.encoder.rnns, self.head]


def _longer_than(lengths: list[int], n: int) -> int:
    return sum(length > n for length in lengths)


def _dropout(x: Tensor, p: float, masks: Masks | None) -> Tensor:
    return x if masks is None or p == 0 else x * masks.draw(tuple(x.shape), p, x)
