"""Which column of somebody's table holds what: parameters, results, states, or nothing to learn.

Known are Optuna's `trials_dataframe()`, the tables of Weights & Biases (`config.lr`, or plain names
beside `State`, `Runtime` ...), Ray Tune's `get_dataframe()` (`config/lr`, `time_total_s` ...),
MLflow (`params.lr`, `metrics.acc`) and scikit-learn's `cv_results_` (`param_C`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpsearch.core.words import nearest, quoted
from hpsearch.data.cells import number_in
from hpsearch.errors import InputError
from hpsearch.exchange.cells import NOTHING, Columns
from hpsearch.exchange.infer_space import Overrides
from hpsearch.store.tables.attributes import PREFIX
from hpsearch.study.metric_names import is_result

PARAMS = ("config/", "config.", "params_", "params.", "params/", "param_", "hparams/", "hparams.")
RESULTS = (
    "value_", "values_", "summary.", "summary/", "metrics.", "metrics/", "summary_metrics.",
)  # fmt: skip
STATES = ("state", "status", "trial_status", "run_state")
STEPS = ("training_iteration", "_step", "step", "epoch", "steps", "epochs")
SECONDS = ("time_total_s", "_runtime", "runtime", "duration", "seconds")
WRITTEN_BY_TOOLS = frozenset(("training_iteration", "_step", "time_total_s", "_runtime", "runtime"))
"""Nobody searches over a parameter of such a name."""

_RUN = """
name id run run_id run_name trial trial_id trial_number number experiment experiment_id
experiment_tag notes user tags group sweep created updated created_at end_time start_time
start_timestamp timestamp date hostname host node_ip pid logdir log_dir checkpoint_dir_name done
datetime_start datetime_complete time_this_iter_s time_since_restore iterations_since_restore
timesteps_total timesteps_since_restore episodes_total version worker worker_id gpu job_type
artifact_uri lifecycle_stage commit git_commit git_sha sha revision
"""
BOOKKEEPING = frozenset(_RUN.split())
"""Columns, by lower-case name, that say which run it was and not how it was set."""
NEARLY = 0.98
"""A column with such a correlation with the metric was measured, not set."""
ROWS_TO_TELL = 8
"""From fewer rows nothing is concluded about what a column holds."""


@dataclass(frozen=True)
class ColumnRoles:
    """The part of each column. `params` and `attrs` map a name to its column."""

    metrics: tuple[str, ...]
    params: dict[str, str]
    attrs: dict[str, str]
    state: str | None
    step: str | None
    seconds: str | None
    left_out: tuple[str, ...]
    """Columns that might have been taken for parameters, kept as attributes."""
    read_as: tuple[str, ...]
    """Columns that tell how far or how long a trial went, which might have been parameters."""


@dataclass(frozen=True)
class ColumnChoice:
    """What a user says about the columns of a table.

    The `metrics` are those of the objectives, with their `directions`. `params` are the only ones
    to take for parameters; `keep` are taken too, and none of `ignore` is taken.
    """

    metrics: Sequence[str] = ()
    directions: Sequence[str] = ()
    params: Sequence[str] = ()
    keep: Sequence[str] = ()
    ignore: Sequence[str] = ()
    overrides: Overrides | None = None


def find_roles(columns: Columns, where: str, choice: ColumnChoice) -> ColumnRoles:
    """Find which column of a table from another tool holds parameters, results or states.

    Raises InputError where a column is missing, no metric is named or no parameter is left.
    """
    results = tuple(find_metric(columns, where, name) for name in choice.metrics or [""])
    prefix = next((p for p in PARAMS if any(name.startswith(p) for name in columns)), "")
    only, too, ignored = (
        dict(_chosen(columns, where, prefix, name) for name in names)
        for names in (choice.params, choice.keep, choice.ignore)
    )
    said = {*only.values(), *too.values(), *ignored.values()}
    state = _first(columns, STATES, said)
    step, seconds = (
        _first(columns, names, said | _settings(columns, names, prefix))
        for names in (STEPS, SECONDS)
    )
    taken = {*results, *filter(None, (state, step, seconds))}
    params = only or {
        name.removeprefix(prefix): name
        for name in columns
        if name.startswith(prefix) and name not in taken
    }
    params = {name: column for name, column in params.items() if name not in ignored} | too
    left_out: list[str] = []
    if not only:
        free = [name for name in params if name not in too]
        left_out = [n for n in free if _is_no_param(n, columns[params[n]], bool(prefix))]
        rest = [name for name in free if name not in left_out]
        measured = [] if prefix else _measured(columns, results[0], rest)
        if len(measured) < len(rest):  # of a noise-free line nothing would be left
            left_out += measured
    for name in left_out:
        del params[name]
    if not params:
        raise InputError(
            f"{where} has no column that looks like a parameter: name them with --param "
            f"(its columns are {quoted(columns)})."
        )
    attrs = {name: name for name in columns if name not in taken | set(params.values())}
    read_as = [one for one in (step, seconds) if one and one.lower() not in WRITTEN_BY_TOOLS]
    return ColumnRoles(
        results, params, attrs, state, step, seconds, tuple(left_out),
        () if prefix else tuple(read_as),
    )  # fmt: skip


def _first(columns: Columns, names: Sequence[str], but: Collection[str]) -> str | None:
    """The column of the first of these names, in small or capital letters."""
    lower = {name.lower(): name for name in reversed(columns) if name not in but}
    return next((lower[name] for name in names if name in lower), None)


def _settings(columns: Columns, names: Sequence[str], prefix: str) -> set[str]:
    """Columns of such names that were searched over, by what they hold.

    Only a table without prefixes can hold them. `epochs` and `steps` of trials that differ are
    settings. A measured time is another one in nearly every row; one that was searched over a grid
    is not.
    """
    if prefix:
        return set()
    found = set()
    for column, cells in columns.items():
        name, distinct = column.lower(), set(cells) - {NOTHING}
        if name in names and name not in WRITTEN_BY_TOOLS and len(distinct) > 1:
            grid = len(distinct) <= len(cells) / 2 and len(cells) >= ROWS_TO_TELL
            if name in ("epochs", "steps") or (name in SECONDS and grid):
                found.add(column)
    return found


def find_metric(columns: Columns, where: str, name: str) -> str:
    """The column of the metric `name`: of that name, or with what the tools put before it."""
    if not name:
        raise InputError(
            f"Which column of {where} is the result? Name it with --metric "
            f"(its columns are {quoted(columns)})."
        )
    for column in (name, *(prefix + name for prefix in RESULTS)):
        if column in columns:
            return column
    raise InputError(
        f"{where} has no column {name!r}{nearest(name, columns)}: give --metric one of its "
        f"columns, {quoted(columns)}."
    )


def _chosen(columns: Columns, where: str, prefix: str, name: str) -> tuple[str, str]:
    """(parameter, its column) for a name as typed, with or without the table's prefix."""
    for column in (prefix + name, name):
        if column in columns:
            return column.removeprefix(prefix), column
    raise InputError(f"{where} has no column {name!r}{nearest(name, columns)}.")


