"""Tables that `export` wrote: nothing has to be guessed."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    IntDistribution,
    json_to_distribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpsearch.errors import InputError
from hpsearch.exchange.cells import NOTHING, Columns
from hpsearch.exchange.export_trials import SCHEMA, value_columns
from hpsearch.store.tables.attributes import DISTRIBUTIONS_COLUMN, REPORTS_COLUMN, STUDY_COLUMN
from hpsearch.store.tables.damage import UnreadableError, parse_attr

AIMS = {"minimize", "maximize"}


def is_ours(columns: Columns) -> bool:
    return STUDY_COLUMN in columns and DISTRIBUTIONS_COLUMN in columns


def study_of(columns: Columns, where: str) -> dict[str, Any]:
    """What the first row says about the study: directions, metric_names, user_attrs."""
    about = columns[STUDY_COLUMN][0]
    if not isinstance(about, dict) or about.get("schema") != SCHEMA:
        raise InputError(
            f"{where}, column {STUDY_COLUMN!r} does not describe a study in its first row: keep "
            "the first row first, or leave out the columns that begin with hps_ and name a "
            "--metric."
        )
    if (wrong := _wrong(about)) is not None:
        raise InputError(f"{where}, column {STUDY_COLUMN!r} describes no study: {wrong}.")
    return about


def _wrong(about: dict[str, Any]) -> str | None:
    """Why that cannot be what `export` wrote of a study; None if it can."""
    aims, names, attrs = (about.get(key) for key in ("directions", "metric_names", "user_attrs"))
    if not isinstance(aims, list) or not aims or not set(map(str, aims)) <= AIMS:
        return "its directions are not minimize and maximize"
    if names is not None and not (
        isinstance(names, list)
        and len(names) == len(aims)
        and all(isinstance(one, str) for one in names)
    ):
        return "its metric_names are not as many names as there are directions"
    if not isinstance(attrs, dict):
        return "its user_attrs are no object"
    for key, value in attrs.items():
        try:
            parse_attr(key, json.dumps(value))
        except UnreadableError as error:
            return f"of its attribute {key[:60]!r} {error}"
    return None


def read_study(columns: Columns, where: str) -> tuple[dict[str, Any], list[FrozenTrial]]:
    """(what belongs to the study, its trials). Raises InputError for a table that was changed so
    that it does not fit together any more."""
    about = study_of(columns, where)
    names = value_columns(about["metric_names"], len(about["directions"]))
    missing = [n for n in ("state", REPORTS_COLUMN, *names) if n not in columns]
    if missing:
        raise InputError(f"{where} has no column {missing[0]!r}, which hpsearch export writes.")
    known: dict[str, BaseDistribution] = {}
    trials = []
    for row in range(len(columns[STUDY_COLUMN])):
        try:
            trials.append(_trial(columns, row, names, known))
        except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
            reason = " ".join(str(error).split())[:200].rstrip(".")
            raise InputError(f"{where}, row {row + 1} is no trial: {reason}.") from error
    return about, trials


def _trial(
    columns: Columns, row: int, value_names: list[str], known: dict[str, BaseDistribution]
) -> FrozenTrial:
    """The trial in a row; `known` holds the range of each parameter in the rows before it."""
    changed = columns[DISTRIBUTIONS_COLUMN][row]
    if changed is not NOTHING:
        known.update((n, json_to_distribution(json.dumps(one))) for n, one in changed.items())
    params = {name: _param(known[name], cell) for name, cell in _held(columns, row, "params_")}
    values = [columns[name][row] for name in value_names]
    reports = columns[REPORTS_COLUMN][row]
    trial = create_trial(
        state=TrialState[str(columns["state"][row])],
        values=None if any(value is NOTHING for value in values) else list(map(float, values)),
        params=params,
        distributions={name: known[name] for name in params},
        user_attrs=dict(_held(columns, row, "user_attrs_")),
        system_attrs=dict(_held(columns, row, "system_attrs_")),
        intermediate_values={} if reports is NOTHING else {int(s): v for s, v in reports.items()},
    )
    trial.datetime_start = _moment(columns["datetime_start"][row])
    trial.datetime_complete = _moment(columns["datetime_complete"][row])
    return trial


def _held(columns: Columns, row: int, prefix: str) -> list[tuple[str, Any]]:
    return [
        (name.removeprefix(prefix), cells[row])
        for name, cells in columns.items()
        if name.startswith(prefix) and cells[row] is not NOTHING
    ]


def _param(distribution: BaseDistribution, cell: Any) -> Any:  # noqa: ANN401
    if isinstance(distribution, CategoricalDistribution):
        return cell
    return int(cell) if isinstance(distribution, IntDistribution) else float(cell)


def _moment(cell: Any) -> datetime | None:  # noqa: ANN401
    if cell is NOTHING:
        return None
    return cell if isinstance(cell, datetime) else datetime.fromisoformat(str(cell))
