"""The store: Optuna's storage and our records in one SQL database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import optuna
import sqlalchemy as sa
from sqlalchemy.engine import URL

from hpsearch.core.database_urls import full_url, parse_url, redact, shown_url
from hpsearch.errors import InputError
from hpsearch.store import ownership, summaries
from hpsearch.store.archive import Moved, read_study, write_study
from hpsearch.store.queue import runs
from hpsearch.store.queue.fence import Claim, StudyRef, lock_study
from hpsearch.store.server import clock
from hpsearch.store.server.connections import begin
from hpsearch.store.server.locks import exclusive
from hpsearch.store.server.open import open_storage, translated
from hpsearch.store.server.retry import RETRY_S, retry_for
from hpsearch.store.summaries import Row, StudySummary
from hpsearch.store.tables import schema
from hpsearch.store.trials.write.rows import insert_where
from hpsearch.store.trials.write.running import write_epoch
from hpsearch.trainers.contract import EpochRecord

P = ParamSpec("P")
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
        self.retry_s = RETRY_S
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

    def retry(self, action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`action(*args, **kwargs)`, one that may be done twice, tried again for up to `retry_s`
        seconds while the database is out of reach."""
        return retry_for(self.retry_s, self.on_wait, action, *args, **kwargs)

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        """Keep every other process out of what is also done under the lock `name`."""
        return exclusive(self.url, name)

    # Runs

    def start_run(self, study: StudyRef, **facts: object) -> int:
        """Note that a call of `run` begins; the columns of hps_run as keywords. Its id.

        Raises StudyGoneError.
        """
        # The server's clock says when a run was last seen: those of two machines may differ.
        times = {"started_at": schema.utc_now(), "seen_at": clock.server_now()}
        row = {"study_id": study.study_id, **times, **facts}
        with begin(self.engine) as connection:
            lock_study(connection, study)
            result = connection.execute(sa.insert(schema.run).values(**row))
            key = result.inserted_primary_key
            assert key is not None
            return int(key[0])

    def touch_run(self, study: StudyRef, run_id: int) -> None:
        """Note that the run is alive."""
        values = {"seen_at": clock.server_now()}
        self._update(schema.run, runs.own(study, run_id), values)

    def end_run(self, study: StudyRef, run_id: int, outcome: str) -> None:
        values = {"ended_at": schema.utc_now(), "outcome": outcome}
        self._update(schema.run, runs.own(study, run_id), values)

    # Trials

    def record_epoch(
        self, claim: Claim, record: EpochRecord, reported: float | None = None
    ) -> None:
        """Write one epoch's row; an epoch repeated after a resume replaces its earlier row.

        `reported` is what Optuna is to know of it, for its pruners and plots. Raises StudyGoneError
        and TakenError where the trial is not the worker's any more.
        """
        self.retry(write_epoch, self.engine, claim, record, reported)

    def record_event(
        self,
        kind: str,
        message: str,
        *,
        traceback: str | None = None,
        study: StudyRef | None = None,
        trial_id: int | None = None,
        run_id: int | None = None,
        worker: str | None = None,
    ) -> None:
        """Write down something that happened; a password in the texts is blotted out.

        Of a study that was deleted meanwhile nothing is written.
        """
        row = {
            "kind": kind,
            "message": self.redact(message),
            "traceback": None if traceback is None else self.redact(traceback),
            "study_id": None if study is None else study.study_id,
            "trial_id": trial_id,
            "run_id": run_id,
            "worker": worker,
            "time": schema.utc_now(),
        }
        self._insert(schema.event, [row], study)

    # Findings

    def save_rules(self, study: StudyRef, rules: Iterable[Mapping[str, Any]]) -> None:
        """Keep one explanation's rules; `rules` gives the newest explanation's back.

        Each has param, kind, statement and may have value, low, high, level, share, provenance and
        payload. Raises StudyGoneError.
        """
        shared = {"study_id": study.study_id, "explained_at": schema.utc_now()}
        optional = ("value", "low", "high", "level", "share", "provenance", "payload")
        empty = dict.fromkeys(optional)
        rows = [{**empty, **one, **shared} for one in rules]

        def write() -> None:
            with begin(self.engine) as connection:
                lock_study(connection, study)
                of = {ownership.OF: ownership.mark(connection, study)}
                marked = [
                    {**row, "provenance": {**(row["provenance"] or {}), **of}} for row in rows
                ]
                connection.execute(sa.insert(schema.rule), marked)

        if rows:
            self.retry(write)

    def save_verification(self, study: int | str, **columns: object) -> None:
        """Keep one verification: columns of hps_verification as keywords."""
        shared = {"study_id": self.study_id(study), "verified_at": schema.utc_now()}
        self._insert(schema.verification, [{**columns, **shared}])

    def record_artifact(
        self, study: StudyRef, trial_id: int, *, kind: str, path: str, sha256: str, size: int
    ) -> None:
        """Note a file that a trial made, of `size` bytes; nothing if its study was deleted."""
        row = {"kind": kind, "path": path, "sha256": sha256, "bytes": size, "trial_id": trial_id}
        times = {"study_id": study.study_id, "created_at": schema.utc_now()}
        self._insert(schema.artifact, [{**row, **times}], study)

    # Moving

    def export_study(self, study: int | str, path: Path) -> Moved:
        """Write a study with all its rows to a file, for `import_study` of another store."""
        return write_study(self.engine, self.study_id(study), path)

    def import_study(
        self, path: Path, name: str | None = None, *, allow_large: bool = False
    ) -> Moved:
        """Take in a study that `export_study` wrote, under `name` if given. Raises InputError."""
        with translated(self.url):
            return self.retry(read_study, self.engine, path, name, allow_large=allow_large)

    # Reading

    def study_id(self, study: int | str) -> int:
        """The id of a study given by id or name; InputError if the store has none of that name."""
        if isinstance(study, int):
            return study
        found = summaries.study_id(self.engine, study)
        if found is None:
            raise InputError(
                f"The store {self.shown_url} has no study {study!r}: "
                "`hpsearch studies` lists those it has."
            )
        return found

    def studies(self) -> list[StudySummary]:
        """Every study in the store with its counts of trials and its best value."""
        return summaries.studies(self.engine)

    def study(self, name: str) -> StudySummary | None:
        """The study of this name with its counts of trials and its best value, if there is one."""
        return summaries.study(self.engine, name)

    def trials(self, study: int | str) -> list[Row]:
        """The rows of hps_trial, with the trial's number, in its order."""
        return summaries.trials(self.engine, self.study_id(study))

    def epochs(self, study: int | str) -> list[Row]:
        """The rows of hps_epoch with the trial's number, in the order of trials and epochs."""
        return summaries.epochs(self.engine, self.study_id(study))

    def events(self, study: int | str | None = None) -> list[Row]:
        where = None if study is None else schema.event.c.study_id == self.study_id(study)
        return summaries.rows(self.engine, schema.event, schema.event.c.event_id, where)

    def rules(self, study: int | str) -> list[Row]:
        """The rules of the study's newest explanation, in their order."""
        return summaries.newest_rules(self.engine, self.study_id(study))

    def verifications(self, study: int | str) -> list[Row]:
        return ownership.own_rows(self.engine, schema.verification, self.study_id(study))

    def artifacts(self, study: int | str) -> list[Row]:
        table = schema.artifact
        where = table.c.study_id == self.study_id(study)
        return summaries.rows(self.engine, table, table.c.artifact_id, where)

    def table_counts(self) -> dict[str, int]:
        """How many rows every table has, Optuna's and ours, by name."""
        return summaries.table_counts(self.engine)

    def _insert(
        self, table: sa.Table, rows: list[dict[str, Any]], study: StudyRef | None = None
    ) -> None:
        """Insert the rows, those of a `study` only while it is there."""

        def write() -> None:
            with self.engine.begin() as connection:
                if study is None:
                    connection.execute(sa.insert(table), rows)
                    return
                for row in rows:
                    connection.execute(insert_where(table, row, study.exists))

        if rows:
            self.retry(write)

    def _update(
        self, table: sa.Table, where: sa.ColumnElement[bool], values: dict[str, Any]
    ) -> None:
        def write() -> None:
            with self.engine.begin() as connection:
                connection.execute(sa.update(table).where(where).values(**values))

        self.retry(write)
