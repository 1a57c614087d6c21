"""A trained classifier in a folder: weights as safetensors, everything else as JSON."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hpsearch.core import own_code
from hpsearch.core.console import Progress, silent
from hpsearch.core.files import write_atomically
from hpsearch.core.words import nearest
from hpsearch.errors import InputError
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.shared.device import (
    keep_freed_memory,
    multiplies_bfloat16,
    one_thread_each,
    resolve_precision,
)
from hpsearch.trainers.shared.weights import load_state, load_weights, save_weights
from hpsearch.trainers.text.batches import DocumentBatches, Documents, by_length
from hpsearch.trainers.text.config import ClassifierConfig, LanguageModelConfig
from hpsearch.trainers.text.networks.awd_lstm import AWDLSTM, CLASSIFIER_DROPOUTS, Dropouts
from hpsearch.trainers.text.networks.classifier import TextClassifier
from hpsearch.trainers.text.split_texts import Rows
from hpsearch.trainers.text.tokens.tokenizer import Tokenizer
from hpsearch.trainers.text.tokens.vocab import Vocab

Probabilities = npt.NDArray[np.float32]
CONTENT = "classifier.json"
_FORMAT = 1
GPU_GATES = 2**29
_NONE = Dropouts(0, 0, 0, 0, 0)


@dataclass(frozen=True)
class SavedClassifier:
    """A classifier with what is needed to feed it: one model for each direction that it reads in.

    `sizes` are embedding width, hidden width and layers of each model. `facts` says to people what
    it was trained on and how good it is. Where a text may have several labels, `classes` are the
    labels and `thresholds` the probability of each from which on a text is given it; else there are
    no thresholds.
    """

    models: Sequence[TextClassifier] = field(repr=False)
    backward: Sequence[bool]
    sizes: Sequence[tuple[int, int, int]]
    vocab: Vocab = field(repr=False)
    classes: tuple[str, ...]
    tokenizer: str
    config: ClassifierConfig
    text_columns: tuple[str, ...] = ("text",)
    facts: Mapping[str, Any] = field(default_factory=dict)
    thresholds: tuple[float, ...] = ()

    @property
    def several(self) -> bool:
        """Whether a text may have several labels."""
        return bool(self.thresholds)

    def with_threshold(self, threshold: float | Mapping[str, float]) -> SavedClassifier:
        """The same classifier with another threshold for all labels, or for those that are named.

        Raises InputError if a text has one label, for a label that there is not, and for a
        threshold that is no probability.
        """
        if not self.several:
            raise InputError(
                "threshold is for texts of several labels, and this classifier gives each one: "
                "drop it."
            )
        given = threshold
        if not isinstance(given, Mapping):
            given = dict.fromkeys(self.classes, given)
        for name, value in given.items():
            if name not in self.classes:
                raise InputError(
                    f"threshold: there is no label {name!r}{nearest(name, self.classes)}: use "
                    f"{', '.join(self.classes)}."
                )
            if not 0 <= value <= 1:
                raise InputError(f"threshold: {value} is no probability: give 0 to 1.")
        new = dict(zip(self.classes, self.thresholds, strict=True)) | dict(given)
        return replace(self, thresholds=tuple(float(new[name]) for name in self.classes))

    def choose(self, probabilities: Probabilities) -> list[tuple[str, ...] | None]:
        """The labels of each text, of the probabilities (texts, classes) that `predict` gives.

        Of a classifier of several labels these are all that reach their thresholds, maybe none; of
        another the most probable class alone. None for a text of nothing but blanks.
        """
        blank: npt.NDArray[np.bool_] = np.isnan(probabilities).max(1)
        if self.several:
            chosen = probabilities >= np.array(self.thresholds, dtype=np.float32)
        else:
            best = np.nan_to_num(probabilities).argmax(1)
            chosen = np.arange(len(self.classes)) == best[:, None]
        return [
            None if empty else tuple(self.classes[i] for i in np.flatnonzero(row))
            for row, empty in zip(chosen, blank, strict=True)
        ]

    def predict(
        self,
        texts: Sequence[str],
        *,
        device: str = "cpu",
        progress: Progress = silent,
    ) -> Probabilities:
        """Class probabilities (texts, classes) in the order of the texts; of a text of nothing but
        blanks they are NaN. They sum to 1 unless a text may have several labels."""
        keep_freed_memory()
        tokenised = Tokenizer(self.tokenizer).encode(
            list(texts), lambda done, total: progress("tokenise", done, total)
        )
        docs = Documents(self.vocab.numericalise(tokenised), tokenised.offsets)
        found = self.predict_documents(docs, device=device, progress=progress)
        found[[not text.strip() for text in texts]] = np.nan
        return found

    def predict_documents(
        self,
        docs: Documents,
        *,
        device: str = "cpu",
        progress: Progress = silent,
    ) -> Probabilities:
        """The same for texts that are numbers already."""
        if self.config.max_tokens:
            docs = docs.last(self.config.max_tokens)
        # Trained in bfloat16 elsewhere, it predicts in float32 where that is all there is.
        emulated = device == "cpu" and not multiplies_bfloat16()
        dtype = resolve_precision("auto" if emulated else self.config.precision, device)
        parts = []
        for i, (model, backward) in enumerate(zip(self.models, self.backward, strict=True)):
            way = docs.reversed() if backward else docs
            total = len(docs) * len(self.models)

            def step(done: int, before: int = i * len(docs), total: int = total) -> None:
                progress("predict", before + done, total)

            parts.append(predict_documents(model.to(device), way, device, dtype, progress=step))
        return sum(parts[1:], parts[0]) / np.float32(len(parts))


def build_classifier(
    config: ClassifierConfig, encoder: AWDLSTM, n_classes: int, *, several: bool = False
) -> TextClassifier:
    """A classifier on `encoder` with a head whose weights are still to be drawn or loaded."""
    encoder.drop = CLASSIFIER_DROPOUTS.times(config.drop_mult)
    model = TextClassifier(
        encoder,
        n_classes,
        lin_ftrs=config.lin_ftrs,
        drop_mult=config.drop_mult,
        seq_len=config.seq_len,
        max_len=config.max_len,
        alpha=config.alpha,
        beta=config.beta,
    )
    model.several = several
    return model


def predict_documents(
    model: TextClassifier,
    docs: Documents,
    device: str,
    dtype: torch.dtype,
    bs: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Probabilities:
    """Class probabilities (texts, classes), in the order of the texts."""
    return predict_batches(model, DocumentBatches(docs, device), dtype, bs, progress)


def predict_batches(
    model: TextClassifier,
    docs: DocumentBatches,
    dtype: torch.dtype,
    bs: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Probabilities:
    """Compute class probabilities (texts, classes) of documents that lie on the model's device.

    A GPU without room for `bs` documents at a time takes half as many, and so on. The default is
    as many as are fast.
    """
    size = bs or prediction_bs(model, docs.device, dtype)
    while True:
        try:
            return _predicted(model, docs, dtype, size, progress)
        except torch.OutOfMemoryError as error:
            if size == 1:
                raise
            traceback.clear_frames(error.__traceback__)  # they hold the batch
        torch.cuda.empty_cache()
        size //= 2


def _predicted(
    model: TextClassifier,
    docs: DocumentBatches,
    dtype: torch.dtype,
    bs: int,
    progress: Callable[[int], None],
) -> Probabilities:
    """Class probabilities (texts, classes) by batches of `bs` texts."""
    model.eval()
    order = by_length(docs.lengths, bs)

    def probabilities(which: Rows) -> Tensor:
        tokens, lengths = docs.pad(which)
        with torch.no_grad():
            logits, _ = model(tokens, lengths, None, dtype)
        return model.probabilities(logits)

    parts, done = [], 0
    with one_thread_each(docs.device.type) as side_by_side:
        for which, part in zip(order, side_by_side(probabilities, order), strict=True):
            parts.append(part)
            done += len(which)
            progress(done)
    out = np.zeros((len(docs.lengths), model.head.linear2.out_features), dtype=np.float32)
    if parts:  # one copy at the end: a GPU need not wait after every batch
        out[np.concatenate(order)] = torch.cat(parts).cpu().numpy()
    return out


def prediction_bs(model: TextClassifier, device: torch.device, dtype: torch.dtype) -> int:
    """The number of documents to predict at a time.

    A processor's cache is small. A GPU takes as many as it has room for beside other trials, which
    is `GPU_GATES` bytes of gates: there a step of few documents takes as long as one of hundreds.
    The documents of a batch have about the same length, and leave the batch when they end.
    """
    if device.type == "cpu":
        return 64
    widest = max(4 * layer.n_out for layer in model.encoder.layers)
    return max(64, min(4096, GPU_GATES // (model.seq_len * widest * dtype.itemsize)))


def save_classifier(folder: Path, saved: SavedClassifier) -> None:
    """Write the classifier to `folder`, which may exist."""
    folder.mkdir(parents=True, exist_ok=True)
    for model, backward in zip(saved.models, saved.backward, strict=True):
        weights = {name: value.cpu() for name, value in model.state_dict().items()}
        save_weights(weights, folder / _weights_name(backward))
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
            and (saved.several or key != "threshold")
        },
        "facts": saved.facts,
        **({"thresholds": saved.thresholds} if saved.several else {}),
    }
    write_atomically(folder / CONTENT, json.dumps(content, indent=1))


def load_classifier(folder: Path, *, trust_code: bool = False) -> SavedClassifier:
    """What `save_classifier` wrote. Raises InputError if the folder holds no whole classifier, or
    names a tokenizer that is somebody's code and is neither the user's own nor trusted."""
    if not (folder / CONTENT).is_file():
        raise InputError(
            f"{folder} holds no classifier: give a folder that `hpsearch train` wrote."
        )
    try:
        content = json.loads((folder / CONTENT).read_text("utf-8"))
        config = parse_config(ClassifierConfig, content["config"])
        vocab = Vocab.load(folder / "vocab.json")
        thresholds = _thresholds(content)
        models = []
        for backward, (emb, hidden, layers) in zip(
            content["backward"], content["sizes"], strict=True
        ):
            # A stranger's number of layers might take all memory.
            parse_config(LanguageModelConfig, {"emb": emb, "hidden": hidden, "layers": layers})
            with torch.device("meta"):  # to draw weights first would take as long
                encoder = AWDLSTM(len(vocab), emb, hidden, layers, _NONE)
                model = build_classifier(
                    config, encoder, len(content["classes"]), several=bool(thresholds)
                )
            model.to_empty(device="cpu")
            load_state(model, load_weights(folder / _weights_name(backward)))
            models.append(model)
        saved = SavedClassifier(
            models=models,
            backward=content["backward"],
            sizes=[tuple(sizes) for sizes in content["sizes"]],
            vocab=vocab,
            classes=tuple(content["classes"]),
            tokenizer=str(content["tokenizer"]),
            config=config,
            text_columns=_names(content["text_columns"]),
            facts=content["facts"],
            thresholds=thresholds,
        )
    except Exception as error:
        raise InputError(
            f"The classifier in {folder} cannot be read ({type(error).__name__}): its files are "
            "cut short or not of one model; train it again, or copy the whole folder."
        ) from error
    own_code.require(saved.tokenizer, f"The classifier in {folder}", trust=trust_code)
    return saved


def _names(columns: list[object]) -> tuple[str, ...]:
    if not all(isinstance(name, str) for name in columns):
        raise TypeError("the columns of the texts are no names")
    return tuple(map(str, columns)) or ("text",)


def _thresholds(content: Mapping[str, Any]) -> tuple[float, ...]:
    found = content.get("thresholds", [])
    if found and len(found) != len(content["classes"]):
        raise ValueError("there is not one threshold for each label")
    if not all(isinstance(one, float) and 0 <= one <= 1 for one in found):
        raise ValueError("a threshold is no probability")
    return tuple(found)


def _weights_name(backward: bool) -> str:
    return f"{'backward' if backward else 'forward'}.safetensors"
