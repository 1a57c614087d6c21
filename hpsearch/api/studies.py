"""Studies and where they are kept: load, import and export one, and look after the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

    from hpsearch.exchange import Imported
    from hpsearch.exchange.stored import Exported
    from hpsearch.store import Store
    from hpsearch.store.archive import Moved
    from hpsearch.store.doctor import Finding
    from hpsearch.study.spec import StudySpec


def load_spec(study: str | Path) -> StudySpec:
    """What a study declares: its data, trainer, metric, space, defaults and presets.

    Args:
        study: a built-in name such as "imdb-clas", or the path of a study.toml.

    Returns:
        The checked declaration.

    Raises:
        InputError: if there is no such study, or its file has a mistake: which, and where.

    Example:
        >>> spec = hpsearch.load_spec("movielens")
        >>> spec.trainer, spec.metric, spec.direction
        ('collab', 'mse', 'minimize')
    """
    from hpsearch.study.spec import load_spec as load

    return load(study)


def load_study(study: str, *, storage: str | None = None) -> optuna.Study:
    """The Optuna study of a name, in a store, in anybody's database or in a journal.

    Args:
        study: the study's own name, or that of its study.toml.
        storage: database URL, SQLite file or journal file. None: HPSEARCH_STORAGE, else
            sqlite:///hpsearch.db.

    Returns:
        The study with its trials.

    Raises:
        InputError: if there is none of that name, or more than one.

    Example:
        >>> import optuna
        >>> study = optuna.create_study(study_name="mine", storage="sqlite:///optuna.db")
        >>> study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
        >>> len(hpsearch.load_study("mine", storage="optuna.db").trials)
        2
    """
    from hpsearch.api.study_view import Study
    from hpsearch.store.sources import open_source

    source = open_source(storage)
    return Study.of(source.load(source.find_one(study)))


def import_study(
    file: str | Path,
    study: str | None = None,
    *,
    metric: Sequence[str] = (),
    direction: Sequence[str] = (),
    param: Sequence[str] = (),
    keep: Sequence[str] = (),
    ignore: Sequence[str] = (),
    log: Sequence[str] = (),
    linear: Sequence[str] = (),
    categorical: Sequence[str] = (),
    range: Mapping[str, tuple[float, float]] | None = None,
    storage: str | None = None,
    allow_large: bool = False,
) -> Imported | Moved:
    """Make a study of somebody's trials: a table with a row for each trial.

    Columns such as config/lr or params_lr are found by their prefix, others by what they hold;
    types, ranges and scales are found out. A .zip that `export_study` wrote is taken in as it is.

    Args:
        file: CSV, Parquet or JSON, or a .zip or folder of `export_study`.
        study: what the new study is called; a .zip knows its own name.
        metric: columns of the results, one for each objective.
        direction: "minimize" or "maximize" for each of them. Default: by the metric's name.
        param: take only these columns for parameters.
        keep: take these columns for parameters, too, whatever they look like.
        ignore: columns that are no parameters.
        log: parameters on a log scale.
        linear: parameters on a linear scale.
        categorical: parameters whose numbers are names without an order.
        range: what was searched, where it is wider than the values: {"lr": (1e-5, 0.1)}.
        storage: database URL. None: HPSEARCH_STORAGE, else sqlite:///hpsearch.db.
        allow_large: take in a .zip that grows to many times its size.

    Returns:
        Of a table the study, its parameters and notes on what was found out (`Imported`); of a
        .zip the study's name and how many trials it has (`Moved`).

    Raises:
        InputError: if the file cannot be read, or there is a study of that name already.

    Example:
        >>> from pathlib import Path
        >>> rows = [f"{10 ** -(i % 4)},{i % 5},{i % 7}" for i in range(20)]
        >>> _ = Path("runs.csv").write_text("\\n".join(["lr,depth,loss", *rows]))
        >>> done = hpsearch.import_study("runs.csv", "mine", metric=["loss"], log=["lr"])
        >>> done.directions, sorted(done.params), done.counts
        (('minimize',), ['depth', 'lr'], {'complete': 20})
    """
    from hpsearch.exchange import ColumnChoice, Overrides, import_trials
    from hpsearch.exchange.stored import import_into

    scales = frozenset(log), frozenset(linear), frozenset(categorical), dict(range or {})
    overrides = Overrides(*scales) if any(scales) else None
    choice = ColumnChoice(metric, direction, param, keep, ignore, overrides)

    def read(store: Store, name: str) -> Imported:
        return import_trials(store, file, name, choice)

    return import_into(storage, Path(file), study, read, allow_large=allow_large)


def export_study(study: str, output: str | Path, *, storage: str | None = None) -> Exported:
    """Write a study to a file that `import_study` reads back whole.

    Args:
        study: a study in the store, by its own name or that of its study.toml.
        output: a .csv or .parquet table of the trials; a .zip that holds epochs, events, rules and
            the queue, too, so that the study can be continued in another store; or a folder (a
            path without an ending) to be published, with tables of the trials and of the epochs
            and where they come from.
        storage: database URL. None: HPSEARCH_STORAGE, else sqlite:///hpsearch.db.

    Returns:
        How many trials were written, and the folders of models that a .zip only names.

    Raises:
        InputError: if there is no such study, it has no trials, or the file cannot be written.

    Example:
        >>> import optuna
        >>> study = optuna.create_study(study_name="mine", storage="sqlite:///optuna.db")
        >>> study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
        >>> hpsearch.export_study("mine", "trials.csv", storage="optuna.db").trials
        2
    """
    from hpsearch.exchange.stored import export_from

    return export_from(storage, study, Path(output))


def delete_study(study: str, *, storage: str | None = None) -> None:
    """Delete a study with its trials, rules, verifications and kept models.

    Args:
        study: its whole name in the store.
        storage: database URL. None: HPSEARCH_STORAGE, else sqlite:///hpsearch.db.

    Raises:
        InputError: for a study that is not there, or that is being run.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("runs.csv").write_text("lr,loss\\n0.1,0.5\\n0.2,0.4\\n0.3,0.6\\n")
        >>> imported = hpsearch.import_study("runs.csv", "mine", metric=["loss"])
        >>> hpsearch.delete_study("mine")
    """
    from hpsearch.store import delete_or_rename
    from hpsearch.store.sources import open_ours

    with open_ours(storage) as store:
        delete_or_rename.delete_study(store, delete_or_rename.named(store, study))


def rename_study(study: str, name: str, *, storage: str | None = None) -> None:
    """Give a study in the store another name.

    The next run of its study.toml begins a new study under the old name.

    Args:
        study: its whole name in the store.
        name: what to call it.
        storage: database URL. None: HPSEARCH_STORAGE, else sqlite:///hpsearch.db.

    Raises:
        InputError: for a name that is taken, a study that is not there, or that is being run.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("runs.csv").write_text("lr,loss\\n0.1,0.5\\n0.2,0.4\\n0.3,0.6\\n")
        >>> imported = hpsearch.import_study("runs.csv", "mine", metric=["loss"])
        >>> hpsearch.rename_study("mine", "before")
    """
    from hpsearch.store import delete_or_rename
    from hpsearch.store.sources import open_ours

    with open_ours(storage) as store:
        delete_or_rename.rename_study(store, delete_or_rename.named(store, study), name)


def doctor(*, storage: str | None = None, mend: bool = False) -> list[Finding]:
    """Look at a store: dead workers, lost rows, unreadable ones, the disk, clocks and schema.

    Args:
        storage: database URL. None: HPSEARCH_STORAGE, else sqlite:///hpsearch.db.
        mend: put right what can be put right without a loss.

    Returns:
        One finding for each thing that was looked at: `what` it is, a `text`, whether it is `fine`
        and whether it was `mended`.

    Raises:
        InputError: for a database that hpsearch did not make.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("runs.csv").write_text("lr,loss\\n0.1,3\\n0.2,2\\n")
        >>> done = hpsearch.import_study("runs.csv", "mine", metric=["loss"])
        >>> all(finding.fine for finding in hpsearch.doctor())
        True
    """
    from hpsearch.store.doctor import examine_at

    return examine_at(storage, mend=mend)
