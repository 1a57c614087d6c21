"""Pretrained language models by name or place, and their rows under another vocabulary."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from torch import Tensor

from hpsearch.core.console import Progress, Say, silent
from hpsearch.core.files import atomic_folder
from hpsearch.core.home import LANGUAGE_MODELS, ensure_home, home, home_error, remove
from hpsearch.core.locks import lock
from hpsearch.core.words import nearest, short_reason
from hpsearch.data.named.download import Archive, UnavailableError, download
from hpsearch.errors import HpsearchError, InputError
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.text.config import ClassifierConfig, LanguageModelConfig
from hpsearch.trainers.text.language_model import fastai_files
from hpsearch.trainers.text.language_model.fastai_files import read_fastai, rows_by_token
from hpsearch.trainers.text.language_model.files import (
    SavedLanguageModel,
    load_language_model,
    new_language_model,
    save_language_model,
)
from hpsearch.trainers.text.tokens.vocab import Vocab

WIKITEXT = "wikitext-103"
PUBLISHED = {
    False: Archive(
        "https://s3.amazonaws.com/fast-ai-modelzoo/wt103-fwd.tgz",
        105_067_061,
        "7d1114cd9684bf9d1ca3c9f6a54da6f9",
    ),
    True: Archive(
        "https://s3.amazonaws.com/fast-ai-modelzoo/wt103-bwd.tgz",
        105_205_312,
        "20b06f5830fd5a891d21044c28d3097f",
    ),
}
"""fast.ai's WikiText-103 models that read forward (False) and backward (True)."""
BACKWARD = "-backward"
"""What the folder's name of a backward model ends in."""
SHIPPED = Path(__file__).parents[3] / "assets" / "models"
_TOKENIZER = "en"
"""What fast.ai split the words of its corpora with: spaCy's English."""


