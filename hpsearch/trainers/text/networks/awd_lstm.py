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

from hpsearch.trainers.step.dropout_masks import Masks
from hpsearch.trainers.text.networks.layer_pipeline import read_in_pipeline
from hpsearch.trainers.text.networks.lstm import LSTMLayer, State
from hpsearch.trainers.text.networks.softmax import softmax_loss, softmax_score


def write_state(state: State, new: State) -> None:
    """Put the values of `new` into the tensors of `state`, of whatever types they are."""
    for mine, given in zip(state, new, strict=True):
        for tensor, value in zip(mine, given, strict=True):
            tensor.copy_(value)


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


@dataclass(frozen=True)
class EncoderDropout:
    """What dropout makes of an encoder for one batch that it reads in K chunks.

    `weights` are the layers' hidden-to-hidden matrices (4H, H) with one mask for all chunks. The
    masks are new ones for each chunk, None where nothing is dropped: `embedding` (K, V) drops rows
    of the vocabulary, `inputs` is (K, B, E), `hidden` (K, B, H) for every layer but the last.
    """

    weights: tuple[Tensor, ...]
    embedding: Tensor | None
    inputs: Tensor | None
    hidden: tuple[Tensor | None, ...]

    def chunks(self, start: int, stop: int, n: int) -> EncoderDropout:
        """The same for chunks `start` to `stop` of the first `n` documents."""
        return EncoderDropout(
            self.weights,
            None if self.embedding is None else self.embedding[start:stop],
            None if self.inputs is None else self.inputs[start:stop, :n],
            tuple(None if mask is None else mask[start:stop, :n] for mask in self.hidden),
        )


LANGUAGE_MODEL_DROPOUTS = Dropouts(input=0.25, hidden=0.15, weight=0.2, embedding=0.02, output=0.1)
CLASSIFIER_DROPOUTS = Dropouts(input=0.4, hidden=0.3, weight=0.5, embedding=0.05, output=0.4)


class AWDLSTM(nn.Module):
    """Embedding and a stack of LSTM layers; the last returns to the embedding's width."""

    def __init__(self, n_tokens: int, emb: int, hidden: int, layers: int, drop: Dropouts) -> None:
        super().__init__()
        self.emb, self.drop = emb, drop
        self.pipeline_steps = 0
        """On a GPU the layers work on parts of this many steps side by side; 0: one after another.
        """
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
        """In float32, into which states of any type fit."""
        shapes = [(1, batch, rnn.n_out) for rnn in self.layers]
        like = self.embedding.weight
        return [(like.new_zeros(shape), like.new_zeros(shape)) for shape in shapes]

    def forward(
        self,
        tokens: Tensor,
        state: State,
        masks: Masks | None,
        dtype: torch.dtype = torch.float32,
    ) -> tuple[Tensor, State]:
        """tokens (T, B) -> outputs (T, B, E) and the new state. `masks` None: no dropout.

        The layers multiply in `dtype`, and their outputs have it; the weights stay float32.
        """
        return self.read(tokens, state, self.draw_dropout(masks, 1, tokens.shape[1], dtype), dtype)

    def draw_dropout(
        self, masks: Masks | None, n_chunks: int, batch: int, dtype: torch.dtype
    ) -> EncoderDropout:
        """Dropout for a batch of `n_chunks` chunks, read in `dtype`. `masks` None: none at all."""
        weight = self.embedding.weight

        def draw(shape: tuple[int, ...], p: float, dtype: torch.dtype) -> Tensor | None:
            return masks.draw(shape, p, weight.new_empty(0, dtype=dtype)) if masks and p else None

        # Whole rows of the vocabulary vanish; only the rows that are looked up need a mask.
        embedding = draw((n_chunks, len(weight)), self.drop.embedding, weight.dtype)
        inputs = draw((n_chunks, batch, self.emb), self.drop.input, weight.dtype)
        weights, hidden = [], []
        for i, rnn in enumerate(self.layers):
            mask = draw(tuple(rnn.weight_hh.shape), self.drop.weight, weight.dtype)
            weights.append(rnn.weight_hh if mask is None else rnn.weight_hh * mask)
            p = self.drop.hidden if i < len(self.rnns) - 1 else 0
            hidden.append(draw((n_chunks, batch, rnn.n_out), p, dtype))
        return EncoderDropout(tuple(weights), embedding, inputs, tuple(hidden))

    def read(
        self, tokens: Tensor, state: State, dropout: EncoderDropout, dtype: torch.dtype
    ) -> tuple[Tensor, State]:
        """`forward` for one chunk of tokens (T, B) and the dropout of that chunk."""
        x = self.embed(tokens[:, None], dropout)[:, 0]
        if self.pipeline_steps and x.device.type != "cpu":
            return read_in_pipeline(
                self.layers, x, state, dropout.weights, dropout.hidden, dtype, self.pipeline_steps
            )
        new_state: State = []
        for rnn, before, weight, mask in zip(
            self.layers, state, dropout.weights, dropout.hidden, strict=True
        ):
            x, after = rnn(x, before, weight, dtype)
            new_state.append(after)
            x = x if mask is None else x * mask
        return x, new_state

    def embed(self, tokens: Tensor, dropout: EncoderDropout) -> Tensor:
        """tokens (T, K, B) of K chunks -> (T, K, B, E)."""
        x: Tensor = self.embedding(tokens)
        if dropout.embedding is not None:
            chunk = torch.arange(tokens.shape[1], device=tokens.device)[:, None]
            x = x * dropout.embedding[chunk, tokens][..., None]
        # Variational dropout (Gal and Ghahramani 2016): one mask for all steps of a chunk.
        return x if dropout.inputs is None else x * dropout.inputs


class LanguageModel(nn.Module):
    """AWD-LSTM with a decoder tied to the embedding."""

    def __init__(self, encoder: AWDLSTM) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder_bias = nn.Parameter(torch.zeros(encoder.embedding.num_embeddings))

    def forward(
        self,
        tokens: Tensor,
        state: State,
        masks: Masks | None,
        dtype: torch.dtype = torch.float32,
    ) -> tuple[Tensor, Tensor, State]:
        """tokens (T, B) -> raw and dropped encoder outputs (T, B, E) of type `dtype`, state."""
        raw, state = self.encoder(tokens, state, masks, dtype)
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
        """Of the next token: dropped outputs (..., E) -> (..., V), in the type of `dropped`."""
        weight = self.encoder.embedding.weight.to(dropped.dtype)
        return nn.functional.linear(dropped, weight, self.decoder_bias.to(dropped.dtype))

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
