"""The language model: how it is made, measured, saved and loaded."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from hpsearch.core.files import write_atomically
from hpsearch.errors import HpsearchError
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.shared.weights import load_state, load_weights, save_weights
from hpsearch.trainers.step.cuda_graph import CapturedStep
from hpsearch.trainers.text.batches import Documents, stream_batches
from hpsearch.trainers.text.config import LanguageModelConfig
from hpsearch.trainers.text.networks.awd_lstm import (
    AWDLSTM,
    LANGUAGE_MODEL_DROPOUTS,
    LanguageModel,
    write_state,
)
from hpsearch.trainers.text.tokens.vocab import Vocab


@dataclass(frozen=True)
class SavedLanguageModel:
    """A language model with what is needed to feed it: the content of a model's folder."""

    model: LanguageModel = field(repr=False)
    vocab: Vocab = field(repr=False)
    config: LanguageModelConfig
    tokenizer: str


def new_language_model(config: LanguageModelConfig, n_tokens: int) -> LanguageModel:
    """A model of the config's sizes with weights drawn from its seed."""
    model = _without_weights(config, n_tokens)
    model.encoder.init_weights(torch.Generator().manual_seed(config.seed))
    nn.init.zeros_(model.decoder_bias)
    return model


def _without_weights(config: LanguageModelConfig, n_tokens: int) -> LanguageModel:
    """The same with memory for weights in which anything may stand. (torch would draw an embedding
    of millions of numbers that nobody wants.)"""
    drop = LANGUAGE_MODEL_DROPOUTS.times(config.drop_mult)
    with torch.device("meta"):
        model = LanguageModel(AWDLSTM(n_tokens, *config.sizes, drop))
    return model.to_empty(device="cpu")


@torch.no_grad()
def evaluate_language_model(
    model: LanguageModel,
    docs: Documents,
    config: LanguageModelConfig,
    device: str,
    dtype: torch.dtype,
) -> tuple[float, float]:
    """Cross-entropy in nats per token, and the share of tokens predicted exactly."""
    bs = max(1, min(config.bs, (len(docs.ids) - 1) // config.seq_len))
    state = model.encoder.zero_state(bs)

    def score(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        _, dropped, new_state = model(x, state, None, dtype)
        write_state(state, new_state)
        return model.score(dropped, y)

    captured = CapturedStep(score, device=device, most=1)
    loss, right, n_tokens = torch.zeros((), device=device), torch.zeros((), device=device), 0
    for x, y in stream_batches(docs, bs, config.seq_len, device):
        batch_loss, batch_right = captured(x, y)
        loss += batch_loss
        right += batch_right
        n_tokens += y.numel()
    return loss.item() / n_tokens, right.item() / n_tokens


def save_language_model(
    folder: Path, saved: SavedLanguageModel, dtype: torch.dtype = torch.float32
) -> None:
    """Weights as safetensors (of type `dtype`), vocabulary and config as JSON."""
    emb, hidden, layers = saved.config.sizes
    weights = {name: value.cpu().to(dtype) for name, value in saved.model.state_dict().items()}
    save_weights(weights, folder / "model.safetensors")
    saved.vocab.save(folder / "vocab.json")
    config = {**asdict(saved.config), "emb": emb, "hidden": hidden, "layers": layers}
    content = {"tokenizer": saved.tokenizer, "config": config}
    write_atomically(folder / "config.json", json.dumps(content, indent=1))


def load_language_model(folder: Path) -> SavedLanguageModel:
    """What `save_language_model` wrote. Raises HpsearchError if a file is missing or damaged."""
    try:
        content = json.loads((folder / "config.json").read_text("utf-8"))
        config = parse_config(LanguageModelConfig, content["config"])
        vocab = Vocab.load(folder / "vocab.json")
        model = _without_weights(config, len(vocab))
        load_state(model, load_weights(folder / "model.safetensors"))
        return SavedLanguageModel(model, vocab, config, str(content["tokenizer"]))
    except Exception as error:
        raise HpsearchError(
            f"The language model in {folder} cannot be read ({_first_line(error)}); "
            "if it lies in the cache, delete that folder and it is made again."
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