@dataclass(frozen=True)
class Pretrained:
    """A pretrained language model: `name` is for messages, `weights` are float32 and have the keys
    and shapes of `LanguageModel.state_dict`, `tokenizer` is one of `TextData.tokenizer`."""

    name: str
    weights: dict[str, Tensor]
    vocab: Vocab
    tokenizer: str
    backward: bool

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Embedding width, hidden width and number of layers."""
        layers = sum(name.endswith(".weight_hh") for name in self.weights)
        hidden = self.weights["encoder.rnns.0.weight_hh"].shape[1]
        return self.weights["encoder.embedding.weight"].shape[1], hidden, layers


class NotDownloadedError(HpsearchError):
    """A published model is not on this machine and could not be got: nobody made a mistake."""


class Listed(NamedTuple):
    """A model that can be asked for by name: what it is, and where it is."""

    name: str
    what: str
    place: str


def load_pretrained(
    name: str,
    *,
    backward: bool = False,
    progress: Progress = silent,
    say: Say = silent,
) -> Pretrained:
    """The model `name` that reads forward, or `backward`; see `find_pretrained` for the names.

    Raises InputError or HpsearchError in one sentence if there is none, or if a file of it is
    missing, damaged, of the wrong size or not safe to read.
    """
    place = find_pretrained(name, backward=backward, progress=progress, say=say)
    if not _is_ours(place):
        weights, vocab = read_fastai(place, backward=backward, progress=progress)
        return Pretrained(name, weights, vocab, _TOKENIZER, backward)
    saved = load_language_model(place)
    weights = {key: value.float() for key, value in saved.model.state_dict().items()}
    return Pretrained(name, weights, saved.vocab, saved.tokenizer, saved.config.backward)


def remap(pretrained: Pretrained, vocab: Vocab) -> dict[str, Tensor]:
    """The weights for another vocabulary: rows go by token, a new token gets the mean row and the
    mean bias (Howard and Ruder 2018)."""
    return rows_by_token(pretrained.weights, pretrained.vocab.ids, vocab.tokens)


def find_pretrained(
    name: str,
    *,
    backward: bool = False,
    progress: Progress = silent,
    say: Say = silent,
) -> Path:
    """Find the folder or file that `load_pretrained` reads.

    Args:
        name: One of three. A path, if it contains a separator or exists: to a folder that
            `save_language_model` wrote, to fast.ai's .tgz, or to a folder with its files. Or
            "wikitext-103", which is looked for in HPSEARCH_DATA and the cache, and otherwise
            downloaded. Or a model that `hpsearch pretrain` named, or that is shipped.
        backward: Of a pair NAME and NAME-backward, whether the model that reads backward is wanted.

    Raises:
        InputError: There is no such model.
        HpsearchError: The download fails.
    """
    path = Path(name).expanduser()
    if "/" in name or os.sep in name or _exists(path):
        return _at_path(path, backward)
    if name == WIKITEXT:
        return _wikitext(backward, progress, say)
    for root in (home() / LANGUAGE_MODELS, SHIPPED):
        if _pair(root / name):
            return _directed(root / name, backward)
    names = [listed.name for listed in pretrained_names()]
    raise InputError(
        f"There is no pretrained language model {name!r}{nearest(name, names)}: use "
        f"{', '.join(names)}, make one with `hpsearch pretrain`, or give the folder of a model or "
        "fast.ai's .tgz."
    )


def pretrained_names() -> list[Listed]:
    """The models that can be asked for by name; nothing is downloaded."""
    listed = {}
    for root in (SHIPPED, home() / LANGUAGE_MODELS):
        for folder in sorted(root.iterdir()) if root.is_dir() else ():
            name = folder.name.removesuffix(BACKWARD)
            if _is_ours(folder) and not name.startswith("."):
                listed[name] = Listed(name, _describe(root / name), str(folder.parent / name))
    places = [place for way in PUBLISHED if (place := _wikitext_here(way)) is not None]
    listed[WIKITEXT] = Listed(
        WIKITEXT,
        "English Wikipedia, 103 million words; published by fast.ai, forward and backward",
        ", ".join(map(str, places)) or "downloaded when it is first used (105 MB each way)",
    )
    return [listed[name] for name in sorted(listed)]


def _describe(base: Path) -> str:
    pair = _pair(base)
    try:
        content = json.loads((pair[0] / "config.json").read_text("utf-8"))["config"]
        tokens = len(Vocab.load(pair[0] / "vocab.json"))
        sizes = ", ".join(f"{name} {content[name]}" for name in ("emb", "hidden", "layers"))
    except (OSError, ValueError, KeyError, TypeError):
        return "damaged: delete it"
    ways = " and ".join("backward" if _reads_backward(folder) else "forward" for folder in pair)
    return f"{sizes}, {tokens:,} tokens, {ways}"


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 (never raises, not even for absurd names)


def _is_ours(place: Path) -> bool:
    """Whether it is meant to be a folder that `save_language_model` wrote, whole or not."""
    return _exists(place / "model.safetensors") or (
        _exists(place / "config.json") and _exists(place / "vocab.json")
    )


def _pair(base: Path) -> list[Path]:
    """The model's own folder and the one of its backward twin, as far as they are there."""
    return [place for place in (base, base.with_name(base.name + BACKWARD)) if _is_ours(place)]


