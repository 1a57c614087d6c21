"""What all trials on a table share: rows as codes and numbers, and how they became that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpsearch.data.cache.stages import cached_stage, reading
from hpsearch.data.cells import plainly
from hpsearch.data.tables import TableDataset, load_table
from hpsearch.errors import InputError
from hpsearch.trainers.contract import PrepareSetup
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.shared.y_range import check_reach
from hpsearch.trainers.tabular.config import TabularConfig, TabularData
from hpsearch.trainers.tabular.table.columns import Columns, NamedColumns, infer_columns
from hpsearch.trainers.tabular.table.encoded_rows import EncodedRows
from hpsearch.trainers.tabular.table.preprocess import (
    Preprocessor,
    Target,
    check_whole,
    coded_missing,
)
from hpsearch.trainers.tabular.table.split_rows import split_rows
from hpsearch.trainers.tabular.table.usable_rows import usable_rows

if TYPE_CHECKING:
    import pandas as pd

_VERSION = 7
"""Raise it when tables are encoded otherwise: what is in the cache is then not what is wanted."""
SPLIT_SEED = 0
PARTS, KINDS = ("train", "valid", "test"), ("codes", "numbers", "targets")


@dataclass(frozen=True)
class Encoding:
    """How a row of the table becomes codes, numbers and a target, learnt from the training rows."""

    preprocessor: Preprocessor
    target: Target

    @property
    def n_out(self) -> int:
        return len(self.target.classes) if self.target.classes else 1

    def to_json(self) -> dict[str, Any]:
        return {"preprocessor": self.preprocessor.to_json(), "target": self.target.to_json()}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Encoding:
        return Encoding(
            Preprocessor.from_json(content["preprocessor"]), Target.from_json(content["target"])
        )

    def rows(self, table: pd.DataFrame, *, scaled: bool) -> EncodedRows:
        """Encode; numbers to predict are `scaled` to the training rows' mean 0 and deviation 1."""
        encoded = self.preprocessor.transform(table)
        targets = self.target.encode(table[self.target.name])
        if scaled:
            targets = self.scale(targets)
        return EncodedRows(encoded.codes, encoded.numbers, targets)

    def scale(self, numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The target as the network learns it; classes stay as they are."""
        if self.target.classes:
            return numbers
        return ((numbers - self.target.mean) / self.target.std).astype(np.float32)

    def unscale(self, numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Back from `scale`."""
        return (numbers * self.target.std + self.target.mean).astype(np.float32)


@dataclass(frozen=True)
class PreparedTable:
    """The data of a tabular study, read-only and memory-mapped: the parts train, valid and test
    (empty where the data has none).

    `rows` are the rows' numbers in the table that each part is from. `scaled` says whether numbers
    to predict have mean 0 and deviation 1, as `Encoding.rows` makes them.
    """

    parts: Mapping[str, EncodedRows]
    rows: Mapping[str, npt.NDArray[np.int64]]
    scaled: bool
    encoding: Encoding
    source: str
    fingerprint: str
    note: str | None
    precision: str = "float32"
    stages: tuple[str, ...] = ()

    @property
    def facts(self) -> dict[str, float]:
        return {"training_rows": len(self.parts["train"])}

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("accuracy", "f1") if self.encoding.target.classes else ("mse", "rmse", "mae", "r2")

    def check(self, settings: Mapping[str, Any]) -> None:
        pass  # y_range is a setting, which `prepare` has checked

    @property
    def summary(self) -> str:
        """Sizes, kinds of columns, how common each class is."""
        parts, target = self.parts, self.encoding.target
        sizes = [f"{len(parts['train']):,} training and {len(parts['valid']):,} held-out rows"]
        if len(parts["test"]):
            sizes.append(f"{len(parts['test']):,} to test on")
        preprocessor = self.encoding.preprocessor
        columns = (
            f"{len(preprocessor.n_categories)} categorical and {preprocessor.n_continuous} "
            "continuous columns"
        )
        sentences = [", ".join(sizes), columns, f"predicting {target.name}"]
        if target.classes:
            counts = np.bincount(parts["train"].targets, minlength=len(target.classes))
            shares = counts / max(1, counts.sum())
            sentences[-1] += f" ({class_shares(target.classes, shares)})"
        if self.note:
            sentences.append(self.note)
        return "; ".join(sentences)


def prepare(
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    setup: PrepareSetup,
) -> PreparedTable:
    """Read the table, hold rows out, and encode all rows; cached.

    The encoding is learned from the training rows alone.

    Raises:
        InputError: The table cannot be used as the study says.
    """
    config = parse_config(TabularConfig, settings)
    given = parse_config(TabularData, data)
    dataset = load_table(data, path=setup.data_path, progress=setup.progress, say=setup.say)
    key = {
        "table": dataset.fingerprint,
        "data": {**asdict(given), "path": None, "test": None, "database": None},
        "hold_out": config.hold_out,
        "scaled": config.y_range is None,
        "version": _VERSION,
    }

    def build(folder: Path) -> None:
        _encode(dataset, given, config, folder)

    folder = cached_stage("table", key, build)
    with reading(folder):
        content = json.loads((folder / "encoding.json").read_text("utf-8"))
        encoding = Encoding.from_json(content)
        parts = {name: _load(folder / name) for name in PARTS}
        rows = {name: np.load(folder / name / "rows.npy") for name in PARTS}
    check_class_weights(config, encoding.target)
    target = f"The target {encoding.target.name!r} goes"
    check_reach(target, parts["train"].targets, config.bounds, "[{:g}, {:g}]")
    note = "; ".join(filter(None, (dataset.note, content["left_out"]))) or None
    scaled = config.y_range is None
    source, fingerprint = dataset.source, dataset.fingerprint
    return PreparedTable(parts, rows, scaled, encoding, source, fingerprint, note)


def check_class_weights(config: TabularConfig, target: Target) -> None:
    """Raises InputError for weights of classes where the target is of numbers."""
    if config.class_weights != "none" and not target.classes:
        raise InputError(
            f"class_weights are of classes, but {target.name!r} is of numbers: drop "
            'class_weights, or set task = "classification" in [data].'
        )


def find_columns(table: pd.DataFrame, given: TabularData, where: str) -> Columns:
    """Find the kind of each column: as the study says, and otherwise from the cells.

    A column that says which rows are held out is nothing else, unless the study names it.

    Args:
        where: What people call the table.

    Raises:
        InputError: A column is not there.
    """
    used = {given.target, *(given.categorical or ()), *(given.continuous or ()), *given.dates}
    splitting = {str(given.split.get("column"))} & {*table.columns} - {*used, *given.ignore}
    return infer_columns(
        table,
        given.target,
        NamedColumns(
            categorical=given.categorical or (),
            continuous=given.continuous or (),
            dates=tuple(given.dates),
            ignore=(*given.ignore, *splitting),
        ),
        task=None if given.task == "auto" else given.task,
        where=where,
    )


def held_out_rows(table: pd.DataFrame, given: TabularData) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(the rows to train on, those that `split` holds out)."""
    rows, held_out = split_rows(table, given.split, SPLIT_SEED)
    return table.iloc[rows], table.iloc[held_out]


def class_shares(classes: tuple[str, ...], shares: npt.NDArray[np.float64]) -> str:
    """'neg 50%, pos 50%', the most common classes first, at most five of them."""
    order = np.argsort(-shares, kind="stable")
    named = [f"{classes[i]} {_percent(shares[i])}" for i in order[:5]]
    if len(order) > 5:
        named.append(f"{len(order) - 5} more down to {shares[order[-1]]:.1%}")
    return ", ".join(named)


def _percent(share: float) -> str:
    """A rare class is not said to be absent."""
    return f"{share:.0%}" if share >= 0.01 else f"{share:.1%}"


def _encode(dataset: TableDataset, given: TabularData, config: TabularConfig, folder: Path) -> None:
    usable = usable_rows(dataset, given)
    columns = find_columns(usable, given, dataset.source)
    table = plainly(usable, columns.forms)
    test = None if dataset.test is None else plainly(dataset.test, columns.forms)
    goal = table[given.target]
    missing = coded_missing(goal) if columns.task == "classification" else goal.isna().to_numpy()
    check_whole(given.target, missing)
    if config.hold_out == "test" and test is not None:
        train, valid = table, test
    else:
        train, valid = held_out_rows(table, given)
    if len(train) < 2:
        raise InputError(f"{dataset.source} leaves {len(train)} rows to train on: give more rows.")
    _check_fits(columns, config, test)
    preprocessor = Preprocessor.fit(train, columns, compress_tails=given.compress_tails)
    encoding = Encoding(preprocessor, Target.fit(train, columns))
    tables = {"train": train, "valid": valid, "test": table.iloc[:0] if test is None else test}
    for name, part in tables.items():
        encoded = encoding.rows(part, scaled=config.y_range is None)
        (folder / name).mkdir()
        for kind in KINDS:
            np.save(folder / name / f"{kind}.npy", getattr(encoded, kind))
        np.save(folder / name / "rows.npy", part.index.to_numpy(np.int64))
    text = json.dumps({**encoding.to_json(), "left_out": dataset.bad.note})
    (folder / "encoding.json").write_text(text, encoding="utf-8")


def _check_fits(columns: Columns, config: TabularConfig, test: pd.DataFrame | None) -> None:
    if config.y_range is not None and columns.task == "classification":
        raise InputError(
            f"y_range bounds numbers, but {columns.target!r} is of classes: drop y_range, or set "
            'task = "regression" in [data].'
        )
    if test is not None and columns.target not in test:
        raise InputError(
            f"The test rows have no column {columns.target!r}, so nothing can be measured on them: "
            "add it, or drop test and use predict."
        )


def _load(folder: Path) -> EncodedRows:
    # Copy on write: torch wants memory that it could write to.
    return EncodedRows(*(np.load(folder / f"{kind}.npy", mmap_mode="c") for kind in KINDS))
