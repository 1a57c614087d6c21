"""Where studies are explained from: our store, anybody's database, or a journal of Optuna.

A study is found by what a person calls it. Somebody else's studies are read where they lie: nothing
there is written, made or migrated.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
import sqlalchemy as sa
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import URL

from hpsearch.core.database_urls import (
    DEFAULT_URL,
    EXAMPLES,
    full_url,
    parse_url,
    shown_url,
    sqlite_path,
)
from hpsearch.core.read_only import connect_args, is_writable, reading_url
from hpsearch.core.words import nearest
from hpsearch.errors import InputError
from hpsearch.store import Store, StudySummary, summaries
from hpsearch.store.server.open import (
    CONNECT_S,
    check_path,
    no_store,
    other_optuna,
    small_engine,
    translated,
)
from hpsearch.store.tables import attributes, migrate

SQLITE_MAGIC = b"SQLite format 3\0"


def is_ours(url: URL) -> bool:
    """Whether hpsearch has made its tables there. Raises InputError where no store can be read."""
    with translated(url):
        if sqlite_path(url) is not None:
            check_path(url, create=False)
        engine = small_engine(reading_url(url))
        try:
            with engine.connect() as connection:
                inspector = sa.inspect(connection)
                tables = set(inspector.get_table_names())
        finally:
            engine.dispose()
    if "studies" not in tables:
        raise InputError(no_store(url))
    if not {"alembic_version", "version_info"} <= tables:  # older than any that Optuna can read
        raise InputError(other_optuna(url))
    return migrate.VERSION_TABLE in tables


def open_foreign(url: URL, *, writable: bool = False) -> optuna.storages.RDBStorage:
    """Optuna's storage on a database that it cannot change, unless it is to be `writable`.

    Raises InputError in one sentence, without the password, if that cannot be done.
    """
    connect = {} if writable else connect_args(url)
    if sqlite_path(url) is None:
        connect = {**connect, "connect_timeout": CONNECT_S}
    reading = url if writable else reading_url(url)
    with translated(url), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.storages.RDBStorage(
            full_url(reading).replace("{", "{{").replace("}", "}}"),
            engine_kwargs={"connect_args": connect},
            skip_table_creation=True,
        )


def open_file(path: Path) -> URL | optuna.storages.JournalStorage:
    """What a file holds: the URL of an SQLite database, or Optuna's journal, opened.

    Raises InputError for any other file.
    """
    try:
        with path.open("rb") as file:
            start = file.readline(1 << 20)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    if start.startswith(SQLITE_MAGIC):
        return URL.create("sqlite", database=str(path))
    if not _is_log(start):
        raise InputError(
            f"{path} is neither an SQLite database nor a journal of Optuna: name another file, "
            "or give a database URL."
        )
    backend = JournalFileBackend(str(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.storages.JournalStorage(backend)
    except Exception as error:  # whatever Optuna makes of a line, assertions included
        if (number := _torn_line(path)) is not None:
            raise InputError(
                f"The journal {path} is damaged: line {number:,} is no entry, as a full disk or a "
                f"killed writer leaves it. Take that line out of a copy and name the copy: "
                f"sed {number}d {path} > mended.log"
            ) from error
        why = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise InputError(f"The journal {path} is damaged: {why}.") from error


def _torn_line(path: Path) -> int | None:
    """The number, from 1, of the first line that is no entry; None where all are."""
    with path.open("rb") as file:
        return next((number for number, line in enumerate(file, 1) if not _is_log(line)), None)


def _is_log(line: bytes) -> bool:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(entry, dict) and "op_code" in entry


def find(store: Store, names: Sequence[str]) -> list[StudySummary]:
    """The studies called `names`, all of them if there are no names.

    A name is a study's own (`imdb-clas-quick`), that of its study.toml (`imdb-clas`), which may
    stand for several: one a preset, or that of its function (`shop:profit`). Raises InputError if a
    name fits none, or the store is empty.
    """
    return find_among(store.studies(), names, store.shown_url)


def find_among(
    studies: Sequence[StudySummary], names: Sequence[str], where: str
) -> list[StudySummary]:
    """As `find`, among the studies of the store that people know as `where`."""
    if not studies:
        raise InputError(
            f"The store {where} holds no study yet: run `hpsearch run imdb-clas` first."
        )
    if not names:  # pairs of a verification explain nothing that their plan did not choose
        return [s for s in studies if attributes.VERIFIES not in s.attrs]
    found: list[StudySummary] = []
    for name in names:
        fits = [s for s in studies if s.name == name] or [s for s in studies if _is_of(s, name)]
        if not fits:
            have = [s.name for s in studies]
            hint = nearest(name, have, cutoff=0.4)
            raise InputError(
                f"The store {where} has no study {name!r}{hint}: it has {', '.join(have)}."
            )
        found += [s for s in fits if s not in found]
    return found


def _is_of(study: StudySummary, name: str) -> bool:
    """Whether the study has this name in its study.toml, or is of this function alone."""
    function = name.rpartition("/")[2].replace(".py:", ":")
    file = str(study.attrs.get(attributes.FILE) or "")
    is_function = ":" in function and file.rpartition("/")[2] == function
    return is_function or study.attrs.get(attributes.STUDY) == name


def find_one(store: Store, name: str) -> StudySummary:
    """The only study that `name` fits. Raises InputError if it fits several."""
    return one_of(name, find(store, [name]))


def one_of(name: str, found: Sequence[StudySummary]) -> StudySummary:
    """The only one of the studies that `name` fits. Raises InputError if there are several."""
    if len(found) > 1:
        raise InputError(
            f"{name!r} fits several studies: name one of {', '.join(s.name for s in found)}."
        )
    return found[0]


@dataclass(frozen=True)
class Source:
    """Studies that can be explained. `store` is None if our tables may not be written there;
    `reason` then says why in a sentence. `writable` says whether Optuna's tables may be written."""

    shown: str
    storage: optuna.storages.BaseStorage
    summaries: Sequence[StudySummary]
    store: Store | None = None
    reason: str = ""
    writable: bool = True

    def find(self, names: Sequence[str]) -> list[StudySummary]:
        """The studies called `names`, all if there are none (see library.find)."""
        return find_among(self.summaries, names, self.shown)

    def find_one(self, name: str) -> StudySummary:
        """The only study that `name` fits. Raises InputError if it fits several."""
        return one_of(name, self.find([name]))

    def load(self, summary: StudySummary) -> optuna.Study:
        """Raises UnreadableError for one of which something cannot be read."""
        summary.check()
        return optuna.load_study(study_name=summary.name, storage=self.storage)

    def close(self) -> None:
        if self.store is not None:
            self.store.close()
        elif isinstance(self.storage, optuna.storages.RDBStorage):
            self.storage.remove_session()
            self.storage.engine.dispose()

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_source(
    storage: str | None, *, keep: bool = False, push: bool = False, read_only: bool = False
) -> Source:
    """The studies at `storage`: a URL, a file, or the store that HPSEARCH_STORAGE names.

    By default only a store of ours is opened for writing. `keep` also opens another database for
    writing, with our tables in it. `push` opens it to write plots into Optuna's tables. `read_only`
    opens no database with our tables for writing. Raises InputError where nothing can be read.
    """
    text = storage or os.environ.get("HPSEARCH_STORAGE") or DEFAULT_URL
    found: URL | optuna.storages.JournalStorage
    found = open_file(Path(text)) if _is_file(text) else parse_url(_no_missing_file(text))
    if not isinstance(found, URL):
        return Source(
            text, found, _summaries(found), None,
            f"Rules are not kept: {text} is a journal, which has no place for them.",
        )  # fmt: skip
    ours, shown = is_ours(found), shown_url(found)
    if (ours or keep) and is_writable(found) and not read_only:
        store = Store.open(full_url(found), create=False)
        return Source(shown, store.optuna, store.studies(), store)
    writable = push and is_writable(found)
    rdb = open_foreign(found, writable=writable)
    with translated(found):
        studies = summaries.studies(rdb.engine)
    reason = f"Rules are not kept: {shown} can only be read."
    if is_writable(found) and not ours:
        reason = f"Rules are not kept in {shown}, which hpsearch did not make (--keep keeps them)."
    return Source(shown, rdb, studies, None, reason, writable)


