"""A study.toml for one's own table: columns as they were found, the space of the study `adult`.

Its [data] has each column in its place, with the reason why beside it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpsearch.trainers.tabular.table.columns import Columns

KINDS = ("categorical", "continuous", "dates", "ignore")


def data_section(data: Mapping[str, Any], columns: Columns) -> str:
    """A [data] section that says of every column what `columns` found, so that a line can be
    moved from one list to another; where the rows come from and the split are `data`'s own."""
    lines = ["[data]"]
    for key in ("source", "path", "test", "database", "query"):
        if data.get(key) is not None:
            lines.append(f"{key} = {toml(data[key])}")
    lines.append(f"target = {toml(columns.target)} # {columns.reasons[columns.target]}")
    lines.append(f"task = {toml(columns.task)}")
    lists = (columns.categorical, columns.continuous, columns.dates, columns.ignored)
    for key, names in zip(KINDS, lists, strict=True):
        lines += _list(key, names, columns.reasons)
    if "split" in data:
        lines.append(f"split = {toml(data['split'])}")
    if not data.get("compress_tails", True):
        lines.append("compress_tails = false")
    return "\n".join(lines)


def toml(value: Any) -> str:  # noqa: ANN401
    """A text, a number, a list or an inline table as TOML writes it."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{toml_key(key)} = {toml(one)}" for key, one in value.items())
        return f"{{ {inside} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    # What JSON writes of texts and numbers is TOML, but for the one sign that only TOML forbids.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_key(key: str) -> str:
    plain = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if plain else toml(key)


def _list(key: str, names: Sequence[str], reasons: Mapping[str, str]) -> list[str]:
    if not names:
        return [f"{key} = []"]
    cells = [f"{toml(name)}," for name in names]
    width = min(30, max(map(len, cells)))
    rows = [f"  {cell:{width}} # {reasons[n]}" for cell, n in zip(cells, names, strict=True)]
    return [f"{key} = [", *rows, "]"]


STEPS, MOST_EPOCHS = 1000, 20
"""Of the default trial: small tables take more epochs, as far as recording each is no burden."""
MANY_ROWS = 200_000  # to be trained on in larger batches


def study_text(
    name: str,
    data: Mapping[str, Any],
    columns: Columns,
    n_rows: int,
    space: Mapping[str, Mapping[str, Any]],
    presets: Mapping[str, int],
) -> str:
    """The text of a study that can be run as it is.

    `space` and `presets` (name -> trials) are those of a study to copy; batch size and epochs are
    fitted to the table's `n_rows`.
    """
    regression = columns.task == "regression"
    split: dict[str, Any] = {"share": 0.2}
    if not regression:
        split["stratify"] = columns.target
    metric = ("rmse", "minimize") if regression else ("accuracy", "maximize")
    lines = [
        f"# {n_rows:,} rows; see them with: hpsearch data show THIS_FILE",
        f"name = {toml(name)}",
        f"title = {toml(f'Tabular network predicting {columns.target}')}",
        'trainer = "tabular"',
        f"metric = {toml(metric[0])} # or {'mse, mae' if regression else 'f1'}",
        f"direction = {toml(metric[1])}",
        "",
        "# Move a column's line to another list to have it taken otherwise.",
        data_section({**data, "split": split}, columns),
        *_other_splits(columns),
        "",
        *_settings(regression),
        "# The defaults are the baseline trial.",
    ]
    for param, content in {**space, **_fitted(int(0.8 * n_rows), space)}.items():
        lines.append(f"[space.{toml_key(param)}]")
        lines += [f"{toml_key(key)} = {toml(value)}" for key, value in content.items()] + [""]
    for preset, trials in presets.items():
        lines += [f"[presets.{preset}]", f"trials = {trials}", ""]
    return "\n".join(lines[:-1]) + "\n"


def study_name(path: Path) -> str:
    """The file's name, or its folder's if it is a study.toml, in signs that a name may have."""
    stem = path.absolute().parent.name if path.name == "study.toml" else path.stem
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-._")[:100] or "my-table"


def path_from(path: Path, file: Path) -> str:
    """The table's path as the study in `file` names it: from its folder, so that both can move."""
    try:
        return Path(os.path.relpath(path.absolute(), file.absolute().parent)).as_posix()
    except ValueError:  # another drive
        return str(path.absolute())


def _other_splits(columns: Columns) -> list[str]:
    time = columns.dates[0] if columns.dates else "COLUMN"
    return [
        f"# Or hold out the latest rows: {{ time = {toml(time)}, share = 0.2 }}, the last ones:",
        "# { last = 2000 }, one of five parts: { folds = 5, fold = 0 }, or those that a column",
        '# says: { column = "COLUMN" }.',
    ]


def _settings(regression: bool) -> list[str]:
    if not regression:
        return []
    return ["# [settings]", "# y_range = [0.0, 100.0] # where predictions must lie", ""]


def _fitted(n_train: int, space: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Batch size and epochs for so many rows."""
    largest = min(4096, max(32, 1 << max(0, (n_train // 32).bit_length() - 1)))
    bs = min(64 if n_train < MANY_ROWS else 512, largest)
    epochs = min(MOST_EPOCHS, max(1, round(STEPS * 64 / max(1, n_train))))
    return {
        "bs": {**space["bs"], "low": min(32, largest // 4), "high": largest, "default": bs},
        "epochs": {
            **space["epochs"],
            "low": max(1, epochs // 4),
            "high": 3 * epochs if n_train < MANY_ROWS else 2,
            "default": epochs,
        },
    }
