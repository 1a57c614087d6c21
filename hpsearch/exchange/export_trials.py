"""`export`: a study as a table that any tool reads and that `import` reads back whole.

The columns are those of Optuna's `Study.trials_dataframe()` (number, state, value or values_NAME,
datetime_start, datetime_complete, params_NAME, user_attrs_NAME, system_attrs_NAME) and three of
JSON: `hps_reports` with the values reported on the way by step, `hps_distributions` with the range
of each parameter that is new or has another range than in the rows above, and in the first row
`hps_study` with what belongs to the study.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import FrozenTrial

from hpsearch.core.files import write_atomically
from hpsearch.data.own.csv_files import PARQUET
from hpsearch.errors import InputError
from hpsearch.exchange.cells import NOTHING, column, to_text
from hpsearch.store.tables.attributes import DISTRIBUTIONS_COLUMN, REPORTS_COLUMN, STUDY_COLUMN
from hpsearch.store.trials.frozen import all_trials

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = "hpsearch.trials/1"
FORMULA = re.compile(r"(?:\A|[,\n])\"?(?:[=@\t]|[+-](?!\d*\.?\d+(?:[eE][+-]?\d+)?(?:\"?[,\n]|\Z)))")
"""A cell that begins with one of = @ + - and is no number."""
WRITABLE = (".csv", *PARQUET)


def export_study(study: optuna.Study, output: str | Path) -> int:
    """Write the study's trials to a .csv or .parquet file; how many there were.

    Raises InputError for a study without trials, another kind of file, or one that cannot be
    written.
    """
    path = Path(output)
    check_kind(path)
    trials = all_trials(study)
    if not trials:
        raise InputError(
            f"Study '{study.study_name}' has no trials yet: there is nothing to write."
        )
    table = to_table(study, trials)
    write_atomically(path, _parquet(table) if path.suffix.lower() in PARQUET else _csv(table))
    return len(trials)


def holds_formulas(path: Path) -> bool:
    """Whether a CSV file has a cell that a spreadsheet would take for a formula and calculate."""
    return FORMULA.search(path.read_text(encoding="utf-8", errors="replace")) is not None


def check_kind(path: Path) -> None:
    """Raises InputError for a file that is to be neither CSV nor Parquet."""
    if path.suffix.lower() not in WRITABLE:
        raise InputError(f"{path} is of no known kind: name a .csv or a .parquet file.")


def to_table(study: optuna.Study, trials: Sequence[FrozenTrial]) -> pa.Table:
    """The table of the trials, a row each."""
    import pyarrow as pa

    names, aims = value_columns(study.metric_names, len(study.directions)), study.directions
    columns: dict[str, pa.Array] = {
        "number": pa.array([trial.number for trial in trials], pa.int64()),
        "state": pa.array([trial.state.name for trial in trials], pa.large_string()),
    }
    for index, name in enumerate(names):
        columns[name] = column([NOTHING if t.values is None else t.values[index] for t in trials])
    for name in ("datetime_start", "datetime_complete"):
        columns[name] = pa.array([getattr(trial, name) for trial in trials], pa.timestamp("us"))
    for kind in ("params", "user_attrs", "system_attrs"):
        held = [getattr(trial, kind) for trial in trials]
        for key in dict.fromkeys(key for one in held for key in one):
            columns[f"{kind}_{key}"] = column([one.get(key, NOTHING) for one in held])
    columns[REPORTS_COLUMN] = pa.array([_reports(trial) for trial in trials], pa.large_string())
    columns[DISTRIBUTIONS_COLUMN] = pa.array(_distributions(trials), pa.large_string())
    about = {
        "schema": SCHEMA,
        "name": study.study_name,
        "directions": [one.name.lower() for one in aims],
        "metric_names": study.metric_names,
        "user_attrs": study.user_attrs,
    }
    first = [json.dumps(about), *[None] * (len(trials) - 1)]
    columns[STUDY_COLUMN] = pa.array(first, pa.large_string())
    return pa.table(columns)


def value_columns(metric_names: Sequence[str] | None, count: int) -> list[str]:
    """What Optuna's data frame calls the columns of a study's objectives."""
    if count == 1:
        return [f"value_{metric_names[0]}" if metric_names else "value"]
    return [f"values_{name}" for name in metric_names or range(count)]


def _reports(trial: FrozenTrial) -> str | None:
    return json.dumps(trial.intermediate_values) if trial.intermediate_values else None


def _distributions(trials: Sequence[FrozenTrial]) -> list[str | None]:
    known: dict[str, BaseDistribution] = {}
    cells: list[str | None] = []
    for trial in trials:
        new = {n: d for n, d in trial.distributions.items() if not _same(known.get(n), d)}
        known.update(new)
        texts = (f"{json.dumps(name)}: {distribution_to_json(one)}" for name, one in new.items())
        cells.append("{" + ", ".join(texts) + "}" if new else None)
    return cells


def _same(left: BaseDistribution | None, right: BaseDistribution) -> bool:
    # Optuna's equality compares the attributes only: the choices 1 and True are equal there.
    return left is right or (left is not None and repr(left) == repr(right))


def _parquet(table: pa.Table) -> bytes:
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def _csv(table: pa.Table) -> str:
    """CSV in which every cell can be read back: numbers in full, texts as `cells` writes them."""
    import csv

    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(table.column_names)
    writer.writerows(zip(*(_cells(one) for one in table.columns), strict=True))
    return file.getvalue()


def _cells(cells: pa.ChunkedArray) -> list[str]:
    import pyarrow as pa

    plain: list[Any] = cells.to_pylist()
    if pa.types.is_timestamp(cells.type):
        return ["" if one is None else one.isoformat(" ") for one in plain]
    if pa.types.is_large_string(cells.type):
        return ["" if one is None else one for one in plain]
    return ["" if one is None else str(to_text(one)) for one in plain]
