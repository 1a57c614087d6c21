"""Studies of a store, from and to files, by the names and URLs that people use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hpsearch.errors import InputError
from hpsearch.exchange.export_trials import check_kind, export_study
from hpsearch.exchange.import_trials import Imported
from hpsearch.exchange.recorded import import_recording
from hpsearch.exchange.recording import record_study
from hpsearch.store import Store
from hpsearch.store.archive import Moved
from hpsearch.store.sources import find_one, open_ours, open_source

ZIP = ".zip"


@dataclass(frozen=True)
class Exported:
    """What was written: how many trials, and where each model lies that a .zip only names."""

    trials: int
    models: tuple[Path, ...] = ()


def import_into(
    storage: str | None,
    file: Path,
    name: str | None,
    read: Callable[[Store, str], Imported],
    *,
    allow_large: bool,
) -> Imported | Moved:
    """Take a file's study into the store: a .zip as it is, a table as `read(store, name)` does; and
    a recorded study from its folder."""
    if file.is_dir():
        with Store.open(storage) as store:
            return Moved(*import_recording(store, file, name))
    is_zip = file.suffix.lower() == ZIP
    if name is None and not is_zip:
        raise InputError("The new study needs a name: give it with --study.")
    with Store.open(storage) as store:
        if name is None or is_zip:
            return store.import_study(file, name, allow_large=allow_large)
        return read(store, name)


def export_from(storage: str | None, study: str, output: Path) -> Exported:
    """Write the study of that name to a table, all that is stored of it to a .zip, or what is to be
    published of it to a folder: a path without an ending."""
    if output.is_dir() or not output.suffix:
        with open_ours(storage) as store:
            return Exported(record_study(store, find_one(store, study), output))
    if output.suffix.lower() == ZIP:
        with open_ours(storage) as store:
            study_id = find_one(store, study).study_id
            trials = store.export_study(study_id, output).trials
            return Exported(trials, tuple(Path(row["path"]) for row in store.artifacts(study_id)))
    check_kind(output)
    with open_source(storage) as source:
        return Exported(export_study(source.load(source.find_one(study)), output))
