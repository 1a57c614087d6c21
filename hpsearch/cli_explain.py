"""The command that explains: explain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from hpsearch.errors import InputError
from hpsearch.printing import complain

if TYPE_CHECKING:
    from hpsearch.sources import Source

console = Console(highlight=False)
FORMATS = ("table", "md", "json", "html")


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        epilog="Examples: [bold]hpsearch explain imdb-clas[/]; "
        "[bold]hpsearch explain --format html --output report.html[/]; "
        "[bold]hpsearch explain --storage journal.log --study mine --trial 17[/]; "
        "[bold]hpsearch explain imdb-clas rt-clas --pool[/]"
    )(explain)


def explain(
    studies: Annotated[
        list[str] | None, typer.Argument(help="Studies in the store. Default: all of them.")
    ] = None,
    study: Annotated[list[str] | None, typer.Option(help="The same, as an option.")] = None,
    storage: Annotated[
        list[str] | None,
        typer.Option(
            help="Database URL of any Optuna study, an SQLite file or a journal file; repeat it "
            "for several. Default: HPSEARCH_STORAGE, else sqlite:///hpsearch.db.",
            show_default=False,
        ),
    ] = None,
    format: Annotated[str, typer.Option(help="table, md, json or html.")] = "table",
    output: Annotated[Path | None, typer.Option(help="Write to this file.")] = None,
    trial: Annotated[
        int | None, typer.Option(help="What each parameter adds to this trial's prediction.")
    ] = None,
    pool: Annotated[
        bool, typer.Option("--pool", help="Several studies together: the optima they agree on.")
    ] = False,
    level: Annotated[float, typer.Option(help="Of all intervals.")] = 0.9,
    metric: Annotated[
        str | None, typer.Option(help="Which objective, if the study has several.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the forests.")] = 0,
    good_region: Annotated[
        float | None,
        typer.Option(help="The share of trials that keep their values; worse ones are clipped."),
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="All parameters in the table, and second opinions.")
    ] = False,
    push: Annotated[
        bool | None,
        typer.Option(
            help="Put plots and rules into the study for the Optuna dashboard. "
            "Default: for studies that hpsearch ran.",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the rules in a database that is not ours, too.")
    ] = False,
) -> None:
    """Say what matters and which rules of thumb the trials of any Optuna study support."""
    from hpsearch.analysis.across import pool_studies
    from hpsearch.explaining import explain_all
    from hpsearch.output import show_reports
    from hpsearch.sources import find_in, open_sources

    if format not in FORMATS:
        raise InputError(f"--format {format} is not known: choose one of {', '.join(FORMATS)}.")
    names = [*(studies or []), *(study or [])]
    with open_sources(storage or [None], keep=keep, push=bool(push)) as sources:
        found = find_in(sources, names)
        if trial is not None or (format in ("json", "html") and not pool):
            what = f"A {format} file holds" if trial is None else "A trial is of"
            _check_one([summary.name for _, summary in found], what)
        explanations, refused = explain_all(
            found,
            console,
            level=level,
            metric=metric,
            seed=seed,
            push=push,
            good_region=good_region,
            named=bool(storage),
        )
        for problem in refused:
            complain(str(problem))
        if trial is not None or pool:
            first = explanations[0]
            part = pool_studies(explanations) if trial is None else first.contributions(trial)
            show_reports([part], format, output, console, everything=all_)
            return
        show_reports(explanations, format, output, console, everything=all_)
        if format == "table" and output is None:
            _say_where_it_went(sources, storage or [])
        if refused and names:  # it was asked for by name
            raise typer.Exit(refused[0].exit_status)


def _check_one(names: Sequence[str], what: str) -> None:
    """Raises InputError for several studies; `what` is what can be of one only."""
    if len(names) > 1:
        raise InputError(f"{what} one study: name one of {', '.join(names)}.")


def _say_where_it_went(sources: Sequence[Source], storage: Sequence[str]) -> None:
    """Why rules are not kept, and how to see the trials; `storage` as it was typed."""
    from hpsearch.output import command_line

    for source in sources:
        if source.reason:
            console.print(Text(f"\n{source.reason}"), soft_wrap=True)
    if sources[0].store is not None:
        given = storage[0] if storage and "://" in storage[0] else sources[0].shown
        again = command_line("dashboard", given if storage else None)
        console.print(Text(f"\nSee the trials: {again}"), soft_wrap=True)
