"""The language model that a classifier starts from: trained once per configuration, then cached."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hpsearch.core.console import Progress, Say, silent
from hpsearch.core.home import CHECKPOINTS, below, is_writable, remove
from hpsearch.data.cache.stages import cached_stage, reading, stage_folder
from hpsearch.errors import HpsearchError, InputError
from hpsearch.trainers.contract import EpochRecord, TrialSetup
from hpsearch.trainers.shared.device import resolve_precision
from hpsearch.trainers.text.config import LanguageModelConfig
from hpsearch.trainers.text.language_model import files as lm
from hpsearch.trainers.text.language_model.fit import train_language_model
from hpsearch.trainers.text.language_model.pretrained import find_pretrained, load_pretrained, remap
from hpsearch.trainers.text.networks.awd_lstm import LanguageModel
from hpsearch.trainers.text.numbered_texts import Texts

_VERSION = 4
"""Raise it when the language model's training changes: models of the old one are not its results.
(2: weight decay reaches the biases of the LSTM. 3: pretrained models. 4: masks of
random bits, our own gradient of large layers.)"""


@dataclass(frozen=True)
class LanguageModelStage:
    """A cached language model, what its epochs gave, and how good it is on held-out texts.

    `name` is the stage's among the cached ones, on whatever machine. `known` is the share of the
    vocabulary that the pretrained model had, 0 without one.
    """

    name: str
    records: tuple[EpochRecord, ...]
    perplexity: float
    accuracy: float
    known: float

    @property
    def folder(self) -> Path:
        return stage_folder(self.name)


def language_model_stage(
    texts: Texts,
    config: LanguageModelConfig,
    setup: TrialSetup,
    *,
    n_valid: int,
    precision: str,
    say: Say = silent,
    kind: str = "language-model",
) -> LanguageModelStage:
    """Train the config's language model on the part "read" of `texts`, or take it from the cache.

    A training that was killed continues after the last epoch that it finished.

    Args:
        setup: Its `report` hears of every epoch, of cached ones, too. Its seed, checkpoint and
            keep are not used: the seed is that of `config`, and the files lie in the cache.
        n_valid: The model is measured on the first `n_valid` held-out texts.
        kind: The beginning of the folder's name in the cache.

    Raises:
        InputError: The pretrained model does not fit.
        DivergedError: A loss is not finite.
    """
    key = {
        "texts": texts.fingerprint,
        "n_valid": n_valid,
        "training": _VERSION,
        "config": {**asdict(config), "pretrained": _digest(config, setup.progress, say)},
        "device": setup.device.split(":")[0],
        "precision": str(resolve_precision(precision, setup.device)),
    }
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:20]
    checkpoint = below(CHECKPOINTS, f"{kind}-{name}")
    reported: list[EpochRecord] = []

    def report(record: EpochRecord) -> None:
        reported.append(record)
        setup.report(record)

    def build(folder: Path) -> None:
        # One that another user's killed training left cannot be gone on with.
        kept = checkpoint if is_writable(checkpoint) else None
        into_cache = replace(setup, report=report, checkpoint=kept, keep=folder)
        build_language_model(
            texts, config, into_cache, n_valid=n_valid, precision=precision, say=say
        )

    try:
        stage = read_stage(cached_stage(kind, key, build))
    except HpsearchError as error:
        if isinstance(error, InputError):
            raise
        raise type(error)(f"The language model could not be trained: {error}") from error
    for record in stage.records[len(reported) :]:
        setup.report(record)
    remove(checkpoint)
    return stage


def build_language_model(
    texts: Texts,
    config: LanguageModelConfig,
    setup: TrialSetup,
    *,
    n_valid: int,
    precision: str,
    say: Say = silent,
) -> dict[str, float]:
    """Make, train and measure the model, and write it to the folder `setup.keep`.

    The seed is that of `config`. Returns the metrics on the first `n_valid` held-out texts.
    """
    model, config, known = start_model(texts, config, setup.progress, say)
    valid = texts.parts["valid"]
    valid = valid.take(np.arange(min(n_valid, len(valid))))
    read = texts.parts["read"]
    if config.backward:
        read, valid = read.reversed(), valid.reversed()
    records: list[EpochRecord] = []

    def report(record: EpochRecord) -> None:
        records.append(record)
        setup.report(record)

    if config.epochs + config.frozen_epochs:
        train_language_model(
            config, model, read, valid, replace(setup, report=report), precision=precision
        )
        facts = dict(records[-1].metrics)
    else:
        dtype, device = resolve_precision(precision, setup.device), setup.device
        loss, accuracy = lm.evaluate_language_model(model.to(device), valid, config, device, dtype)
        facts = {"perplexity": float(np.exp(loss)), "accuracy": accuracy}
    if (folder := setup.keep) is not None:
        folder.mkdir(parents=True, exist_ok=True)
        saved = lm.SavedLanguageModel(model, texts.vocab, config, texts.tokenizer)
        lm.save_language_model(folder, saved)
        content = {**facts, "known": known, "records": [asdict(record) for record in records]}
        (folder / "records.json").write_text(json.dumps(content), encoding="utf-8")
    return facts


def start_model(
    texts: Texts, config: LanguageModelConfig, progress: Progress, say: Say
) -> tuple[LanguageModel, LanguageModelConfig, float]:
    """The model before its training, the config with its sizes, and the share of the vocabulary
    that a pretrained model brought along (0 without one)."""
    if config.pretrained is None:
        return lm.new_language_model(config, len(texts.vocab)), config, 0.0
    pretrained = load_pretrained(
        config.pretrained, backward=config.backward, progress=progress, say=say
    )
    for name, size in zip(("emb", "hidden", "layers"), pretrained.sizes, strict=True):
        wanted = getattr(config, name)
        if wanted not in (None, size):
            raise InputError(
                f"The pretrained language model {pretrained.name} has {name} = {size}, but the "
                f"settings ask for {wanted}; drop {name} from the settings."
            )
    if pretrained.tokenizer != texts.tokenizer:
        raise InputError(
            f"The pretrained language model {pretrained.name} was made with the tokenizer "
            f"{pretrained.tokenizer!r}, but the data asks for {texts.tokenizer!r}; "
            "use the same one, or another model."
        )
    emb, hidden, layers = pretrained.sizes
    config = replace(config, emb=emb, hidden=hidden, layers=layers)
    model = lm.new_language_model(config, len(texts.vocab))
    same = pretrained.vocab.fingerprint == texts.vocab.fingerprint
    model.load_state_dict(pretrained.weights if same else remap(pretrained, texts.vocab))
    known = sum(token in pretrained.vocab.ids for token in texts.vocab.tokens)
    return model, config, known / len(texts.vocab)


def open_language_model(name: str, progress: Progress, say: Say) -> lm.SavedLanguageModel:
    """The language model of that name or in that folder, with its own vocabulary."""
    try:
        found = load_pretrained(name, backward=False, progress=progress, say=say)
    except InputError as error:
        try:
            found = load_pretrained(name, backward=True, progress=progress, say=say)
        except HpsearchError:
            raise error from None
    emb, hidden, layers = found.sizes
    config = LanguageModelConfig(emb=emb, hidden=hidden, layers=layers, backward=found.backward)
    model = lm.new_language_model(config, len(found.vocab))
    model.load_state_dict(found.weights)
    return lm.SavedLanguageModel(model, found.vocab, config, found.tokenizer)


def read_stage(folder: Path) -> LanguageModelStage:
    """The stage in its folder. Raises HpsearchError if its files are damaged."""
    with reading(folder):
        content: dict[str, Any] = json.loads((folder / "records.json").read_text("utf-8"))
        records = tuple(EpochRecord(**{**r, "lrs": tuple(r["lrs"])}) for r in content["records"])
        return LanguageModelStage(
            folder.name, records, content["perplexity"], content["accuracy"], content["known"]
        )


def _digest(config: LanguageModelConfig, progress: Progress, say: Say) -> str | None:
    """A hash of the pretrained model's files, so that another model under the name is another."""
    if config.pretrained is None:
        return None
    place = find_pretrained(config.pretrained, backward=config.backward, progress=progress, say=say)
    files = sorted(place.glob("*.*")) if place.is_dir() else [place]
    digest = hashlib.sha256()
    for file in files:
        if file.suffix in (".safetensors", ".json", ".pth", ".pkl", ".tgz"):
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()
