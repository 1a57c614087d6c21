"""The commands that move trials between a store and tables: import and export."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hpsearch.cli_models import StorageOption
from hpsearch.errors import InputError
from hpsearch.printing import new_table

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from hpsearch.exchange import Imported, Wishes

console = Console(highlight=False)
Names = list[str] | None
ZIP = ".zip"


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command(
        "import",
        epilog="Examples: [bold]hpsearch import runs.csv --study mine --metric val_acc[/]; "
        "[bold]hpsearch import ray.parquet --study mine --metric loss --log lr[/]; "
        "[bold]hpsearch import study.zip --storage postgresql://me@host/db[/]",
    )(import_)
    app.command(
        epilog="Examples: [bold]hpsearch export imdb-clas-quick --output trials.parquet[/]; "
        "[bold]hpsearch export imdb-clas-quick --output study.zip[/]"
    )(export)


def import_(
    file: Annotated[
        Path,
        typer.Argument(help="CSV, Parquet or JSON, a row for each trial, or a .zip of export."),
    ],
    study: Annotated[
        str | None,
        typer.Option(help="What the new study is called. A .zip of export knows its own name."),
    ] = None,
    metric: Annotated[
        Names, typer.Option(help="Column of the result; repeat for several objectives.")
    ] = None,
    direction: Annotated[
        Names, typer.Option(help="minimize or maximize. Default: by the metric's name.")
    ] = None,
    param: Annotated[
        Names, typer.Option(help="Take only this column for a parameter; repeatable.")
    ] = None,
    ignore: Annotated[Names, typer.Option(help="No parameter: this column; repeatable.")] = None,
    log: Annotated[Names, typer.Option(help="This parameter is on a log scale.")] = None,
    linear: Annotated[Names, typer.Option(help="This parameter is on a linear scale.")] = None,
    categorical: Annotated[
        Names, typer.Option(help="This parameter's numbers are names without an order.")
    ] = None,
    range: Annotated[
        Names, typer.Option(help="What was searched, wider than the values: lr=1e-5:0.1.")
    ] = None,
    storage: StorageOption = None,
) -> None:
    """Make a study of somebody's trials: a table with a column for each parameter.

    Columns such as config/lr or params_lr are found by their prefix, others by what they hold.
    Types, ranges and scales are found out and shown. A .zip that export wrote is taken in as it
    is, with everything that hpsearch stored, and can be continued.
    """
    from hpsearch.exchange import import_trials
    from hpsearch.output import command_line
    from hpsearch.store import Store

    if file.suffix.lower() == ZIP:
        _import_whole(file, study, storage)
        return
    if study is None:
        raise InputError("The new study needs a name: give it with --study.")
    wishes = _wishes(log, linear, categorical, range)
    with Store.open(storage) as store:
        done = import_trials(
            store, file, study, metrics=metric or (), directions=direction or (),
            params=param or (), ignore=ignore or (), wishes=wishes,
        )  # fmt: skip
        _print_imported(done, f"study {study} of {store.shown_url}")
        again = command_line("explain", storage, study)
        console.print(Text(f"What they say: {again}"), soft_wrap=True)


def _print_imported(done: Imported, into: str) -> None:
    """What was found out about the parameters, and what went where."""
    console.print(_space_table(done.params))
    for note in done.notes:
        console.print(Text(note), soft_wrap=True)
    aims = {"minimize": "lower is better", "maximize": "higher is better"}
    results = ", ".join(
        f"{name} ({aims[aim]})" for name, aim in zip(done.metrics, done.directions, strict=True)
    )
    counts = ", ".join(f"{count} {state}" for state, count in done.counts.items())
    counts = counts.replace("fail", "failed")
    console.print(Text(f"Imported {counts} into {into}; {results}."), soft_wrap=True)


def export(
    study: Annotated[str, typer.Argument(help="A study in the store.")],
    output: Annotated[
        Path, typer.Option(help="A .csv or .parquet table, or a .zip with all that is stored.")
    ],
    storage: StorageOption = None,
) -> None:
    """Write a study to a file that `hpsearch import` reads back whole.

    A table (.csv, .parquet) has the trials; a .zip also epochs, events, rules and the queue, so
    that the study can be continued in another store.
    """
    from hpsearch.data.words import how_many
    from hpsearch.exchange import export_study
    from hpsearch.exchange.exporting import check_kind
    from hpsearch.library import find_one
    from hpsearch.sources import open_ours, open_source

    models: list[dict[str, Any]] = []
    if output.suffix.lower() == ZIP:
        with open_ours(storage) as store:
            study_id = find_one(store, study).study_id
            count = store.export_study(study_id, output).trials
            models = store.artifacts(study_id)
    else:
        check_kind(output)
        with open_source(storage) as source:
            count = export_study(source.load(source.find_one(study)), output)
    console.print(Text(f"Wrote {how_many(count, 'trial')} to {output}"), soft_wrap=True)
    _print_left_out(models)


def _print_left_out(artifacts: list[dict[str, Any]]) -> None:
    """Say where the models are that a .zip only names: a language model's takes 100 MB."""
    folders = sorted({str(Path(row["path"]).parent) for row in artifacts})
    if folders:
        text = (
            f"Not in it: {len(artifacts)} of the trials' models, in {', '.join(folders)}; to use "
            "them elsewhere, copy them to the same place there, or make them again with "
            "`hpsearch train STUDY --trial N`."
        )
        console.print(Text(text), soft_wrap=True)


def _import_whole(file: Path, study: str | None, storage: str | None) -> None:
    from hpsearch.data.words import how_many
    from hpsearch.store import Store

    with Store.open(storage) as store:
        moved = store.import_study(file, study)
        line = f"Imported {how_many(moved.trials, 'trial')} into study {moved.name}"
        console.print(Text(f"{line} of {store.shown_url}"), soft_wrap=True)


def _wishes(log: Names, linear: Names, categorical: Names, ranges: Names) -> Wishes | None:
    from hpsearch.exchange import Wishes

    if not (log or linear or categorical or ranges):
        return None
    return Wishes(
        frozenset(log or ()),
        frozenset(linear or ()),
        frozenset(categorical or ()),
        dict(map(_range, ranges or ())),
    )


def _range(text: str) -> tuple[str, tuple[float, float]]:
    """'lr=1e-5:0.1' -> ("lr", (1e-5, 0.1)). Raises InputError for anything else."""
    name, _, ends = text.rpartition("=")
    try:
        low, high = map(float, ends.split(":"))
    except ValueError:
        low, high = 1.0, 0.0
    if not name or not low < high:
        raise InputError(f"--range {text} is not NAME=LOW:HIGH, such as lr=1e-5:0.1.")
    return name, (low, high)


def _space_table(params: Mapping[str, BaseDistribution]) -> Table:
    from hpsearch.search.space import describe

    table = new_table("Parameters", "parameter", "values")
    for name, distribution in params.items():
        table.add_row(escape(name), escape(describe(distribution)))
    return table