def _is_no_param(name: str, cells: Sequence[Any], prefixed: bool) -> bool:
    """Whether a column is about a run, or what came out of it, and not how it was set."""
    if name.lower() in ("seed", "random_seed", "random_state"):
        return True
    if name.startswith(("_", PREFIX)):
        return True
    known = [cell for cell in cells if cell is not NOTHING and cell is not None]
    if not known:
        return True
    words = [cell for cell in known if isinstance(cell, str)]
    if len(words) > len(known) / 2 and len(set(words)) > max(len(known) / 2, 20):
        return not all(number_in(word) is not None for word in words)  # a name in every row
    if prefixed:
        return False
    if any(hasattr(cell, "isoformat") for cell in known) or name.lower() in BOOKKEEPING:
        return True
    return not words and (is_result(name) or _counts_rows(known) or _is_clock(known))


def _counts_rows(cells: Sequence[Any]) -> bool:
    """Whether the cells are 0, 1, 2 ... or 1, 2, 3 ...: row labels saved with the table."""
    first = cells[0]
    return (
        len(cells) >= ROWS_TO_TELL
        and first in (0, 1)
        and all(cell == first + row for row, cell in enumerate(cells))
    )


def _is_clock(cells: Sequence[Any]) -> bool:
    """Whether the cells are moments of this century, in seconds or milliseconds since 1970."""
    numbers = [float(cell) for cell in cells if isinstance(cell, int | float)]
    lies = all(1e9 < number < 4e9 or 1e12 < number < 4e12 for number in numbers)
    return lies and len(set(numbers)) > len(numbers) / 2


def _measured(columns: Columns, metric: str, names: Sequence[str]) -> list[str]:
    """The columns that are nearly a line of the metric, with another number in most rows."""
    found = []
    for name in names:
        pairs = [
            (float(x), float(y))
            for x, y in zip(columns[name], columns[metric], strict=True)
            if isinstance(x, int | float) and isinstance(y, int | float)
        ]
        x, y = np.array(pairs, np.float64).reshape(-1, 2).T
        kept = np.isfinite(x) & np.isfinite(y)
        x, y = x[kept], y[kept]
        if len(x) < ROWS_TO_TELL or len(set(x)) <= len(x) / 2 or np.ptp(y) == 0:
            continue
        if abs(np.corrcoef(x, y)[0, 1]) > NEARLY:
            found.append(name)
    return found
