"""The command that writes a study.toml for one's own table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from hpsearch.errors import InputError

if TYPE_CHECKING:
    from hpsearch.tabular.columns import Columns

console = Console(highlight=False)
notes = Console(stderr=True, highlight=False)


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        epilog="Examples: [bold]hpsearch new my/study.toml --table my.csv --target price[/]; "
        "[bold]hpsearch new churn.toml --database sqlite:///shop.db --query "
        "'select * from customers' --target left[/]"
    )(new)


def new(
    file: Annotated[Path, typer.Argument(help="The study.toml to write.")],
    table: Annotated[Path | None, typer.Option(help="A CSV or Parquet file with the rows.")] = None,
    target: Annotated[str | None, typer.Option(help="The column to predict.")] = None,
    database: Annotated[str | None, typer.Option(help="Or the URL of a database ...")] = None,
    query: Annotated[
        str | None, typer.Option(help="... and the SELECT that gives the rows.")
    ] = None,
) -> None:
    """Write a study for your own table: what each column is, what is searched, all explained."""
    from hpsearch.data.frames import load_table
    from hpsearch.files import write_whole
    from hpsearch.search.progress import shown_progress
    from hpsearch.studies import load_spec
    from hpsearch.tabular.columns import infer_columns
    from hpsearch.tabular.preprocess import check_whole, coded_missing
    from hpsearch.tabular.template import path_from, study_name, study_text
    from hpsearch.urls import without_password

    if file.is_dir() or file.suffix != ".toml":
        file = file / "study.toml"
    if file.exists():
        raise InputError(f"{file} is there already: remove it, or name another file.")
    data = _rows_from(table, database, query)
    with shown_progress(notes) as progress:
        rows = load_table(data, path=None, progress=progress).table
    if target is None:
        raise InputError(
            f"Which column is to be predicted? Add --target, one of {', '.join(rows.columns)}."
        )
    columns = infer_columns(rows, target)
    check_whole(target, coded_missing(rows[target]))
    if table is not None:
        data["path"] = path_from(table.expanduser(), file)
    adult = load_spec("adult")
    trials = {str(name): preset.trials for name, preset in adult.presets.items()}
    text = study_text(study_name(file), data, columns, len(rows), adult.space, trials)
    _make_folder(file.parent)
    write_whole(file, text)
    for line in _written(file, columns, len(rows)):
        console.print(Text(line), soft_wrap=True)
    if without_password(data) != data:
        console.print(Text(f"{file} holds the database's password: keep it to yourself."))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error.strerror or error}.") from None


def _written(file: Path, columns: Columns, n_rows: int) -> list[str]:
    counts = {
        "categorical": columns.categorical, "continuous": columns.continuous,
        "date": columns.dates, "ignored": columns.ignored,
    }  # fmt: skip
    found = ", ".join(f"{len(names)} {kind}" for kind, names in counts.items() if names)
    return [
        f"Wrote {file}: {columns.task} of {columns.target} from {n_rows:,} rows; columns: {found}.",
        f"Look at the columns: hpsearch data show {file}",
        f"Search:              hpsearch run {file} --preset quick",
    ]


def _rows_from(table: Path | None, database: str | None, query: str | None) -> dict[str, Any]:
    if (table is None) == (database is None) or (database is None) != (query is None):
        raise InputError("Say where the rows are: --table FILE, or --database URL and --query SQL.")
    return {"path": str(table)} if table is not None else {"database": database, "query": query}
