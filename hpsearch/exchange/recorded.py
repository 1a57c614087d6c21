"""Recorded studies: found beside their study.toml, read, and brought back into a store.

A folder is what `exchange.recording` writes. Those of a study lie in `results/` beside its
study.toml, one a preset and data set.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.trial import FrozenTrial, TrialState

from hpsearch.core.words import short_reason
from hpsearch.errors import InputError
from hpsearch.exchange import own_tables
from hpsearch.exchange.cells import NOTHING, Columns, values
from hpsearch.exchange.import_trials import make_filled
from hpsearch.exchange.recording import (
    ABOUT,
    EPOCHS,
    FORMAT,
    OF_EPOCH,
    OF_RUN,
    OF_TRIAL,
    OF_VERIFICATION,
    RAN,
    TRIALS,
    digest,
)
from hpsearch.store import Store
from hpsearch.store.check_rows import BadRowError, Checker
from hpsearch.store.ownership import OF
from hpsearch.store.server.connections import begin
from hpsearch.store.tables import attributes, schema
from hpsearch.store.tables.optuna_private import study_id
from hpsearch.store.tables.optuna_tables import quiet_optuna
from hpsearch.store.trials import read
from hpsearch.store.trials.write.rows import insert, insert_for_ids

MOST_BYTES = 1 << 24
"""Of a study.json: a larger one is none."""
MOMENTS = ("created_at", "recorded_at", "started_at", "seen_at", "ended_at", "verified_at")


@dataclass(frozen=True)
class Recording:
    """A recorded study. `about` is what its study.json says; its tables are read when asked for."""

    folder: Path
    about: Mapping[str, Any]

    @property
    def study(self) -> str:
        return str(self.about["study"])

    @property
    def declared(self) -> str:
        """The name in its study.toml."""
        return str(self.attrs[attributes.STUDY])

    @property
    def attrs(self) -> Mapping[str, Any]:
        """The study's attributes."""
        found: Mapping[str, Any] = self.about["attributes"]
        return found

    @property
    def count(self) -> int:
        """How many trials ended; others may wait for the next sitting."""
        counts = self.about["counts"]
        return sum(counts.get(state, 0) for state in ("complete", "pruned", "fail"))

    @cached_property
    def columns(self) -> Columns:
        return self._table(TRIALS)

    def trials(self) -> list[FrozenTrial]:
        """Its trials, those that were running when it was recorded among the waiting ones."""
        _, trials = own_tables.read_study(self.columns, str(self.folder / TRIALS))
        for number, trial in enumerate(trials):
            trial.number = number
            if trial.state == TrialState.RUNNING:
                trial.state = TrialState.WAITING
        return trials

    @property
    def metric_names(self) -> list[str] | None:
        names = own_tables.study_of(self.columns, str(self.folder / TRIALS))["metric_names"]
        return None if names is None else [*names]

    def load(self) -> optuna.Study:
        """The study in memory, with its own numbers of trials."""
        return in_memory(self.study, self, self.trials())

    def _table(self, name: str) -> Columns:
        """Raises InputError for a file that is not the one that was recorded."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
        if digest(content) != self.about["files"][name]["sha256"]:
            raise InputError(f"{path} is not what was recorded: its SHA-256 is another.")
        try:
            table = pq.read_table(io.BytesIO(content))
        except pa.ArrowException as error:
            raise InputError(f"{path} is no Parquet file: {short_reason(error)}.") from error
        return {one: values(table[one]) for one in table.column_names}


def read_recording(folder: Path) -> Recording:
    """The recorded study in a folder. Raises InputError if there is none that can be read."""
    path = folder / ABOUT
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError("it is too large")
        about = json.loads(path.read_text(encoding="utf-8"))
        if about["schema"] != FORMAT:
            raise ValueError(f"its schema is {str(about['schema'])[:40]!r}")
        for key, kind in attributes.REQUIRED.items():
            if not isinstance(about["attributes"][key], kind):
                raise TypeError(f"its {key} is of another kind")
        kinds = {"study": str, "counts": dict, "files": dict, "runs": list, "verifications": list}
        for key, kind in kinds.items():
            if not isinstance(about[key], kind):
                raise TypeError(f"its {key} is of another kind")
        if not all(isinstance(about["files"][one]["sha256"], str) for one in (TRIALS, EPOCHS)):
            raise TypeError("its files have no checksum")
    except OSError as error:
        raise InputError(
            f"{folder} holds no recorded study: {ABOUT} cannot be read ({error.strerror or error})."
        ) from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise InputError(f"{path} describes no recorded study: {_why(error)}.") from error
    return Recording(folder, about)


def _why(error: Exception) -> str:
    """What was wrong, in one line; a KeyError itself says only what was looked for."""
    if isinstance(error, KeyError):
        return f"it lacks {error}"
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__


def recordings(results: Path) -> Iterator[Recording]:
    """Those in the folders of `results`, by name. Raises InputError for one that is damaged."""
    if results.is_dir():
        for path in sorted(results.glob(f"*/{ABOUT}")):
            yield read_recording(path.parent)


def in_memory(name: str, recording: Recording, trials: Sequence[FrozenTrial]) -> optuna.Study:
    """A study in memory of these trials, with the attributes of the recorded one."""
    with quiet_optuna():
        study = optuna.create_study(study_name=name, directions=recording.about["directions"])
    for key, value in recording.attrs.items():
        study.set_user_attr(key, value)
    if (names := recording.metric_names) is not None:
        study._storage.set_study_system_attr(study_id(study), "study:metric_names", names)
    study.add_trials(trials)
    return study


def import_recording(store: Store, folder: Path, name: str | None) -> tuple[str, int]:
    """Bring a recorded study back, with its runs, epochs and verifications: (its name, trials).

    A run may go on with it. Raises InputError for a folder that holds none, one whose rows are not
    such as a recording has, and a name that is taken.
    """
    recording = read_recording(folder)
    name, trials = name or recording.study, recording.trials()
    if any(summary.name == name for summary in store.studies()):
        raise InputError(
            f"The store {store.shown_url} has a study {name!r} already: give another --study."
        )
    epochs, about = recording._table(EPOCHS), recording.about
    try:
        rows = _trial_rows(recording, trials), _epoch_rows(epochs), *_listed(about)
        _check(trials, *rows)
    except (BadRowError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(
            f"{folder} is damaged or forged, so nothing of it was taken in: {_why(error)}."
        ) from error
    study = make_filled(
        store, name, about["directions"], recording.metric_names, recording.attrs, trials
    )
    try:
        with begin(store.engine) as connection:
            _fill(connection, study, *rows)
    except BaseException:
        optuna.delete_study(study_name=name, storage=store.optuna)
        raise
    return name, len(trials)


Rows = list[dict[str, Any]]


def _trial_rows(recording: Recording, trials: Sequence[FrozenTrial]) -> Rows:
    """Rows of hps_trial: trial_id holds the trial's number."""
    found = []
    for number, trial in enumerate(trials):
        cells = {name: _cell(recording.columns, RAN + name, number) for name in OF_TRIAL}
        attrs = trial.user_attrs
        if cells["created_at"] is None or attributes.COHORT not in attrs:
            continue  # a trial that hpsearch did not plan
        found.append(
            {
                **cells,
                "trial_id": number,
                "cohort": attrs[attributes.COHORT],
                "seed": attrs[attributes.SEED],
                "replicate_of": attrs.get(attributes.REPLICATE_OF),
                "metrics": attrs.get(attributes.METRICS),
                "preset": recording.attrs[attributes.PRESET],
            }
        )
    return found