def _reads_backward(folder: Path) -> bool | None:
    """None if the folder does not say; reading the model will tell why."""
    try:
        content = json.loads((folder / "config.json").read_text("utf-8"))
        return bool(content["config"]["backward"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _directed(base: Path, backward: bool) -> Path:
    """The folder of the pair at `base` that reads the way asked for."""
    pair = _pair(base)
    for folder in pair:
        if _reads_backward(folder) in (backward, None):
            return folder
    asked, there = ("backward", "forward") if backward else ("forward", "backward")
    raise InputError(
        f"The language model {pair[0]} reads {there}, but one that reads {asked} is asked for: "
        f"make one with `hpsearch pretrain`, or give another model."
    )


def _at_path(path: Path, backward: bool) -> Path:
    if path.name and _pair(path):
        return _directed(path, backward)
    if not _exists(path):
        raise InputError(
            f"{path} does not exist: give the folder of a language model, fast.ai's .tgz, or a "
            f"name such as {WIKITEXT}."
        )
    if path.is_file() and path.name.lower().endswith(fastai_files.ARCHIVES):
        return path
    files = (*fastai_files.WEIGHTS.values(), fastai_files.TOKENS)
    if any(_exists(path / name) for name in files):
        return path
    raise InputError(
        f"{path} holds no language model: give a folder with model.safetensors, vocab.json and "
        f"config.json, or fast.ai's .tgz or a folder with its {files[backward]} and {files[-1]}."
    )


def _wikitext_here(backward: bool) -> Path | None:
    """fast.ai's model in HPSEARCH_DATA (the archive, or what is in it) or in the cache."""
    archive = PUBLISHED[backward].name
    places = [home() / LANGUAGE_MODELS / (WIKITEXT + BACKWARD * backward)]
    if folder := os.environ.get("HPSEARCH_DATA"):
        data = Path(folder).expanduser()
        places = [data / archive, data / archive.removesuffix(".tgz"), *places]
    return next((place for place in places if _exists(place)), None)


def _wikitext(backward: bool, progress: Progress, say: Say) -> Path:
    if place := _wikitext_here(backward):
        return place
    folder = home() / LANGUAGE_MODELS / (WIKITEXT + BACKWARD * backward)
    with lock(ensure_home(LANGUAGE_MODELS), folder.name, folder.name, say):
        if not _exists(folder):
            _fetch(folder, backward, progress, say)
    return folder


def _fetch(folder: Path, backward: bool, progress: Progress, say: Say) -> None:
    """Download fast.ai's archive and keep what is in it in our own format, whole or not at all."""
    archive = PUBLISHED[backward]
    say(f"Getting {folder.name} from {archive.url}.")
    try:
        file = download(archive, folder.parent, progress)
    except UnavailableError as error:
        raise NotDownloadedError(
            f"The language model {WIKITEXT} could not be downloaded: {error}; bring {archive.name} "
            "from another machine and put it into the folder HPSEARCH_DATA, or give its path."
        ) from error
    try:
        weights, vocab = read_fastai(file, backward=backward, progress=progress)
        emb, hidden, layers = Pretrained(WIKITEXT, weights, vocab, _TOKENIZER, backward).sizes
        config = LanguageModelConfig(emb=emb, hidden=hidden, layers=layers, backward=backward)
        model = new_language_model(config, len(vocab))
        model.load_state_dict(weights)
        with atomic_folder(folder) as unfinished:
            save_language_model(unfinished, SavedLanguageModel(model, vocab, config, _TOKENIZER))
    except OSError as error:
        raise home_error(folder.parent, error) from error
    except SafetensorError as error:
        raise HpsearchError(
            f"{folder} cannot be written ({short_reason(error)}): free space?"
        ) from error
    finally:
        remove(file)


def find_missing_pretrained(
    kind: type[ClassifierConfig] | type[LanguageModelConfig],
    settings: Mapping[str, Any],
    *,
    progress: Progress,
    say: Say = silent,
) -> str | None:
    """Find the reason why a pretrained model that the settings name cannot be had.

    Args:
        kind: The config class that the settings belong to.

    Returns:
        The reason, or None if all models are on this machine now.

    Raises:
        InputError: There is no model of that name, or at that place.
    """
    config = parse_config(kind, settings)
    models = config.directions if isinstance(config, ClassifierConfig) else [config]
    for model in models:
        if model.pretrained is None:
            continue
        try:
            find_pretrained(model.pretrained, backward=model.backward, progress=progress, say=say)
        except NotDownloadedError as error:
            way = "backward" if model.backward else "forward"
            return f"There is no {model.pretrained} ({way}) here, and {error.__cause__}"
    return None


def untrained_vocab(
    models: Sequence[LanguageModelConfig], progress: Progress, say: Say
) -> Vocab | None:
    """The vocabulary of pretrained models that are taken as they are; None if any is trained.

    Raises HpsearchError if two of them know different tokens.
    """
    vocab: Vocab | None = None
    name = ""
    for model in models:
        if model.pretrained is None or model.epochs + model.frozen_epochs:
            return None
        found = load_pretrained(
            model.pretrained, backward=model.backward, progress=progress, say=say
        )
        if vocab is not None and found.vocab.fingerprint != vocab.fingerprint:
            raise HpsearchError(
                f"The language models {name} ({len(vocab):,} tokens) and {found.name} "
                f"({len(found.vocab):,} tokens) know different words; fine-tune both with epochs "
                "above 0, or give a pair that was trained with one vocabulary."
            )
        vocab, name = found.vocab, found.name
    return vocab
