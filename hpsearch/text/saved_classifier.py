"""A trained classifier in a folder: weights as safetensors, everything else as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hpsearch.errors import InputError
from hpsearch.text.awd_lstm import AWDLSTM, CLASSIFIER_DROPOUTS, Dropouts
from hpsearch.text.batches import DocumentBatches, Documents, by_length
from hpsearch.text.classifier import TextClassifier
from hpsearch.text.config import ClassifierConfig
from hpsearch.text.splits import Rows
from hpsearch.text.tokenize import Tokenizer
from hpsearch.text.vocab import Vocab
from hpsearch.training.contract import Progress
from hpsearch.training.device import (
    autocast,
    keep_freed_memory,
    one_thread_each,
    resolve_precision,
)
from hpsearch.training.fields import parse_config

Probabilities = npt.NDArray[np.float32]
_FORMAT = 1
_NONE = Dropouts(0, 0, 0, 0, 0)


@dataclass(frozen=True)
class SavedClassifier:
    """A classifier with what is needed to feed it: one model for each direction that it reads in.

    `sizes` are embedding width, hidden width and layers of each model. `facts` says to people what
    it was trained on and how good it is.
    """

    models: Sequence[TextClassifier]
    backward: Sequence[bool]
    sizes: Sequence[tuple[int, int, int]]
    vocab: Vocab
    classes: tuple[str, ...]
    tokenizer: str
    config: ClassifierConfig
    text_columns: tuple[str, ...] = ("text",)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def predict(
        self,
        texts: Sequence[str],
        *,
        device: str = "cpu",
        progress: Progress = lambda what, done, total: None,
    ) -> Probabilities:
        """Class probabilities (texts, classes) in the order of the texts."""
        keep_freed_memory()
        tokenised = Tokenizer(self.tokenizer).encode(
            list(texts), lambda done, total: progress("tokenise", done, total)
        )
        docs = Documents(self.vocab.numericalise(tokenised), tokenised.offsets)
        return self.predict_documents(docs, device=device, progress=progress)

    def predict_documents(
        self,
        docs: Documents,
        *,
        device: str = "cpu",
        progress: Progress = lambda what, done, total: None,
    ) -> Probabilities:
        """The same for texts that are numbers already."""
        dtype = resolve_precision(self.config.precision, device)
        parts = []
        for i, (model, backward) in enumerate(zip(self.models, self.backward, strict=True)):
            way = docs.reversed() if backward else docs
            total = len(docs) * len(self.models)

            def step(done: int, before: int = i * len(docs), total: int = total) -> None:
                progress("predict", before + done, total)

            parts.append(predict_documents(model.to(device), way, device, dtype, progress=step))
        return sum(parts[1:], parts[0]) / np.float32(len(parts))


def build_classifier(config: ClassifierConfig, encoder: AWDLSTM, n_classes: int) -> TextClassifier:
    """A classifier on `encoder` with a head whose weights are still to be drawn or loaded."""
    encoder.drop = CLASSIFIER_DROPOUTS.times(config.drop_mult)
    return TextClassifier(
        encoder,
        n_classes,
        lin_ftrs=config.lin_ftrs,
        drop_mult=config.drop_mult,
        seq_len=config.seq_len,
        max_len=config.max_len,
        alpha=config.alpha,
        beta=config.beta,
    )


def predict_documents(
    model: TextClassifier,
    docs: Documents,
    device: str,
    dtype: torch.dtype,
    bs: int = 64,
    progress: Callable[[int], None] = lambda done: None,
) -> Probabilities:
    """Class probabilities (texts, classes), in the order of the texts."""
    model.eval()
    batches = DocumentBatches(docs, device)
    order = by_length(docs.lengths, bs)

    def probabilities(which: Rows) -> Tensor:
        tokens, lengths = batches.pad(which)
        with torch.no_grad(), autocast(device, dtype):
            logits, _ = model(tokens, lengths, None)
        return torch.softmax(logits.float(), dim=1)

    parts, done = [], 0
    with one_thread_each(device) as side_by_side:
        for which, part in zip(order, side_by_side(probabilities, order), strict=True):
            parts.append(part)
            done += len(which)
            progress(done)
    out = np.zeros((len(docs), model.head.linear2.out_features), dtype=np.float32)
    if parts:  # one copy at the end: a GPU need not wait after every batch
        out[np.concatenate(order)] = torch.cat(parts).cpu().numpy()
    return out


def save_classifier(folder: Path, saved: SavedClassifier) -> None:
    """Write the classifier to `folder`, which may exist."""
    folder.mkdir(parents=True, exist_ok=True)
    for model, backward in zip(saved.models, saved.backward, strict=True):
        weights = {name: value.cpu() for name, value in model.state_dict().items()}
        save_file(weights, folder / _weights_name(backward))
    saved.vocab.save(folder / "vocab.json")
    content = {
        "format": _FORMAT,
        "classes": saved.classes,
        "tokenizer": saved.tokenizer,
        "text_columns": saved.text_columns,
        "backward": saved.backward,
        "sizes": saved.sizes,
        "config": {
            # Of a study of the whole pipeline, the classifier's own.
            key: value
            for key, value in asdict(saved.config).items()
            if key in ClassifierConfig.__dataclass_fields__
        },
        "facts": saved.facts,
    }
    (folder / "classifier.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def load_classifier(folder: Path) -> SavedClassifier:
    """What `save_classifier` wrote. Raises InputError if the folder holds no whole classifier."""
    if not (folder / "classifier.json").is_file():
        raise InputError(
            f"{folder} holds no classifier: give a folder that `hpsearch train` wrote."
        )
    try:
        content = json.loads((folder / "classifier.json").read_text("utf-8"))
        config = parse_config(ClassifierConfig, content["config"])
        vocab = Vocab.load(folder / "vocab.json")
        models = []
        for backward, (emb, hidden, layers) in zip(
            content["backward"], content["sizes"], strict=True
        ):
            encoder = AWDLSTM(len(vocab), emb, hidden, layers, _NONE)
            model = build_classifier(config, encoder, len(content["classes"]))
            model.load_state_dict(load_file(folder / _weights_name(backward)))
            models.append(model)
        return SavedClassifier(
            models=models,
            backward=content["backward"],
            sizes=[tuple(sizes) for sizes in content["sizes"]],
            vocab=vocab,
            classes=tuple(content["classes"]),
            tokenizer=content["tokenizer"],
            config=config,
            text_columns=tuple(content["text_columns"]),
            facts=content["facts"],
        )
    except Exception as error:
        raise InputError(
            f"The classifier in {folder} cannot be read ({type(error).__name__}): its files are "
            "cut short or not of one model; train it again, or copy the whole folder."
        ) from error


def _weights_name(backward: bool) -> str:
    return f"{'backward' if backward else 'forward'}.safetensors"
