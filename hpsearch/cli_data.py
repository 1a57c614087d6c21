"""The commands on data: what there is and where, getting it, and what a model sees of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hpsearch.errors import HpsearchError, InputError

if TYPE_CHECKING:
    from hpsearch.data import DataStatus
    from hpsearch.preview import Document, TextPreview

data_app = typer.Typer(
    no_args_is_help=True,
    help="List, fetch and look at data sets.",
    epilog="Start with: [bold]hpsearch data list[/], then [bold]hpsearch data show imdb-clas[/].",
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = Console(highlight=False)
notes = Console(stderr=True, highlight=False)
SHOWN_TOKENS = 80  # of a document
UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))

Name = Annotated[str, typer.Argument(help="A data set that `hpsearch data list` names.")]


@data_app.command("list", epilog="Example: [bold]hpsearch data list[/]")
def list_data() -> None:
    """List the known data sets and where each is now; nothing is downloaded."""
    from hpsearch.data import data_status

    table = _table("Data sets", "name", "what", "where", "size")
    listed = data_status()
    for status in listed:
        where = "not here"
        if status.place is not None:
            where = "the cache" if status.kind == "cache" else "HPSEARCH_DATA"
        table.add_row(status.name, escape(status.title), where, _size(status.size))
    console.print(table)
    for status in listed:
        absent = f"not here: hpsearch data fetch {status.name}"
        _print(Text(f"{status.name}: {status.place or absent}"))


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
    _print(Text(f"{name}: {found.content} from {found.source}"))
    if found.note:
        _print(Text(f"note: {found.note}"))


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
    rows: Annotated[int, typer.Option(min=0, max=1000, help="How many documents.")] = 5,
) -> None:
    """Show what a model sees: documents as tokens, classes, lengths and vocabulary."""
    from hpsearch.preview import preview_texts
    from hpsearch.search.progress import shown_progress
    from hpsearch.studies import load_spec

    spec = load_spec(study)
    with shown_progress(notes) as progress:
        preview = preview_texts(spec, path=data, rows=rows, progress=progress, say=_say)
    for document in preview.documents:
        _print(_document(document))
        console.print()
    console.print(_classes(preview))
    console.print()
    for line in _numbers(preview):
        _print(Text(line))


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


def _print(text: Text) -> None:
    """Wrapped between words on a terminal, one line elsewhere."""
    console.print(text, soft_wrap=not console.is_terminal)


def _size(size: int) -> str:
    """Bytes for people; nothing where there is no single file to have a size."""
    for unit, name in UNITS:
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} B" if size else ""


def _document(document: Document) -> Text:
    """The label, then the tokens; special ones in colour, line ends and the like written out."""
    from hpsearch.text.tokenize import SPECIALS

    label = "(no label)" if document.label is None else document.label
    text = Text.assemble((label, "bold cyan"), ": ")
    for token in document.tokens[:SHOWN_TOKENS]:
        style = "red" if token == SPECIALS[0] else "magenta" if token in SPECIALS else ""
        text.append("".join(c if c.isprintable() else ascii(c)[1:-1] for c in token), style)
        text.append(" ")
    if (left := len(document.tokens) - SHOWN_TOKENS) > 0:
        text.append(f"... {left:,} more tokens", "dim")
    return text


def _classes(preview: TextPreview) -> Table:
    table = _table("Classes", "class", "training texts", "share", "test texts")
    total = sum(train for train, _ in preview.classes.values())
    for name, (train, test) in preview.classes.items():
        table.add_row(escape(name), f"{train:,}", f"{train / total:.1%}", f"{test:,}")
    return table


def _numbers(preview: TextPreview) -> list[str]:
    import numpy as np

    lengths = preview.lengths
    low, median, high = np.percentile(lengths, [5, 50, 95])
    dataset = preview.dataset
    unlabelled = int((dataset.table["split"] == "unsup").sum())
    lines = [
        f"data: {len(dataset.table):,} texts, {unlabelled:,} of them without a label, from "
        f"{dataset.source}",
        f"tokens a text: median {median:,.0f}, mean {lengths.mean():,.0f}, 5% have at most "
        f"{low:,.0f}, 5% at least {high:,.0f}, the longest {lengths.max():,}",
        f"vocabulary: {len(preview.vocab):,} tokens that occur {preview.min_freq} times or more; "
        f"{preview.unknown:.1%} of all tokens are not in it and become xxunk",
        f"tokenizer: {preview.tokenizer}; lengths and vocabulary are those of {len(lengths):,} "
        "texts that are trained on",
    ]
    return lines + ([f"note: {dataset.note}"] if dataset.note else [])


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, style="cyan" if i == 0 else None, overflow="fold")
    return table
