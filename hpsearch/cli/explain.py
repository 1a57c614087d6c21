"""The commands on rules of thumb: explain finds them, rules lists those that were kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

import hpsearch
from hpsearch.cli.options import Level, Storages, StoredStudies
from hpsearch.cli.output import console
from hpsearch.core.console import print_error, say
from hpsearch.errors import InputError

if TYPE_CHECKING:
    from hpsearch.store.sources import Source


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command(
        epilog="Examples: [bold]hpsearch explain imdb-clas[/]; "
        "[bold]hpsearch explain --format html --output report.html[/]; "
        "[bold]hpsearch explain --storage journal.log --study mine --trial 17[/]; "
        "[bold]hpsearch explain imdb-clas rt-clas --pool[/]"
    )(explain)
    app.command(epilog="Example: [bold]hpsearch rules[/]")(rules)


def explain(
    studies: StoredStudies = None,
    study: Annotated[list[str] | None, typer.Option(help="The same, as an option.")] = None,
    storage: Storages = None,
    format: Annotated[
        Literal["table", "md", "json", "html"] | None,
        typer.Option(
            help="What is printed or written. Default: by the ending of --output, else table.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write to this file.")] = None,
    trial: Annotated[
        int | None, typer.Option(help="What each parameter adds to this trial's prediction.")
    ] = None,
    pool: Annotated[
        bool, typer.Option("--pool", help="Several studies together: what a new one should use.")
    ] = False,
    level: Level = 0.9,
    metric: Annotated[
        str | None, typer.Option(help="Which objective alone, if the study has several.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the random numbers; the same gives the same report.")
    ] = 0,
    good_region: Annotated[
        float | None,
        typer.Option(
            help="The share of the space in which other parameters count as set well. "
            "Default: 0.25.",
            show_default=False,
        ),
    ] = None,
    worth: Annotated[
        float | None,
        typer.Option(
            help="The smallest difference worth having, in the metric's unit: values that cost "
            "less count as equally good. Default: half of what repeating a good trial varies by.",
            show_default=False,
        ),
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
    recorded: Annotated[
        bool,
        typer.Option(
            "--recorded",
            help="Together with the trials of the study that come with hpsearch, or those alone.",
        ),
    ] = False,
) -> None:
    """Say what matters and which rules of thumb the trials of any Optuna study support."""
    from hpsearch.analysis.explain_stored import explain_all
    from hpsearch.analysis.pool_studies import pool_studies
    from hpsearch.cli.output import Report, format_of, show_reports
    from hpsearch.exchange.together import recorded_source
    from hpsearch.store.sources import find_in, is_default_missing, open_sources

    for name in studies or ():
        if Path(name).suffix in (".csv", ".tsv", ".parquet", ".jsonl") and Path(name).is_file():
            raise InputError(
                f"{name} is a file, not a study: `hpsearch import {name} --study NAME` puts its "
                "trials into a study, which `hpsearch explain NAME` explains."
            )
    format = format or format_of(output)
    names = [*(studies or []), *(study or [])]
    analyse = partial(
        hpsearch.explain,
        level=level,
        metric=metric,
        seed=seed,
        good_region=good_region,
        worth=worth,
    )
    if recorded and (keep or push):
        raise InputError("Rules of recorded trials are not kept: leave out --keep and --push.")
    alone = recorded and is_default_missing(storage or [])
    with open_sources([] if alone else storage or [None], keep=keep, push=bool(push)) as sources:
        sources = [recorded_source(sources, names)] if recorded else sources
        found = find_in(sources, [] if recorded else names)
        if trial is not None or (format in ("json", "html") and not pool):
            what = f"A {format} file holds" if trial is None else "A trial is of"
            _check_one_study([summary.name for _, summary in found], what)
        explanations, refused = explain_all(
            found,
            console,
            analyse,
            push=push,
            of_all_trials=good_region is None,
            named=bool(storage) and not alone,
        )
        for problem in refused:
            print_error(str(problem))
        if trial is not None or pool:
            first = explanations[0]
            parts: list[Report] = [pool_studies(explanations)] if trial is None else []
            if trial is not None:
                parts += [one.contributions(trial) for one in first.objectives.values()]
            show_reports(parts, format, output, console, everything=all_)
            return
        show_reports(explanations, format, output, console, everything=all_)
        if format == "table" and output is None:
            _print_next_steps(sources, storage or [])
        if refused and names:  # it was asked for by name
            raise typer.Exit(refused[0].exit_status)


def rules(
    studies: StoredStudies = None,
    storage: Storages = None,
    format: Annotated[Literal["table", "json"], typer.Option(help="What is printed.")] = "table",
) -> None:
    """List the rules that explain kept, study by study, with the verdicts of verify."""
    from hpsearch.cli.tables import rules_table

    kept = hpsearch.rules(studies or (), storage=storage)
    if format == "json":
        typer.echo(json.dumps({"schema": "hpsearch.rules/1", "rules": kept}, indent=1))
    elif kept:
        console.print(rules_table(kept))
    else:
        console.print("No rules are kept yet: hpsearch explain keeps what it finds.")


def _check_one_study(names: Sequence[str], what: str) -> None:
    """Raises InputError for several studies; `what` is what can be of one only."""
    if len(names) > 1:
        raise InputError(f"{what} one study: name one of {', '.join(names)}.")


def _print_next_steps(sources: Sequence[Source], storage: Sequence[str]) -> None:
    """Why rules are not kept, and how to see the trials; `storage` as it was typed."""
    from hpsearch.cli.output import command_line

    for source in sources:
        if source.reason:
            console.print()
            say(console, source.reason)
    if sources[0].store is not None:
        given = storage[0] if storage and "://" in storage[0] else sources[0].shown
        again = command_line("dashboard", given if storage else None)
        console.print()
        say(console, f"See the trials: {again}")