def source_of(
    shown: str, storage: optuna.storages.BaseStorage, reason: str, *, writable: bool = False
) -> Source:
    """The studies of a storage that is open, whatever its kind."""
    return Source(shown, storage, _summaries(storage), None, reason, writable)


def open_ours(storage: str | None) -> Store:
    """The store at `storage`, which must be one of ours: only there may tables of ours be changed.

    Raises InputError for any other.
    """
    url = parse_url(storage)
    if not is_ours(url):
        raise InputError(
            f"{shown_url(url)} was not made by hpsearch, which changes nothing there: "
            "`hpsearch explain`, `dashboard` and `export --output FILE.csv` read it."
        )
    return Store.open(full_url(url), create=False)


def _is_file(text: str) -> bool:
    """Whether it names a file and is no URL. Raises InputError where nobody may look."""
    try:
        return "://" not in text and Path(text).is_file()
    except OSError as error:
        raise InputError(f"{text} cannot be read: {error.strerror or error}.") from error


def _no_missing_file(text: str) -> str:
    """`text`. Raises InputError if it can only be the path of a file, since there is none."""
    if "://" not in text and "@" not in text:  # with an @ it may hold a password
        raise InputError(
            f"There is no file {text}: name an SQLite file, a journal of Optuna, or "
            f"a database as {EXAMPLES}."
        )
    return text


