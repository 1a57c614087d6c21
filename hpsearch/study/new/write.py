"""The shortest study.toml that works: what the data is, and what the number of rows asks for.

Everything else is as in the built-in study that it is `like`; the file says so in comments.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hpsearch.core.words import how_many
from hpsearch.data.toml_text import toml, toml_key
from hpsearch.study.defaults import LIKE
from hpsearch.study.new.look import LONG_WORDS, Found

STEPS = {"tabular": 1000, "collab": 1000, "text-classifier": 60}
"""Of the default trial, for a text classifier in each of its stages."""
EPOCHS = {"tabular": (1, 20), "collab": (5, 20), "text-classifier": (1, 6)}
"""The least and the most of the default trial."""
MANY_ROWS = 200_000  # to be trained on in larger batches
SMALL_TEXTS = 3000  # fewer need other batches and epochs than the built-in studies
MAX_TOKENS = 400  # of long texts, in a small study
METRICS = {
    "text-classifier": "accuracy or f1",
    "multi-label": "f1_micro, f1_macro, average_precision or subset_accuracy",
    "language-model": "perplexity or accuracy",
    "classification": "accuracy or f1",
    "regression": "rmse, mse, mae or r2",
    "collab": "mse, rmse, mae or r2",
    "choices": "ndcg, recall or map",
}
ON_ERROR = '# on_error = "skip" # leaves out rows that cannot be used, and says which'
HINTS = {
    "text-classifier": (
        '# split = "COLUMN" # train or test, or true (held out) and false',
        '# tokenizer = "en" # a spaCy language, "whitespace", or your own module:function',
    ),
    "language-model": (
        '# tokenizer = "en" # a spaCy language, "whitespace", or your own module:function',
    ),
    "tabular": (
        '# Or hold out the latest rows: split = { time = "COLUMN", share = 0.2 }, the last ones:',
        "# { last = 2000 }, one of five parts: { folds = 5, fold = 0 }, or those that a column",
        '# says: { column = "COLUMN" }.',
    ),
    "collab": (
        '# users = "users.csv" # what is known of each user, by a column of the same name',
        '# items = "items.csv" # likewise of items, with titles in a column title',
    ),
}


def study_text(name: str, found: Found) -> str:
    """The text of a study that can be run as it is."""
    like = _like(found)
    default = LIKE[found.trainer]
    lines = [
        f"# {found.what[0].upper()}{found.what[1:]}.",
        "# What a model sees of it: hpsearch data show THIS_FILE. What this file does not say is",
        f"# as in the built-in study {like}: hpsearch show THIS_FILE prints all of it.",
        f"name = {toml(name)}",
        f"trainer = {toml(found.trainer)}",
        *([f"like = {toml(like)}"] if like != default or _fitted(found) else []),
        f"# metric = ... # {METRICS[_aim(found)]}",
        "",
        "[data]",
        *_data(found),
        *([] if "on_error" in found.data else [ON_ERROR]),
        *HINTS[found.trainer],
        *(
            ["# Move a column's line to another list to have it taken otherwise."]
            if found.columns
            else []
        ),
        *found.columns,
        *_settings(found),
        *_space(found),
    ]
    return "\n".join(lines) + "\n"


def study_name(path: Path) -> str:
    """The file's name, or its folder's if it is a study.toml, in signs that a name may have."""
    stem = path.absolute().parent.name if path.name == "study.toml" else path.stem
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-._")[:100] or "mine"


def path_from(path: Path, file: Path) -> str:
    """The data's path as the study in `file` names it: from its folder, so that both can move."""
    try:
        return Path(os.path.relpath(path.absolute(), file.absolute().parent)).as_posix()
    except ValueError:  # another drive
        return str(path.absolute())


def _aim(found: Found) -> str:
    if found.trainer == "tabular":
        return str(found.data["task"])
    if found.trainer == "text-classifier" and "labels" in found.data:
        return "multi-label"
    return "choices" if found.trainer == "collab" and "rating" not in found.data else found.trainer


def _like(found: Found) -> str:
    if found.trainer == "text-classifier" and found.words > LONG_WORDS and found.n >= SMALL_TEXTS:
        return "imdb-clas"
    return LIKE[found.trainer]


def _data(found: Found) -> list[str]:
    """The keys of [data], each with the reason if there is one."""
    lines = []
    for key, value in found.data.items():
        why = f" # {found.reasons[key]}" if key in found.reasons else ""
        lines.append(f"{toml_key(key)} = {toml(value)}{why}")
    return lines


def _settings(found: Found) -> list[str]:
    if found.trainer == "tabular" and found.data["task"] == "regression":
        return ["", "# [settings]", '# y_range = "auto" # or [0.0, 100.0]: where predictions lie']
    if _is_small(found) and found.words > LONG_WORDS:
        return ["", "[settings]", f"max_tokens = {MAX_TOKENS} # of long texts the end is read"]
    return []


def _space(found: Found) -> list[str]:
    fitted = _fitted(found)
    if not fitted:
        return []
    lines = [f"{name} = {toml(param)}" for name, param in fitted.items()]
    rows = how_many(_n_train(found), "row") + " to train on"
    return ["", f"# Chosen for {rows}; the defaults are the baseline trial.", "[space]", *lines]


def _is_small(found: Found) -> bool:
    return found.trainer == "text-classifier" and found.n < SMALL_TEXTS


def _n_train(found: Found) -> int:
    return int(0.8 * found.n)


def _fitted(found: Found) -> dict[str, dict[str, Any]]:
    """Batch size and epochs for so many rows, where the built-in study's do not fit."""
    if found.trainer not in STEPS or (found.trainer == "text-classifier" and not _is_small(found)):
        return {}
    n = _n_train(found)
    largest = min(4096, max(32, 1 << max(0, (n // 32).bit_length() - 1)))
    usual = 16 if found.trainer == "text-classifier" else 64
    bs = min(usual if n < MANY_ROWS else 512, largest)
    steps, (least, most) = STEPS[found.trainer], EPOCHS[found.trainer]
    epochs = min(most, max(least, round(steps * usual / max(1, n))))
    highest = 3 * epochs if n < MANY_ROWS else 2 * least
    return {
        "bs": {"low": min(usual // 2, largest // 4), "high": largest, "default": bs},
        "epochs": {
            "low": max(1, epochs // 4),
            "high": min(highest, most) if found.trainer == "text-classifier" else highest,
            "default": epochs,
        },
    }
