"""Tables from elsewhere: which trials they hold is found out from names and values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from hpsearch.data.words import how_many, quoted, row_numbers
from hpsearch.errors import InputError
from hpsearch.exchange.cells import NOTHING, to_text
from hpsearch.exchange.layout import Layout, find_layout
from hpsearch.exchange.reading import Columns
from hpsearch.exchange.scales import Wishes, infer

WORDS = {
    TrialState.COMPLETE: "complete completed finished finish success succeeded terminated done ok",
    TrialState.PRUNED: "pruned stopped killed early_stopped earlystopped preempted",
    TrialState.FAIL: "fail failed error errored crashed crash oom diverged timeout",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting pending queued scheduled",
}
"""What the tools call the state of a trial, in lower case."""
STATE = {word: state for state, words in WORDS.items() for word in words.split()}


@dataclass(frozen=True)
class Table:
    """The trials of a table, the space they were drawn from, and what a person should know."""

    metrics: tuple[str, ...]
    space: dict[str, BaseDistribution]
    trials: list[FrozenTrial]
    notes: tuple[str, ...]


def read_table(
    columns: Columns,
    where: str,
    metrics: Sequence[str],
    params: Sequence[str],
    ignore: Sequence[str],
    wishes: Wishes,
) -> Table:
    """The trials of a table, one a row. A row without a result is a failed trial.

    Raises InputError for a column that is missing, or of which nothing can be learned.
    """
    columns = {name: [_plain(cell) for cell in cells] for name, cells in columns.items()}
    layout = find_layout(columns, where, metrics or [""], params, set(ignore))
    wishes.check(list(layout.params))
    inferred = {
        name: infer(name, columns[column], wishes) for name, column in layout.params.items()
    }
    space = {name: distribution for name, (distribution, _) in inferred.items()}
    cells = {name: values for name, (_, values) in inferred.items()}
    results = [_results(columns, column, where) for column in layout.metrics]
    n_rows = len(results[0])
    states = _states(columns, layout, where, n_rows)
    trials = [_trial(columns, layout, space, cells, results, states, row) for row in range(n_rows)]
    return Table(layout.metrics, space, trials, tuple(_notes(layout, trials, states)))


def _plain(cell: Any) -> Any:  # noqa: ANN401
    """A list in a cell is a text like any other."""
    return to_text(cell) if isinstance(cell, list | dict) else cell


def _results(columns: Columns, column: str, where: str) -> list[float | None]:
    """The numbers in a column of results, None where there is none."""
    found: list[float | None] = []
    wrong = []
    for row, cell in enumerate(columns[column]):
        try:
            value = math.nan if cell is NOTHING or cell == "" else float(cell)
        except (ValueError, TypeError):
            value = math.nan
            if str(cell).strip().lower() not in ("none", "null", "na", "n/a"):
                wrong.append(row)
        found.append(None if math.isnan(value) else value)
    if wrong:
        raise InputError(
            f"{where}, column {column!r} has no number in {row_numbers(wrong)} "
            f"({str(columns[column][wrong[0]])[:40]!r}): name the column of the result as --metric."
        )
    return found


def _states(columns: Columns, layout: Layout, where: str, n_rows: int) -> list[TrialState | None]:
    """The state that each row names, None where it names none."""
    if layout.state is None:
        return [None] * n_rows
    words = [str(cell).strip().lower() for cell in columns[layout.state]]
    words = [
        "" if cell is NOTHING else w for w, cell in zip(words, columns[layout.state], strict=True)
    ]
    if unknown := [row for row, word in enumerate(words) if word and word not in STATE]:
        raise InputError(
            f"{where}, column {layout.state!r} has {words[unknown[0]]!r} in "
            f"{row_numbers(unknown)}: a state is such as complete, pruned, failed or running."
        )
    return [STATE.get(word) for word in words]


def _trial(
    columns: Columns,
    layout: Layout,
    space: dict[str, BaseDistribution],
    cells: dict[str, list[Any]],
    results: Sequence[list[float | None]],
    states: Sequence[TrialState | None],
    row: int,
) -> FrozenTrial:
    values = [result[row] for result in results]
    known = [value for value in values if value is not None]
    state = states[row] or TrialState.COMPLETE
    if len(known) < len(values) and state in (TrialState.COMPLETE, TrialState.PRUNED):
        state = TrialState.FAIL
    params = {name: one[row] for name, one in cells.items() if one[row] is not NOTHING}
    step = _step(columns, layout, row)
    reports = {step or 0: known[0]} if known and state.is_finished() and len(values) == 1 else {}
    start, end = _times(columns, layout, row, state)
    return FrozenTrial(
        number=row,
        state=state,
        value=None,
        values=known if state in (TrialState.COMPLETE, TrialState.PRUNED) else None,
        datetime_start=start,
        datetime_complete=end,
        params=params,
        distributions={name: space[name] for name in params},
        user_attrs={
            name: _attr(columns[column][row])
            for name, column in layout.attrs.items()
            if columns[column][row] is not NOTHING
        },
        system_attrs={},
        intermediate_values=reports if step is not None or state == TrialState.PRUNED else {},
        trial_id=row,
    )


def _step(columns: Columns, layout: Layout, row: int) -> int | None:
    """How far the trial came, in the table's own steps."""
    cell = NOTHING if layout.step is None else columns[layout.step][row]
    return int(cell) if isinstance(cell, int | float) and 0 <= cell < 2**31 else None


def _times(
    columns: Columns, layout: Layout, row: int, state: TrialState
) -> tuple[datetime | None, datetime | None]:
    """Start and end; of a table that says only how long a trial took, as if it started now."""
    start, end = (
        _moment(columns.get(name, {row: NOTHING})[row])
        for name in ("datetime_start", "datetime_complete")
    )
    if start is None and layout.seconds is not None:
        seconds = columns[layout.seconds][row]
        if isinstance(seconds, int | float) and math.isfinite(seconds):
            start = datetime.now()
            end = start + timedelta(seconds=float(seconds))
    now = datetime.now()
    if state == TrialState.WAITING:
        return None, None
    return start or now, (end or start or now) if state.is_finished() else None


def _moment(cell: Any) -> datetime | None:  # noqa: ANN401
    if isinstance(cell, datetime):
        return cell.replace(tzinfo=None)
    try:
        return datetime.fromisoformat(cell).replace(tzinfo=None)
    except (TypeError, ValueError):
        return None


def _attr(cell: Any) -> Any:  # noqa: ANN401
    return cell.isoformat() if hasattr(cell, "isoformat") else cell


def _notes(
    layout: Layout, trials: Sequence[FrozenTrial], states: Sequence[TrialState | None]
) -> list[str]:
    notes = []
    if layout.left_out:
        notes.append(
            f"Not taken for parameters: {quoted(layout.left_out)} (--param NAME takes one)."
        )
    silent = [
        row
        for row, trial in enumerate(trials)
        if trial.state == TrialState.FAIL and states[row] != TrialState.FAIL
    ]
    if silent:
        notes.append(f"Without a result and so failed: {row_numbers(silent)}.")
    unfinished = sum(not trial.state.is_finished() for trial in trials)
    if unfinished:
        notes.append(f"{how_many(unfinished, 'trial')} unfinished: kept, not explained.")
    return notes