def _epoch_rows(columns: Columns) -> Rows:
    return [
        {"trial_id": number, **{name: _cell(columns, name, row) for name in OF_EPOCH}}
        for row, number in enumerate(columns["number"])
    ]


def _listed(about: Mapping[str, Any]) -> tuple[Rows, Rows]:
    """(rows of hps_run, rows of hps_verification)"""
    lists = (about["runs"], OF_RUN), (about["verifications"], OF_VERIFICATION)
    runs, verifications = (
        [{name: _moment(name, one[name]) for name in names} for one in rows]
        for rows, names in lists
    )
    for run in runs:
        run |= {"host": "", "pid": 0}
        if run["ended_at"] is None or not run["outcome"]:
            run |= {"ended_at": schema.utc_now(), "outcome": "moved"}
    return runs, verifications


def _cell(columns: Columns, name: str, row: int) -> Any:  # noqa: ANN401
    cell = columns[name][row]
    return None if cell is NOTHING else _moment(name, cell)


def _moment(name: str, value: Any) -> Any:  # noqa: ANN401
    is_text = name.removeprefix(RAN) in MOMENTS and isinstance(value, str)
    return datetime.fromisoformat(value) if is_text else value


def _check(
    trials: Sequence[FrozenTrial], rows: Rows, epochs: Rows, runs: Rows, verifications: Rows
) -> None:
    """Raises BadRowError for a row that no recording has."""
    checker = Checker(numbers=set(range(len(trials))))
    known = {run["run_id"] for run in runs}
    for row in rows:
        checker.check(schema.trial, {**row, "study_id": 0})
        if row["run_id"] is not None and row["run_id"] not in known:
            raise BadRowError(f"there is no run {row['run_id']}")
    for row in epochs:
        if row["trial_id"] not in checker.numbers:
            raise BadRowError(f"there is no trial {row['trial_id']}")
        checker.check(schema.epoch, {**row, "epoch_id": 0})
    for row in runs:
        checker.check(schema.run, {**row, "study_id": 0})
    for number, row in enumerate(verifications):
        checker.check(schema.verification, {**row, "study_id": 0, "verification_id": number})


def _fill(
    connection: sa.Connection,
    study: optuna.Study,
    rows: Rows,
    epochs: Rows,
    runs: Rows,
    verifications: Rows,
) -> None:
    own = study_id(study)
    ids = list(read.states.ids_from(connection, own, 0))
    plain = [{k: v for k, v in run.items() if k != "run_id"} | {"study_id": own} for run in runs]
    new = insert_for_ids(connection, schema.run, plain) if plain else []
    of_run = {run["run_id"]: one for run, one in zip(runs, new, strict=True)}
    insert(
        connection,
        schema.trial,
        [
            row | {
                "trial_id": ids[row["trial_id"]], "study_id": own,
                "run_id": of_run.get(row["run_id"]), "attempts": row["attempts"] or 0,
                "deaths": row["deaths"] or 0,
            }
            for row in rows
        ],
    )  # fmt: skip
    insert(connection, schema.epoch, [row | {"trial_id": ids[row["trial_id"]]} for row in epochs])
    mark = {OF: {"uid": study.user_attrs[attributes.UID]}}
    insert(
        connection,
        schema.verification,
        [
            row | {"study_id": own, "payload": {**(row["payload"] or {}), **mark}}
            for row in verifications
        ],
    )
