"""The commands on data: what there is and where, getting it, and what a model sees of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from hpsearch.errors import HpsearchError, InputError
from hpsearch.printing import new_table, print_lines

if TYPE_CHECKING:
    from hpsearch.data import DataStatus

data_app = typer.Typer(
    no_args_is_help=True,
    help="List, fetch and look at data sets.",
    epilog="Start with: [bold]hpsearch data list[/], then [bold]hpsearch data show imdb-clas[/].",
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = Console(highlight=False)
notes = Console(stderr=True, highlight=False)
UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))

Name = Annotated[str, typer.Argument(help="A data set that `hpsearch data list` names.")]


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
        table.add_row(status.name, escape(status.title), where, _size(status.size))
    print_lines(console, table)
    for status in listed:
        absent = f"not here: hpsearch data fetch {status.name}"
        print_lines(console, Text(f"{status.name}: {status.place or absent}"))


@data_app.command(
    epilog="Examples: [bold]hpsearch data fetch adult[/]; "
    "[bold]HPSEARCH_HOME=/big/disk hpsearch data fetch imdb[/]"
)
def fetch(name: Name) -> None:
    """Get a data set and keep it in the cache, where every later command finds it."""
    from hpsearch.data import fetch_data
    from hpsearch.search.progress import shown_progress

    _known(name)
    with shown_progress(notes) as progress:
        found = fetch_data(name, progress, _say)
    print_lines(console, Text(f"{name}: {found.content} from {found.source}"))
    if found.note:
        print_lines(console, Text(f"note: {found.note}"))


@data_app.command(epilog='Example: [bold]ls -l "$(hpsearch data path imdb)"[/]')
def path(name: Name) -> None:
    """Print where a data set lies on this machine, and nothing else."""
    place = _known(name).place
    if place is None:
        raise HpsearchError(f"{name} is not on this machine: run hpsearch data fetch {name}.")
    typer.echo(place)


@data_app.command(
    epilog="Examples: [bold]hpsearch data show imdb-clas[/]; "
    "[bold]hpsearch data show my/study.toml --data reviews.csv --rows 2[/]"
)
def show(
    study: Annotated[str, typer.Argument(help="A built-in study or a path to a study.toml.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Your own copy of the data: a folder, an archive, a CSV or Parquet."),
    ] = None,
    rows: Annotated[int, typer.Option(min=0, max=1000, help="How many examples.")] = 5,
) -> None:
    """Show what a model sees: documents as tokens; users, items and ratings; and so on."""
    from hpsearch.search.progress import shown_progress
    from hpsearch.studies import load_spec
    from hpsearch.trainers import previewer

    spec = load_spec(study)
    with shown_progress(notes) as progress:
        parts = previewer(spec.trainer).preview(
            spec.data, spec.settings, data_path=data, rows=rows, progress=progress, say=_say
        )
    for part in parts:
        print_lines(console, part)


def _known(name: str) -> DataStatus:
    """Raises InputError if there is no such data set."""
    from hpsearch.data import data_status
    from hpsearch.wording import nearest

    listed = {status.name: status for status in data_status()}
    if name not in listed:
        raise InputError(
            f"There is no data set {name!r}{nearest(name, listed)}: give one of "
            f"{', '.join(listed)}."
        )
    return listed[name]


def _say(sentence: str) -> None:
    notes.print(Text(sentence), soft_wrap=True)


def _size(size: int) -> str:
    """Bytes for people; nothing where there is no single file to have a size."""
    for unit, name in UNITS:
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} B" if size else ""
