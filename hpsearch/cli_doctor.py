"""The commands that look after a store: doctor, and enqueue, which puts a trial into its queue."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from hpsearch.cli_models import StorageOption

console = Console(highlight=False)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command(
        epilog="Examples: [bold]hpsearch doctor[/]; "
        "[bold]hpsearch doctor --storage postgresql://me@host/db --mend[/]"
    )(doctor)
    app.command(epilog="Example: [bold]hpsearch enqueue imdb-clas-quick lr=0.01 bs=32[/]")(enqueue)


def doctor(
    storage: StorageOption = None,
    mend: Annotated[
        bool, typer.Option("--mend", help="Put right what can be put right without a loss.")
    ] = False,
) -> None:
    """Look at a store: dead workers, lost rows, unreadable ones, the disk, clocks and schema.

    Exit status 1 if something is left that is not well.
    """
    from hpsearch.doctor import Finding, examine
    from hpsearch.sources import open_ours
    from hpsearch.store import migrate
    from hpsearch.store.opening import revision
    from hpsearch.store.url import parse_url

    before = revision(parse_url(storage))
    with open_ours(storage) as store:
        migrated = "" if before == migrate.HEAD else f", brought there from {before or 'none'}"
        found = [
            Finding("schema", f"{migrate.HEAD}, the newest{migrated}", mended=bool(migrated)),
            *examine(store, mend=mend),
        ]
    for one in found:
        word, style = ("mended", "yellow") if one.mended else ("ok", "green")
        if not one.fine:
            word, style = "WRONG", "bold red"
        line = Text.assemble((f"{word:<7}", style), f"{one.what:<20}", one.text)
        console.print(line, soft_wrap=True)
    if not all(one.fine for one in found):
        raise typer.Exit(1)


def enqueue(
    study: Annotated[str, typer.Argument(help="A study in the store.")],
    values: Annotated[
        list[str], typer.Argument(help="name=value; what is left open is drawn by the sampler.")
    ],
    storage: StorageOption = None,
) -> None:
    """Put a configuration into a study's queue; its next run begins with it."""
    from hpsearch.cli_run import parse_config
    from hpsearch.library import find_one
    from hpsearch.search.enqueueing import enqueue_trial
    from hpsearch.sources import open_ours

    config = parse_config("enqueue", values)
    with open_ours(storage) as store:
        summary = find_one(store, study)
        number = enqueue_trial(store, summary, config)
        line = f"trial {number} of {summary.name} waits; the study's next run takes it up"
        console.print(Text(line), soft_wrap=True)