def is_default_missing(storages: Sequence[str | None]) -> bool:
    """Whether nobody named a store and the default one is not there."""
    named = any(storages) or os.environ.get("HPSEARCH_STORAGE")
    path = sqlite_path(parse_url(DEFAULT_URL))
    return not named and path is not None and not path.exists()


@contextmanager
def open_sources(
    storages: Sequence[str | None], *, keep: bool, push: bool = False
) -> Iterator[list[Source]]:
    """Several of them, closed at the end."""
    with ExitStack() as stack:
        yield [stack.enter_context(open_source(one, keep=keep, push=push)) for one in storages]


def find_in(sources: Sequence[Source], names: Sequence[str]) -> list[tuple[Source, StudySummary]]:
    """The studies called `names` in any of the sources, all of them if there are no names.

    Raises InputError if a name fits none, or studies of two sources.
    """
    if len(sources) == 1 or not names:
        return [(source, one) for source in sources for one in source.find(names)]
    found: list[tuple[Source, StudySummary]] = []
    for name in names:
        having = [source for source in sources if _has(source, name)]
        if not having:
            known = dict.fromkeys(one.name for source in sources for one in source.summaries)
            raise InputError(
                f"None of the stores has a study {name!r}: they have {', '.join(known)}."
            )
        if len(having) > 1:
            raise InputError(
                f"There is a study {name!r} in {' and in '.join(one.shown for one in having)}: "
                "give one --storage at a time, or import one of them under another name."
            )
        found += [(having[0], one) for one in having[0].find([name])]
    return found


def _has(source: Source, name: str) -> bool:
    return any(one.name == name or _is_of(one, name) for one in source.summaries)


def _summaries(storage: optuna.storages.BaseStorage) -> list[StudySummary]:
    """Of a storage that is no database."""
    found = []
    for one in optuna.get_all_study_summaries(storage):
        study_id = storage.get_study_id_from_name(one.study_name)
        trials = storage.get_all_trials(study_id, deepcopy=False)
        complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
        found.append(
            StudySummary(
                study_id=study_id,
                name=one.study_name,
                directions=tuple(direction.name.lower() for direction in one.directions),
                counts=dict(Counter(trial.state.name.lower() for trial in trials)),
                best=tuple(_best(complete, i, way) for i, way in enumerate(one.directions)),
                attrs=one.user_attrs,
            )
        )
    return found


def _best(
    complete: Sequence[FrozenTrial], objective: int, direction: StudyDirection
) -> tuple[float, int] | None:
    """Value and number of the best trial by one objective that has a finite value."""
    sign = -1 if direction == StudyDirection.MAXIMIZE else 1
    found = [(trial.values[objective], trial.number) for trial in complete]
    finite = [one for one in found if math.isfinite(one[0])]
    return min(finite, key=lambda one: (sign * one[0], one[1]), default=None)
