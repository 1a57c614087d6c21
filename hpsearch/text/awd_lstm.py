"""The AWD-LSTM (Merity, Keskar and Socher 2017, arXiv 1708.02182), time-major.

Shapes: T steps, B documents, E embedding width, H hidden width, V vocabulary. All dropout masks
come from the model's own generator, so that a seed decides them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from hpsearch.text.lstm import LSTMLayer
from hpsearch.text.softmax import softmax_loss, softmax_score
from hpsearch.training.masks import Masks

State = list[tuple[Tensor, Tensor]]
"""Per layer (h, c), each (1, B, width)."""


@dataclass(frozen=True)
class Dropouts:
    """Probabilities of the five dropouts; `times` scales all by `drop_mult` as fastai does."""

    input: float
    hidden: float
    weight: float
    embedding: float
    output: float

    def times(self, drop_mult: float) -> Dropouts:
        scaled = (p * drop_mult for p in vars(self).values())
        return Dropouts(*(min(p, 0.95) for p in scaled))


LANGUAGE_MODEL_DROPOUTS = Dropouts(input=0.25, hidden=0.15, weight=0.2, embedding=0.02, output=0.1)
CLASSIFIER_DROPOUTS = Dropouts(input=0.4, hidden=0.3, weight=0.5, embedding=0.05, output=0.4)


class AWDLSTM(nn.Module):
    """Embedding and a stack of LSTM layers; the last returns to the embedding's width."""

    def __init__(self, n_tokens: int, emb: int, hidden: int, layers: int, drop: Dropouts) -> None:
        super().__init__()
        self.emb, self.drop = emb, drop
        self.embedding = nn.Embedding(n_tokens, emb)
        widths = [emb] + [hidden] * (layers - 1) + [emb]
        self.rnns = nn.ModuleList(LSTMLayer(n_in, n_out) for n_in, n_out in pairwise(widths))

    @property
    def layers(self) -> list[LSTMLayer]:
        return cast("list[LSTMLayer]", list(self.rnns))

    def init_weights(self, generator: torch.Generator) -> None:
        """Embedding uniform(-.1, .1), LSTM uniform(+-1/sqrt(width)): as torch and fastai do."""
        with torch.no_grad():
            self.embedding.weight.uniform_(-0.1, 0.1, generator=generator)
            for rnn in self.layers:
                bound = rnn.n_out**-0.5
                for parameter in rnn.parameters():
                    parameter.uniform_(-bound, bound, generator=generator)

    def zero_state(self, batch: int) -> State:
        like = self.embedding.weight
        zeros = [like.new_zeros(1, batch, rnn.n_out) for rnn in self.layers]
        return [(zero, zero) for zero in zeros]

    def forward(self, tokens: Tensor, state: State, masks: Masks | None) -> tuple[Tensor, State]:
        """tokens (T, B) -> outputs (T, B, E) and the new state. `masks` None: no dropout."""
        x = self._embed(tokens, masks)
        new_state: State = []
        for i, rnn in enumerate(self.layers):
            weight: Tensor = rnn.weight_hh
            if masks and self.drop.weight:
                weight = weight * masks.draw(tuple(weight.shape), self.drop.weight, weight)
            x, layer_state = rnn(x, state[i], weight)
            new_state.append(layer_state)
            if i < len(self.rnns) - 1:
                x = _same_for_all_steps(x, self.drop.hidden, masks)
        return x, new_state

    def _embed(self, tokens: Tensor, masks: Masks | None) -> Tensor:
        x = self.embedding(tokens)
        if masks and self.drop.embedding:
            # Whole rows of the vocabulary vanish; only the rows that are looked up need a mask.
            n_tokens = self.embedding.num_embeddings
            rows = masks.draw((n_tokens, 1), self.drop.embedding, self.embedding.weight)
            x = x * rows[tokens]
        return _same_for_all_steps(x, self.drop.input, masks)


class LanguageModel(nn.Module):
    """AWD-LSTM with a decoder tied to the embedding."""

    def __init__(self, encoder: AWDLSTM) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder_bias = nn.Parameter(torch.zeros(encoder.embedding.num_embeddings))

    def forward(
        self, tokens: Tensor, state: State, masks: Masks | None
    ) -> tuple[Tensor, Tensor, State]:
        """tokens (T, B) -> raw and dropped encoder outputs (T, B, E), state."""
        raw, state = self.encoder(tokens, state, masks)
        return raw, _same_for_all_steps(raw, self.encoder.drop.output, masks), state

    def loss(self, dropped: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats of the next tokens `targets` (T, B)."""
        weight = self.encoder.embedding.weight
        return softmax_loss(dropped.flatten(0, 1), weight, self.decoder_bias, targets.flatten())

    def score(self, dropped: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The summed loss in nats, and how many targets (T, B) have the highest logit."""
        weight = self.encoder.embedding.weight
        return softmax_score(dropped.flatten(0, 1), weight, self.decoder_bias, targets.flatten())

    def logits(self, dropped: Tensor) -> Tensor:
        """Of the next token: dropped outputs (..., E) -> (..., V)."""
        weight = self.encoder.embedding.weight
        return nn.functional.linear(dropped, weight, self.decoder_bias)

    def layer_groups(self) -> list[nn.Module]:
        """The LSTM layers one by one, then embedding and decoder together."""
        tied = nn.ModuleDict({"embedding": self.encoder.embedding})
        tied.register_parameter("bias", self.decoder_bias)
        return [*self.encoder.rnns, tied]


def _same_for_all_steps(x: Tensor, p: float, masks: Masks | None) -> Tensor:
    """Variational dropout (Gal and Ghahramani 2016): one mask (1, B, width) for all time steps."""
    if masks is None or p == 0:
        return x
    return x * masks.draw((1, x.shape[1], x.shape[2]), p, x)
