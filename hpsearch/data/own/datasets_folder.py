"""A folder that Hugging Face's `datasets` saved with `save_to_disk`, read without that package.

One split lies in one folder: Arrow streams, a `state.json` that names them, and a
`dataset_info.json` that says what numbers of classes are called. A folder of several splits holds
one such folder each, and a `dataset_dict.json` that names them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.core.words import short_reason
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

SPLITS, STATE, INFO = "dataset_dict.json", "state.json", "dataset_info.json"
OURS = {"validation": "valid", "unsupervised": "unsup"}  # what these splits are called here


def is_datasets_folder(path: Path) -> bool:
    """Whether the folder is one that `save_to_disk` made."""
    return path.is_dir() and ((path / SPLITS).is_file() or (path / STATE).is_file())


def files_of(path: Path) -> list[Path]:
    """All files whose content is the data's. Raises InputError where the folder is not whole."""
    return [file for folder in _folders(path).values() for file in _files(folder)]


def read_splits(path: Path) -> dict[str, pa.Table]:
    """The rows of each split by its name; "" where there is one without a name. Classes have their
    names in the place of their numbers, and none where the number is negative.

    Raises InputError where the folder is not whole.
    """
    return {name: _read(folder) for name, folder in _folders(path).items()}


def read_labelled(path: Path) -> pa.Table:
    """The rows of all splits, with a column "split" where there are several and none is called so.

    Raises InputError where the folder is not whole or the splits have different columns.
    """
    import pyarrow as pa

    tables = []
    for name, table in read_splits(path).items():
        if name and "split" not in table.column_names:
            said = pa.array([OURS.get(name, name)] * len(table), pa.string())
            table = table.append_column("split", said)
        tables.append(table)
    return together(tables, path)


def together(tables: Sequence[pa.Table], path: Path) -> pa.Table:
    """The rows of several splits. Raises InputError where their columns differ."""
    import pyarrow as pa

    try:
        return pa.concat_tables(tables)
    except pa.ArrowInvalid as error:
        raise InputError(f"The parts of {path} differ in their columns: save it anew.") from error


def _folders(path: Path) -> dict[str, Path]:
    if not (path / SPLITS).is_file():
        return {"": path}
    names = _json(path / SPLITS).get("splits")
    if not isinstance(names, list) or not names:
        raise InputError(f"{path / SPLITS} names no splits: save the data set anew.")
    return {name: path / name for name in names if _is_plain(name, path / SPLITS)}


def _files(folder: Path) -> list[Path]:
    found = [
        folder / one["filename"]
        for one in _json(folder / STATE).get("_data_files") or []
        if isinstance(one, dict) and _is_plain(one.get("filename"), folder / STATE)
    ]
    if not found:
        raise InputError(f"{folder / STATE} names no files: save the data set anew.")
    return found


def _is_plain(name: object, where: Path) -> bool:
    """That a name leads out of no folder: the file that says it may be anybody's."""
    if not isinstance(name, str) or not name or name in (".", "..") or set(name) & set("/\\\0"):
        raise InputError(f"{where} names {name!r}, which lies in no folder of its own.")
    return True


def _read(folder: Path) -> pa.Table:
    import pyarrow as pa

    parts = []
    for file in _files(folder):
        try:
            with pa.memory_map(str(file)) as content:
                parts.append(pa.ipc.open_stream(content).read_all())
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{file} cannot be read as Arrow ({short_reason(error)}): save the data set anew."
            ) from error
    table = together(parts, folder)
    features = _json(folder / INFO).get("features") or {}
    for name, feature in features.items():
        names = _names(feature)
        if names is not None and name in table.column_names:
            place = table.column_names.index(name)
            table = table.set_column(place, name, _named(table[name], names))
    return table


def _names(feature: object) -> list[str] | None:
    """What the numbers of a ClassLabel are called, or of a sequence of such; None of another."""
    if isinstance(feature, list) and len(feature) == 1:  # a sequence as older versions write it
        feature = feature[0]
    if isinstance(feature, dict) and isinstance(feature.get("feature"), dict):
        feature = feature["feature"]
    names = feature.get("names") if isinstance(feature, dict) else None
    return list(map(str, names)) if isinstance(names, list) else None


def _named(numbers: pa.ChunkedArray, names: list[str]) -> pa.Array:
    """The names of numbers, or of lists of numbers; none of a number that has none."""
    import pyarrow as pa

    known = dict(enumerate(names))
    kind = numbers.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        lists = [
            None if cell is None else [known[number] for number in cell if number in known]
            for cell in numbers.to_pylist()
        ]
        return pa.array(lists, pa.list_(pa.string()))
    return pa.array([known.get(number) for number in numbers.to_pylist()], pa.string())


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {short_reason(error)}.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} does not describe a data set: save it anew.")
    return content
