"""The store: Optuna's storage and our records in one SQL database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import optuna
import sqlalchemy as sa
from sqlalchemy.engine import URL

from hpsearch.errors import InputError
from hpsearch.store import reading, reports, schema
from hpsearch.store.locks import exclusive
from hpsearch.store.moving import Moved, read_study, write_study
from hpsearch.store.opening import open_storage, translated
from hpsearch.store.patience import PATIENCE_S, patiently
from hpsearch.store.reading import Row, StudySummary
from hpsearch.store.url import full_url, parse_url, redact, shown_url
from hpsearch.training.contract import EpochRecord

T = TypeVar("T")


class Store:
    """An open store. `optuna` is an optuna.storages.RDBStorage: every Optuna tool takes it.

    What is written here waits for up to three minutes for a database that is locked, restarting or
    out of reach; `on_wait` is told about it.
    """

    def __init__(self, url: URL, storage: optuna.storages.RDBStorage) -> None:
        self.url = url
        self.optuna = storage
        self.engine: sa.Engine = storage.engine
        self.patience_s = PATIENCE_S
        self.on_wait: Callable[[BaseException], None] | None = None

    @classmethod
    def open(cls, url: str | None = None, *, create: bool = True) -> Store:
        """Open the store at `url` (default: HPSEARCH_STORAGE, else sqlite:///hpsearch.db).

        With `create=False` it must exist. Raises InputError in one sentence without the password.
        """
        parsed = parse_url(url)
        return cls(parsed, open_storage(parsed, create=create))

    @property
    def shown_url(self) -> str:
        """The URL without its password."""
        return shown_url(self.url)

    @property
    def secret_url(self) -> str:
        """The URL with its password: for another process's standard input, nothing else."""
        return full_url(self.url)

    def redact(self, text: str) -> str:
        return redact(text, self.url)

    def close(self) -> None:
        self.optuna.remove_session()
        self.engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def patiently(self, action: Callable[[], T]) -> T:
        """Do `action`, one that may be done twice, waiting while the database is out of reach."""
        return patiently(action, seconds=self.patience_s, on_wait=self.on_wait)

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        """Keep every other process out of what is also done under the lock `name`."""
        return exclusive(self.url, name)

    # Runs

    def start_run(self, study_id: int, **facts: object) -> int:
        """Note that a call of `run` begins; the columns of hps_run as keywords. Its id."""
        # The server's clock says when a run was last seen: those of two machines may differ.
        seen = sa.func.current_timestamp()
        row = {"study_id": study_id, "started_at": schema.utc_now(), "seen_at": seen, **facts}
        with self.engine.begin() as connection:
            result = connection.execute(sa.insert(schema.run).values(**row))
            key = result.inserted_primary_key
            assert key is not None
            return int(key[0])

    def touch_run(self, run_id: int) -> None:
        """Note that the run is alive."""
        values = {"seen_at": sa.func.current_timestamp()}
        self._update(schema.run, schema.run.c.run_id == run_id, values)

    def end_run(self, run_id: int, outcome: str) -> None:
        values = {"ended_at": schema.utc_now(), "outcome": outcome}
        self._update(schema.run, schema.run.c.run_id == run_id, values)

    # Trials

    def record_context(self, trial_id: int, **context: object) -> None:
        """Put columns of hps_trial (data_source, preset, device, versions ...) into its row.

        A trial that did not come from a plan of ours gets a row if `study_id`, `cohort` and `seed`
        are given.
        """
        columns = schema.trial.c

        def write() -> None:
            with self.engine.begin() as connection:
                update = sa.update(schema.trial).where(columns.trial_id == trial_id)
                if connection.execute(update.values(**context)).rowcount == 0:
                    row = {"trial_id": trial_id, "created_at": schema.utc_now(), **context}
                    connection.execute(sa.insert(schema.trial).values(**row))

        self.patiently(write)

    def record_epoch(
        self, trial_id: int, record: EpochRecord, reported: float | None = None
    ) -> None:
        """Write one epoch's row; an epoch repeated after a resume replaces its earlier row.

        `reported` is what Optuna is to know of it, for its pruners and plots.
        """
        self.patiently(lambda: reports.write_epoch(self.engine, trial_id, record, reported))

    def record_event(
        self,
        kind: str,
        message: str,
        *,
        traceback: str | None = None,
        study_id: int | None = None,
        trial_id: int | None = None,
        run_id: int | None = None,
        worker: str | None = None,
    ) -> None:
        """Write down something that happened; a password in the texts is blotted out."""
        row = {
            "kind": kind,
            "message": self.redact(message),
            "traceback": None if traceback is None else self.redact(traceback),
            "study_id": study_id,
            "trial_id": trial_id,
            "run_id": run_id,
            "worker": worker,
            "time": schema.utc_now(),
        }
        self._insert(schema.event, [row])

    # Findings

    def save_rules(self, study: int | str, rules: Iterable[Mapping[str, Any]]) -> None:
        """Keep one explanation's rules; `rules` gives the newest explanation's back.

        Each has param, kind, statement and may have value, low, high, level, share, provenance and
        payload.
        """
        shared = {"study_id": self.study_id(study), "explained_at": schema.utc_now()}
        optional = ("value", "low", "high", "level", "share", "provenance", "payload")
        empty = dict.fromkeys(optional)
        self._insert(schema.rule, [{**empty, **one, **shared} for one in rules])

    def save_verification(self, study: int | str, **columns: object) -> None:
        """Keep one verification: columns of hps_verification as keywords."""
        shared = {"study_id": self.study_id(study), "verified_at": schema.utc_now()}
        self._insert(schema.verification, [{**columns, **shared}])

    def record_artifact(self, *, kind: str, path: str, sha256: str, size: int, **ids: int) -> None:
        """Note a file that was made: `size` in bytes, `ids` its study_id and trial_id."""
        row = {"kind": kind, "path": path, "sha256": sha256, "bytes": size, **ids}
        self._insert(schema.artifact, [{**row, "created_at": schema.utc_now()}])

    # Moving

    def export_study(self, study: int | str, path: Path) -> Moved:
        """Write a study with all its rows to a file, for `import_study` of another store."""
        return write_study(self.engine, self.study_id(study), path)

    def import_study(self, path: Path, name: str | None = None) -> Moved:
        """Take in a study that `export_study` wrote, under `name` if given. Raises InputError."""
        with translated(self.url):
            return self.patiently(lambda: read_study(self.engine, path, name))

    # Reading

    def study_id(self, study: int | str) -> int:
        """The id of a study given by id or name; InputError if the store has none of that name."""
        if isinstance(study, int):
            return study
        found = reading.study_id(self.engine, study)
        if found is None:
            raise InputError(
                f"The store {self.shown_url} has no study {study!r}: "
                "`hpsearch studies` lists those it has."
            )
        return found

    def studies(self) -> list[StudySummary]:
        """Every study in the store with its counts of trials and its best value."""
        return reading.studies(self.engine)

    def trials(self, study: int | str) -> list[Row]:
        """The rows of hps_trial, with the trial's number, in its order."""
        return reading.trials(self.engine, self.study_id(study))

    def epochs(self, study: int | str) -> list[Row]:
        """The rows of hps_epoch with the trial's number, in the order of trials and epochs."""
        return reading.epochs(self.engine, self.study_id(study))

    def events(self, study: int | str | None = None) -> list[Row]:
        where = None if study is None else schema.event.c.study_id == self.study_id(study)
        return reading.rows(self.engine, schema.event, schema.event.c.event_id, where)

    def rules(self, study: int | str) -> list[Row]:
        """The rules of the study's newest explanation, in their order."""
        return reading.newest_rules(self.engine, self.study_id(study))

    def verifications(self, study: int | str) -> list[Row]:
        table = schema.verification
        where = table.c.study_id == self.study_id(study)
        return reading.rows(self.engine, table, table.c.verification_id, where)

    def artifacts(self, study: int | str) -> list[Row]:
        table = schema.artifact
        where = table.c.study_id == self.study_id(study)
        return reading.rows(self.engine, table, table.c.artifact_id, where)

    def table_counts(self) -> dict[str, int]:
        """How many rows every table has, Optuna's and ours, by name."""
        return reading.table_counts(self.engine)

    def _insert(self, table: sa.Table, rows: list[dict[str, Any]]) -> None:
        def write() -> None:
            with self.engine.begin() as connection:
                connection.execute(sa.insert(table), rows)

        if rows:
            self.patiently(write)

    def _update(
        self, table: sa.Table, where: sa.ColumnElement[bool], values: dict[str, Any]
    ) -> None:
        def write() -> None:
            with self.engine.begin() as connection:
                connection.execute(sa.update(table).where(where).values(**values))

        self.patiently(write)
