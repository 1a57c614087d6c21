"""The commands on data: what there is and where, getting it, what a model sees of it, and `new`.

`new` writes the study.toml for one's own data.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from hpsearch.cli.options import Data, SkipBadRows, Study
from hpsearch.cli.output import console, notes
from hpsearch.core.console import new_table, print_lines, say
from hpsearch.core.terminal import as_line
from hpsearch.core.words import file_size
from hpsearch.errors import HpsearchError, InputError

if TYPE_CHECKING:
    from hpsearch.data import DataStatus


data_app = typer.Typer(
    no_args_is_help=True,
    help="List, fetch and look at data sets.",
    epilog="Start with: [bold]hpsearch data list[/], then [bold]hpsearch data show imdb-clas[/].",
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Task = Literal[
    "texts", "multi-label", "language-model", "table", "classification", "regression", "ratings"
]

Name = Annotated[str, typer.Argument(help="A data set that `hpsearch data list` names.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(data_app, name="data")
    app.command(
        epilog="Examples: [bold]hpsearch new reviews.csv[/]; "
        "[bold]hpsearch new my/study.toml --data my.csv --target price[/]; "
        "[bold]hpsearch new churn.toml --database sqlite:///shop.db --query "
        "'select * from customers' --target left[/]"
    )(new)


def new(
    file: Annotated[
        Path,
        typer.Argument(help="The study.toml to write; or the data, for a study of its name here."),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            "--table",
            help="A CSV, Parquet or JSON file, a folder, or an archive of texts.",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="The column to predict, or the labels of texts. Default: by its name."),
    ] = None,
    task: Annotated[
        Task | None,
        typer.Option(help="What the data is to be taken for. Default: what it looks like."),
    ] = None,
    database: Annotated[str | None, typer.Option(help="Or the URL of a database ...")] = None,
    query: Annotated[
        str | None, typer.Option(help="... and the SELECT that gives the rows.")
    ] = None,
) -> None:
    """Write a study for your own data: texts, a table or ratings, whichever it looks like."""
    from hpsearch.core.console import shown_progress
    from hpsearch.core.database_urls import without_password
    from hpsearch.core.files import write_atomically
    from hpsearch.study.new.look import look
    from hpsearch.study.new.write import path_from, study_name, study_text

    if data is None and database is None and file.exists() and file.suffix != ".toml":
        data, file = file, Path(f"{file.absolute().name.split('.')[0]}.toml")
    elif data is None and database is None and file.suffix not in ("", ".toml"):
        raise InputError(f"{file} does not exist: give a file, a folder or an archive.")
    if file.is_dir() or file.suffix != ".toml":
        file = file / "study.toml"
    if file.exists():
        raise InputError(f"{file} is there already: remove it, or name another file.")
    where = _declared_data(data, database, query)
    with shown_progress(notes) as progress:
        found = look(where, task, target, progress)
    if "path" in found.data:
        place = path_from(Path(found.data["path"]).expanduser(), file)
        found = replace(found, data={**found.data, "path": place})
    _make_folder(file.parent)
    write_atomically(file, study_text(study_name(file), found))
    for line in (
        f"Wrote {file}: {found.what}.",
        *found.notes,
        f"What a model sees of it: hpsearch data show {file}",
        f"Search:                  hpsearch run {file} --preset quick",
    ):
        say(console, line)
    if without_password(where) != where:
        say(console, f"{file} holds the database's password: keep it to yourself.")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error.strerror or error}.") from None


def _declared_data(data: Path | None, database: str | None, query: str | None) -> dict[str, Any]:
    if (data is None) == (database is None) or (database is None) != (query is None):
        raise InputError("Say where the rows are: --data FILE, or --database URL and --query SQL.")
    return {"path": str(data)} if data is not None else {"database": database, "query": query}


@data_app.command("list", epilog="Example: [bold]hpsearch data list[/]")
def list_data() -> None:
    """List the known data sets and where each is now; nothing is downloaded."""
    from hpsearch.data import data_status

    table = new_table("Data sets", "name", "what", "where", "size")
    listed = data_status()
    for status in listed:
        where = "not here"
        if status.place is not None:
            where = "the cache" if status.kind == "cache" else "HPSEARCH_DATA"
        table.add_row(status.name, escape(status.title), where, file_size(status.size))
    print_lines(console, table)
    for status in listed:
        absent = f"not here: hpsearch data fetch {status.name}"
        print_lines(console, as_line(f"{status.name}: {status.place or absent}"))


@data_app.command(
    epilog="Examples: [bold]hpsearch data fetch adult[/]; "
    "[bold]HPSEARCH_HOME=/big/disk hpsearch data fetch imdb[/]"
)
def fetch(name: Name) -> None:
    """Get a data set and keep it in the cache, where every later command finds it."""
    from hpsearch.core.console import shown_progress
    from hpsearch.data import fetch_data

    _find_data_set(name)
    with shown_progress(notes) as progress:
        found = fetch_data(name, progress, _note)
    print_lines(console, as_line(f"{name}: {found.content} from {found.source}"))
    if found.note:
        print_lines(console, as_line(f"note: {found.note}"))


@data_app.command(epilog='Example: [bold]ls -l "$(hpsearch data path imdb)"[/]')
def path(name: Name) -> None:
    """Print where a data set lies on this machine, and nothing else."""
    place = _find_data_set(name).place
    if place is None:
        raise HpsearchError(f"{name} is not on this machine: run hpsearch data fetch {name}.")
    typer.echo(place)


@data_app.command(
    epilog="Examples: [bold]hpsearch data show imdb-clas[/]; "
    "[bold]hpsearch data show my/study.toml --data reviews.csv --rows 2[/]"
)
def show(
    study: Study,
    data: Data = None,
    skip_bad_rows: SkipBadRows = False,
    rows: Annotated[int, typer.Option(min=0, max=1000, help="How many examples.")] = 5,
) -> None:
    """Show what a model sees: documents as tokens; users, items and ratings; and so on."""
    from hpsearch.core.console import shown_progress
    from hpsearch.study.spec import load_spec
    from hpsearch.study.trainers import previewer
    from hpsearch.trainers.contract import PrepareSetup

    spec = load_spec(study)
    spec = spec.without_bad_rows() if skip_bad_rows else spec
    with shown_progress(notes) as progress:
        setup = PrepareSetup(data, "cpu", progress, _note)
        parts = previewer(spec.trainer).preview(spec.data, spec.settings, setup, rows)
    for part in parts:
        print_lines(console, part)


def _find_data_set(name: str) -> DataStatus:
    """Raises InputError if there is no such data set."""
    from hpsearch.core.words import nearest
    from hpsearch.data import data_status

    listed = {status.name: status for status in data_status()}
    if name not in listed:
        raise InputError(
            f"There is no data set {name!r}{nearest(name, listed)}: give one of "
            f"{', '.join(listed)}."
        )
    return listed[name]


def _note(sentence: str) -> None:
    say(notes, sentence)
