"""Texts that a language model writes: it reads a prompt and goes on, one token at a time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hpsearch.errors import HpsearchError, InputError
from hpsearch.trainers.text.language_model.files import SavedLanguageModel
from hpsearch.trainers.text.networks.awd_lstm import LanguageModel
from hpsearch.trainers.text.networks.lstm import State
from hpsearch.trainers.text.tokens.detokenize import detokenise
from hpsearch.trainers.text.tokens.tokenizer import Tokenizer
from hpsearch.trainers.text.tokens.vocab import UNK_ID

_READ_AT_ONCE = 1_000
"""Tokens of the prompt: a long one would take gigabytes in one piece."""


@torch.inference_mode()
def generate(
    saved: SavedLanguageModel,
    prompt: str,
    *,
    tokens: int = 100,
    temperature: float = 1.0,
    min_p: float = 0.001,
    seed: int = 0,
) -> str:
    """The prompt and what the model makes of it in `tokens` more tokens, as readable text.

    A model that reads backward writes what comes before the prompt. `temperature` below 1 keeps to
    what is likely, above 1 strays from it; tokens less likely than `min_p` are not drawn. The same
    seed on the same machine writes the same text. Raises InputError for settings out of range,
    HpsearchError if the model gives numbers that are not finite.
    """
    _check(tokens, temperature, min_p)
    words = Tokenizer(saved.tokenizer).tokens(prompt)
    if saved.config.backward:  # a text's end follows the beginning of the one after it
        words = words[:1] + words[:0:-1]
    model = saved.model
    state, logits = _read(model, [saved.vocab.ids.get(word, UNK_ID) for word in words])
    generator = torch.Generator().manual_seed(seed)
    for _ in range(tokens):
        p = next_token_probabilities(logits, temperature=temperature, min_p=min_p)
        new = int(torch.multinomial(p, 1, generator=generator))
        words.append(saved.vocab.tokens[new])
        state, logits = _step(model, [new], state)
    if saved.config.backward:
        words = words[:0:-1]
    return detokenise(words, saved.tokenizer)


def next_token_probabilities(logits: Tensor, *, temperature: float, min_p: float) -> Tensor:
    """What to draw the next token from: logits (V,) -> probabilities (V,) in double precision.

    Softmax; xxunk dropped; what lies under `min_p` dropped unless nothing remains; each to the
    power of 1 / temperature, summing to 1 again (fastai 2's `LMLearner.predict`; the 2018 lesson
    took the power of the temperature itself, a bug). In logarithms throughout, so that no
    temperature is too high or too low. Raises HpsearchError if a logit is not finite.
    """
    log_p = torch.log_softmax(logits.double().cpu(), dim=0)
    if not log_p.isfinite().all():
        raise HpsearchError(
            "The language model gives numbers that are not finite: its training diverged; "
            "train it again with a lower lr."
        )
    log_p[UNK_ID] = -math.inf
    likely = log_p >= (math.log(min_p) if min_p else -math.inf)
    if likely.any():
        log_p = log_p.masked_fill(~likely, -math.inf)
    # The highest becomes 0 before the division, which then overflows downwards only: to 0.
    return torch.softmax((log_p - log_p.max()) / temperature, dim=0)


def _check(tokens: int, temperature: float, min_p: float) -> None:
    if tokens < 1:
        raise InputError(f"tokens is {tokens}: give how many to write, at least 1.")
    if not 0 < temperature < math.inf:
        raise InputError(
            f"temperature is {temperature}: give a number above 0, such as 0.5 for what is likely "
            "or 1.1 for what surprises."
        )
    if not 0 <= min_p < 1:
        raise InputError(
            f"min_p is {min_p}: give a probability of at least 0 and below 1, such as 0.001."
        )


def _read(model: LanguageModel, ids: list[int]) -> tuple[State, Tensor]:
    """The state after the prompt (it has at least xxbos), and the logits (V,) of what follows."""
    state = model.encoder.zero_state(1)
    logits = torch.empty(0)
    for start in range(0, len(ids), _READ_AT_ONCE):
        state, logits = _step(model, ids[start : start + _READ_AT_ONCE], state)
    return state, logits


def _step(model: LanguageModel, ids: list[int], state: State) -> tuple[State, Tensor]:
    """Read on from `state`; the new state, and the logits (V,) of the token after the last one."""
    read = torch.tensor(ids, device=model.decoder_bias.device)[:, None]
    raw, _, state = model(read, state, None)
    return state, model.logits(raw[-1, 0])
