"""Where studies are explained from: our store, anybody's database, or a journal of Optuna."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
from sqlalchemy.engine import URL

from hpsearch.errors import InputError
from hpsearch.library import find_among, one_of
from hpsearch.store import Store, StudySummary, reading
from hpsearch.store.foreign import is_ours, is_writable, open_file, open_foreign
from hpsearch.store.opening import translated
from hpsearch.store.url import DEFAULT_URL, EXAMPLES, full_url, parse_url, shown_url


@dataclass(frozen=True)
class Source:
    """Studies that can be explained. `store` is None where nothing of ours may be written, and
    `reason` then says why in a sentence; `writable` is whether Optuna's tables may be."""

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


def open_source(storage: str | None, *, keep: bool = False, push: bool = False) -> Source:
    """The studies at `storage`: a URL, a file, or the store that HPSEARCH_STORAGE names.

    Only a store of ours is opened for writing; another database is too if `keep` asks for our
    tables in it, or `push` for plots in Optuna's. Raises InputError where nothing can be read.
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
    if (ours or keep) and is_writable(found):
        store = Store.open(full_url(found), create=False)
        return Source(shown, store.optuna, store.studies(), store)
    writable = push and is_writable(found)
    rdb = open_foreign(found, writable=writable)
    with translated(found):
        summaries = reading.studies(rdb.engine)
    reason = f"Rules are not kept: {shown} can only be read."
    if is_writable(found):
        reason = f"Rules are not kept in {shown}, which hpsearch did not make (--keep keeps them)."
    return Source(shown, rdb, summaries, None, reason, writable)


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
    return any(name in (one.name, one.attrs.get("hps_study")) for one in source.summaries)


def _summaries(storage: optuna.storages.BaseStorage) -> list[StudySummary]:
    """Of a storage that is no database."""
    found = []
    for one in optuna.get_all_study_summaries(storage):
        study_id = storage.get_study_id_from_name(one.study_name)
        trials = storage.get_all_trials(study_id, deepcopy=False)
        best = one.best_trial if len(one.directions) == 1 else None
        found.append(
            StudySummary(
                study_id=study_id,
                name=one.study_name,
                directions=tuple(direction.name.lower() for direction in one.directions),
                counts=dict(Counter(trial.state.name.lower() for trial in trials)),
                best_value=None if best is None else best.value,
                best_number=None if best is None else best.number,
                attrs=one.user_attrs,
            )
        )
    return found
