"""What a model sees of a table: what each column is taken as and why, and how to say otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hpsearch.core.console import new_table
from hpsearch.core.database_urls import without_password
from hpsearch.core.words import how_many
from hpsearch.data.cells import coded, names_of, numbers_of, parse_dates, plainly
from hpsearch.data.tables import TableDataset, load_table
from hpsearch.trainers.contract import PrepareSetup
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.tabular.config import TabularData
from hpsearch.trainers.tabular.table.columns import Columns
from hpsearch.trainers.tabular.table.data_section import data_section
from hpsearch.trainers.tabular.table.prepare import find_columns, held_out_rows
from hpsearch.trainers.tabular.table.preprocess import Preprocessor
from hpsearch.trainers.tabular.table.usable_rows import usable_rows

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 4  # values of a categorical column
CLASSES = 20
LONGEST = 24  # characters of a value
QUANTILES = {"lowest": 0, "5%": 5, "median": 50, "95%": 95, "highest": 100}


def preview(
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    setup: PrepareSetup,
    rows: int,
) -> list[RenderableType]:
    """Every column with its kind and the reason, the target in each part, some rows, sizes, and
    the [data] section that says all of it."""
    given = parse_config(TabularData, data)
    dataset = load_table(data, path=setup.data_path, progress=setup.progress, say=setup.say)
    usable = usable_rows(dataset, given)
    columns = find_columns(usable, given, dataset.source)
    table = plainly(usable, columns.forms)
    train, valid = held_out_rows(table, given)
    parts = {"training": train, "held out": valid}
    if dataset.test is not None:
        parts["test"] = plainly(dataset.test, columns.forms)
    fitted = Preprocessor.fit(train, columns, compress_tails=given.compress_tails)
    shown: list[RenderableType] = [_columns(table, columns, fitted), ""]
    shown += [_target(parts, columns), ""]
    if rows:
        shown += [_examples(dataset.table, rows), ""]
    shown += [*map(Text, _facts(dataset, given, fitted, parts)), ""]
    shown.append(Text("To take a column otherwise, move its line in this section of the study:\n"))
    declared = without_password(asdict(given))
    if setup.data_path is not None:
        nowhere = dict.fromkeys(("source", "database", "query"))
        declared |= {**nowhere, "path": str(setup.data_path.absolute())}
    shown.append(Text(data_section(declared, columns), no_wrap=True, overflow="ignore"))
    return shown


def _columns(table: pd.DataFrame, columns: Columns, fitted: Preprocessor) -> Table:
    shown = new_table("Columns", "column", "taken as", "because", ">missing", "what is in it")
    kinds = {
        **dict.fromkeys(columns.categorical, "categorical"),
        **dict.fromkeys(columns.continuous, "continuous"),
        **dict.fromkeys(columns.dates, "date"),
        **dict.fromkeys(columns.ignored, "ignored"),
        columns.target: "target",
    }
    for name in table.columns:
        kind = kinds[name]
        numeric = kind == "continuous" or (kind == "target" and columns.task == "regression")
        missing, content = (_numbers if numeric else _values)(table[name])
        if kind == "date":
            content = _span(table[name])
        if kind == "continuous" and fitted.continuous[name].long_tail:
            content += "; long tail, compressed"
        shown.add_row(
            escape(name), kind, columns.reasons[name], _share(missing, len(table)),
            escape(content),
        )  # fmt: skip
    return shown


def _numbers(column: pd.Series) -> tuple[int, str]:
    """(how many are missing, what is in it)."""
    cells = numbers_of(column)
    present = cells[~np.isnan(cells)]
    if not len(present):
        return len(cells), "nothing"
    low, median, high = (_number(float(x)) for x in np.percentile(present, [0, 50, 100]))
    return len(cells) - len(present), f"{low} to {high}, median {median}"


def _number(x: float) -> str:
    return f"{x:,.0f}" if abs(x) < 1e12 and (x.is_integer() or abs(x) >= 1000) else f"{x:.4g}"


def _values(column: pd.Series) -> tuple[int, str]:
    """(how many are missing, the most frequent values with their shares)."""
    counts = _counts(column)
    most = [f"{_shortened(name)} {n / len(column):.0%}" for name, n in list(counts.items())[:SHOWN]]
    more = [f"{len(counts) - SHOWN:,} more"] if len(counts) > SHOWN else []
    return len(column) - sum(counts.values()), ", ".join(most + more) or "nothing"


def _span(column: pd.Series) -> str:
    dates = parse_dates(column)
    days = dates.dropna().dt.normalize().eq(dates.dropna()).all()
    first, last = (f"{end:%Y-%m-%d}" if days else str(end) for end in (dates.min(), dates.max()))
    return f"{first} to {last}"


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _target(parts: Mapping[str, pd.DataFrame], columns: Columns) -> Table:
    """How common each class is in every part, or how large the numbers are."""
    target = columns.target
    have = {part: rows[target] for part, rows in parts.items() if target in rows.columns}
    shown = new_table(f"Target: {target}", columns.task, *(f">{part}" for part in have), wrap=True)
    if columns.task == "regression":
        cells = [numbers_of(column) for column in have.values()]
        present = [one[~np.isnan(one)] for one in cells]
        for what, share in QUANTILES.items():
            shown.add_row(what, *(_number(float(np.percentile(one, share))) for one in present))
        shown.add_row("mean", *(_number(float(one.mean())) for one in present))
        shown.add_row("deviation", *(_number(float(one.std())) for one in present))
        return shown
    counts = {part: _counts(column) for part, column in have.items()}
    classes = list(dict.fromkeys(name for one in counts.values() for name in one))
    for name in classes[:CLASSES]:
        shares = (_share(one.get(name, 0), len(have[part])) for part, one in counts.items())
        shown.add_row(escape(_shortened(name)), *shares)
    if len(classes) > CLASSES:
        shown.add_row(f"{len(classes) - CLASSES:,} more")
    return shown


def _examples(table: pd.DataFrame, rows: int) -> Table:
    """Rows drawn at random, the same at every call, turned: a table may have many columns."""
    drawn = np.sort(np.random.default_rng(0).permutation(len(table))[:rows])
    titles = [f"row {row + 1:,}" for row in drawn]
    shown = new_table("Rows, drawn at random", "column", *titles, wrap=True)
    some = table.iloc[drawn]
    for name in table.columns:
        cells = [("" if missing else _shortened(str(cell))) for cell, missing in zip(
            some[name], some[name].isna(), strict=True
        )]  # fmt: skip
        shown.add_row(escape(name), *map(escape, cells))
    return shown


def _facts(
    dataset: TableDataset,
    given: TabularData,
    fitted: Preprocessor,
    parts: Mapping[str, pd.DataFrame],
) -> list[str]:
    table = dataset.table
    lines = [
        f"data: {how_many(len(table), 'row')} of {how_many(table.shape[1], 'column')}, from "
        f"{dataset.source}",
        f"split: {given.split}: {len(parts['training']):,} rows to train on, "
        f"{len(parts['held out']):,} held out",
    ]
    if "test" in parts:
        lines[-1] += f"; {len(parts['test']):,} to test on"
    for part in ("held out", "test"):
        if part in parts and (unseen := _unseen(fitted, parts[part])):
            named = ", ".join(f"{name} {share}" for name, share in unseen.items())
            lines.append(f"cells with a value that no training row has, {part}: {named}")
    return lines + [f"note: {one}" for one in (dataset.note, dataset.bad.note) if one]


def _unseen(fitted: Preprocessor, rows: pd.DataFrame) -> dict[str, str]:
    """Share of the rows whose category is not missing and not known, where there are any."""
    shares = {}
    for name, known in fitted.categories.items():
        if name in rows.columns:  # else it is a date's
            counts = _counts(rows[name])
            shares[name] = _share(
                sum(counts[value] for value in counts.keys() - set(known)), len(rows)
            )
    return {name: share for name, share in shares.items() if share}


def _share(count: int, n: int) -> str:
    """Nothing for none."""
    share = f"{count / max(1, n):.1%}" if count else ""
    return "<0.1%" if share == "0.0%" else share


def _counts(column: pd.Series) -> dict[str, int]:
    """value -> in how many cells it is, the most frequent first."""
    codes, values = coded(column)
    counted = np.bincount(codes + 1, minlength=len(values) + 1)[1:]
    counts: dict[str, int] = {}
    names = names_of(values)
    for i in np.argsort(-counted, kind="stable"):
        name = names[i]
        if name is not None and counted[i]:
            counts[name] = counts.get(name, 0) + int(counted[i])
    return counts
