"""Tables from elsewhere: which trials they hold is found out from names and values."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from hpsearch.core.words import how_many, quoted, row_numbers
from hpsearch.errors import InputError
from hpsearch.exchange.cells import NOTHING, Columns, mapping_in, to_text
from hpsearch.exchange.column_roles import ColumnChoice, ColumnRoles, find_roles
from hpsearch.exchange.infer_space import Overrides, infer

WORDS = {
    TrialState.COMPLETE: "complete completed finished finish success succeeded terminated done ok",
    TrialState.PRUNED: """
        pruned stopped stop killed early_stopped earlystopped preempted paused capped
        canceled cancelled aborted abort interrupted
    """,
    TrialState.FAIL: """
        fail failed error errored crashed crash oom diverged nan timeout timedout memoryout
        out_of_memory invalid
    """,
    TrialState.RUNNING: "running started",
    TrialState.WAITING: "waiting pending queued scheduled new created",
}
"""What the tools call the state of a trial, in lower case. A trial that was stopped from outside
says nothing about its parameters, so it is no failed one."""
STATE = {word: state for state, words in WORDS.items() for word in words.split()}


@dataclass(frozen=True)
class Table:
    """The trials of a table, the space they were drawn from, and what a person should know."""

    metrics: tuple[str, ...]
    space: dict[str, BaseDistribution]
    trials: list[FrozenTrial]
    notes: tuple[str, ...]


def read_table(columns: Columns, where: str, choice: ColumnChoice) -> Table:
    """The trials of a table, one a row.

    A row without a result is a failed trial, unless its state says that it was stopped. One that
    is called complete and has no result is left out, with a note.

    Raises InputError for a column that is missing, or of which nothing can be learned.
    """
    columns = _with_nones(columns)
    columns = {name: [_plain(cell) for cell in cells] for name, cells in columns.items()}
    overrides = choice.overrides or Overrides()
    roles = find_roles(columns, where, choice)
    overrides.check(list(roles.params))
    results = [_results(columns, column, where) for column in roles.metrics]
    states, unknown = _states(columns, roles, len(results[0]))
    kept = [row for row, state in enumerate(states) if not _says_nothing(results, state, row)]
    notes = []
    if empty := sorted(set(range(len(states))) - set(kept)):
        notes.append(
            f"Called complete but without a result, and so left out: {row_numbers(empty)} "
            f"(--ignore {roles.state} makes them failed trials)."
        )
        columns = {name: [cells[row] for row in kept] for name, cells in columns.items()}
        results = [[result[row] for row in kept] for result in results]
        states = [states[row] for row in kept]
    inferred = {
        name: infer(name, columns[column], overrides) for name, column in roles.params.items()
    }
    space = {name: one.distribution for name, one in inferred.items()}
    cells = {name: one.values for name, one in inferred.items()}
    trials = [
        _trial(columns, roles, space, cells, results, states, row) for row in range(len(states))
    ]
    said = [one.note for one in inferred.values() if one.note]
    notes = [*said, *_notes(roles, trials, states, unknown), *notes]
    return Table(roles.metrics, space, trials, tuple(notes))


def _with_nones(columns: Columns) -> Columns:
    """The columns of scikit-learn's cv_results_ with the Nones that only its `params` tell apart
    from cells without anything."""
    if "params" not in columns:
        return columns
    chosen = [mapping_in(cell) or {} for cell in columns["params"]]
    return {
        name: [
            None if cell is NOTHING and of.get(name.removeprefix("param_"), 0) is None else cell
            for cell, of in zip(cells, chosen, strict=True)
        ]
        if name.startswith("param_")
        else cells
        for name, cells in columns.items()
    }


def _says_nothing(
    results: Sequence[list[float | None]], state: TrialState | None, row: int
) -> bool:
    """Whether a row is called complete and has no result at all."""
    return state == TrialState.COMPLETE and all(result[row] is None for result in results)


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


def _states(
    columns: Columns, roles: ColumnRoles, n_rows: int
) -> tuple[list[TrialState | None], list[str]]:
    """(the state that each row names, None where it names none; words that are no state)."""
    if roles.state is None:
        return [None] * n_rows, []
    words = [
        "" if cell is NOTHING else re.sub(r"[ -]", "_", str(cell).strip().lower())
        for cell in columns[roles.state]
    ]
    words = [word.rpartition(".")[2] for word in words]  # TrialState.COMPLETE
    unknown = sorted({word for word in words if word and word not in STATE})
    return [STATE.get(word) for word in words], unknown


def _trial(
    columns: Columns,
    roles: ColumnRoles,
    space: dict[str, BaseDistribution],
    cells: dict[str, list[Any]],
    results: Sequence[list[float | None]],
    states: Sequence[TrialState | None],
    row: int,
) -> FrozenTrial:
    values = [result[row] for result in results]
    known = [value for value in values if value is not None]
    state = states[row] or TrialState.COMPLETE
    if len(known) < len(values) and state == TrialState.COMPLETE:
        state = TrialState.FAIL
    has_values = len(known) == len(values) and state in (TrialState.COMPLETE, TrialState.PRUNED)
    params = {name: one[row] for name, one in cells.items() if one[row] is not NOTHING}
    step = _step(columns, roles, row)
    reports = {step or 0: known[0]} if known and state.is_finished() and len(values) == 1 else {}
    start, end = _times(columns, roles, row, state)
    return FrozenTrial(
        number=row,
        state=state,
        value=None,
        values=known if has_values else None,
        datetime_start=start,
        datetime_complete=end,
        params=params,
        distributions={name: space[name] for name in params},
        user_attrs={
            name: _attr(columns[column][row])
            for name, column in roles.attrs.items()
            if columns[column][row] is not NOTHING
        },
        system_attrs={},
        intermediate_values=reports if step is not None or state == TrialState.PRUNED else {},
        trial_id=row,
    )


def _step(columns: Columns, roles: ColumnRoles, row: int) -> int | None:
    """How far the trial came, in the table's own steps."""
    cell = NOTHING if roles.step is None else columns[roles.step][row]
    return int(cell) if isinstance(cell, int | float) and 0 <= cell < 2**31 else None


def _times(
    columns: Columns, roles: ColumnRoles, row: int, state: TrialState
) -> tuple[datetime | None, datetime | None]:
    """Start and end; of a table that says only how long a trial took, as if it started now."""
    start, end = (
        _moment(columns.get(name, {row: NOTHING})[row])
        for name in ("datetime_start", "datetime_complete")
    )
    if start is None and roles.seconds is not None:
        seconds = columns[roles.seconds][row]
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
    roles: ColumnRoles,
    trials: Sequence[FrozenTrial],
    states: Sequence[TrialState | None],
    unknown: Sequence[str],
) -> list[str]:
    notes = []
    if roles.left_out:
        notes.append(f"Not taken for parameters: {quoted(roles.left_out)} (--keep NAME takes one).")
    if roles.read_as:
        notes.append(
            f"Taken for how far or how long a trial went: {quoted(roles.read_as)} "
            "(--keep NAME makes one a parameter)."
        )
    if unknown:
        notes.append(
            f"Words in {roles.state!r} that name no known state: {quoted(unknown)}; such a trial "
            "is complete if it has a result, and failed if not."
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
