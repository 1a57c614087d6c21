"""The commands on a store: doctor, enqueue, delete, rename, import and export of its studies."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

import hpsearch
from hpsearch.cli.options import Storage, StoredStudy, parse_config
from hpsearch.cli.output import command_line, console
from hpsearch.core.console import say
from hpsearch.core.terminal import one_line
from hpsearch.errors import InputError

if TYPE_CHECKING:
    from hpsearch.exchange import Imported


Names = list[str] | None


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command(epilog="Example: [bold]hpsearch delete my-first-try-quick --yes[/]")(delete)
    app.command(epilog="Example: [bold]hpsearch rename imdb-clas-quick earlier[/]")(rename)
    app.command(
        epilog="Examples: [bold]hpsearch doctor[/]; "
        "[bold]hpsearch doctor --storage postgresql://me@host/db --mend[/]"
    )(doctor)
    app.command(epilog="Example: [bold]hpsearch enqueue imdb-clas-quick lr=0.01 bs=32[/]")(enqueue)
    app.command(
        "import",
        epilog="Examples: [bold]hpsearch import runs.csv --study mine --metric val_acc[/]; "
        "[bold]hpsearch import ray.parquet --study mine --metric loss --log lr[/]; "
        "[bold]hpsearch import study.zip --storage postgresql://me@host/db[/]",
    )(import_)
    app.command(
        epilog="Examples: [bold]hpsearch export imdb-clas-quick --output trials.parquet[/]; "
        "[bold]hpsearch export imdb-clas-quick --output study.zip[/]; "
        "[bold]hpsearch export imdb-clas-quick --output studies/imdb-clas/results/quick[/]"
    )(export)


def doctor(
    storage: Storage = None,
    mend: Annotated[
        bool, typer.Option("--mend", help="Put right what can be put right without a loss.")
    ] = False,
) -> None:
    """Look at a store: dead workers, lost rows, unreadable ones, the disk, clocks and schema.

    Exit status 1 if something is left that is not well.
    """
    found = hpsearch.doctor(storage=storage, mend=mend)
    for one in found:
        word, style = ("mended", "yellow") if one.mended else ("ok", "green")
        if not one.fine:
            word, style = "WRONG", "bold red"
        line = Text.assemble((f"{word:<7}", style), f"{one.what:<20}", one_line(one.text))
        console.print(line, soft_wrap=True)
    if not all(one.fine for one in found):
        raise typer.Exit(1)


def enqueue(
    study: StoredStudy,
    values: Annotated[
        list[str], typer.Argument(help="name=value; what is left open is drawn by the sampler.")
    ],
    storage: Storage = None,
) -> None:
    """Put a configuration into a study's queue; its next run begins with it."""
    name, number = hpsearch.enqueue(study, parse_config("enqueue", values), storage=storage)
    say(console, f"trial {number} of {name} waits; the study's next run takes it up")


def delete(
    study: Annotated[str, typer.Argument(help="The whole name of a study in the store.")],
    storage: Storage = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a study with its trials, rules and kept models; nothing brings it back."""
    from hpsearch.core.words import how_many
    from hpsearch.store.delete_or_rename import named
    from hpsearch.store.sources import open_ours

    with open_ours(storage) as store:
        found, shown = named(store, study), store.shown_url
    what = f"{found.name} with {how_many(found.trials, 'trial')} from {shown}"
    if not yes:
        if not sys.stdin.isatty():
            raise InputError(f"Nothing was deleted: add --yes to delete {what}.")
        if not typer.confirm(f"Delete {what}?"):
            raise typer.Exit(1)
    hpsearch.delete_study(study, storage=storage)
    say(console, f"Deleted {what}")


def rename(
    study: Annotated[str, typer.Argument(help="The whole name of a study in the store.")],
    name: Annotated[str, typer.Argument(help="What to call it.")],
    storage: Storage = None,
) -> None:
    """Give a study in the store another name; the next run of its study.toml begins a new one."""
    hpsearch.rename_study(study, name, storage=storage)
    say(console, f"{study} is called {name} now")


def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV, Parquet or JSON, a row for each trial, or a .zip or folder of export."
        ),
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
    keep: Annotated[
        Names, typer.Option(help="A parameter, too: this column, whatever it looks like.")
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
    storage: Storage = None,
    allow_large: Annotated[
        bool,
        typer.Option("--allow-large", help="Take in a .zip that grows to many times its size."),
    ] = False,
) -> None:
    """Make a study of somebody's trials: a table with a column for each parameter.

    Columns such as config/lr or params_lr are found by their prefix, others by what they hold.
    Types, ranges and scales are found out and shown. A .zip or a folder that export wrote is taken
    in as it is, with everything that it holds, and can be continued.
    """
    from hpsearch.core.database_urls import parse_url, shown_url
    from hpsearch.core.words import how_many
    from hpsearch.exchange import Imported

    done = hpsearch.import_study(
        file, study, metric=metric or (), direction=direction or (), param=param or (),
        keep=keep or (), ignore=ignore or (), log=log or (), linear=linear or (),
        categorical=categorical or (), range=dict(map(_parse_range, range or ())),
        storage=storage, allow_large=allow_large,
    )  # fmt: skip
    where = shown_url(parse_url(storage))
    if not isinstance(done, Imported):
        say(console, f"Imported {how_many(done.trials, 'trial')} into study {done.name} of {where}")
        return
    assert study is not None  # or there were nothing to call it by
    _print_imported(done, f"study {study} of {where}")
    again = command_line("explain", storage, study)
    say(console, f"What they say: {again}")


def _print_imported(done: Imported, into: str) -> None:
    """What was found out about the parameters, and what went where."""
    from hpsearch.cli.tables import params_table

    console.print(params_table("Parameters", done.params))
    for note in done.notes:
        say(console, note)
    aims = {"minimize": "lower is better", "maximize": "higher is better"}
    results = ", ".join(
        f"{name} ({aims[aim]})" for name, aim in zip(done.metrics, done.directions, strict=True)
    )
    counts = ", ".join(f"{count} {state}" for state, count in done.counts.items())
    counts = counts.replace("fail", "failed")
    say(console, f"Imported {counts} into {into}; {results}.")


def export(
    study: StoredStudy,
    output: Annotated[
        Path,
        typer.Option(
            help="A .csv or .parquet table, a .zip with all that is stored, or a folder to publish."
        ),
    ],
    storage: Storage = None,
) -> None:
    """Write a study to a file that `hpsearch import` reads back whole.

    A table (.csv, .parquet) has the trials, its cells as they are: a spreadsheet may take some of
    a stranger's study for formulas; a .zip also epochs, events, rules and the queue, so
    that the study can be continued in another store; a folder, to be published beside the
    study.toml in results/, tables of the trials and epochs and where they come from.
    """
    from hpsearch.core.words import how_many
    from hpsearch.exchange.export_trials import holds_formulas

    done = hpsearch.export_study(study, output, storage=storage)
    say(console, f"Wrote {how_many(done.trials, 'trial')} to {output}")
    if output.suffix.lower() == ".csv" and output.is_file() and holds_formulas(output):
        say(
            console,
            f"Cells of {output} begin with =, @, + or -, which a spreadsheet calculates: they are "
            "as the study has them, so open it with all columns as text, or write .parquet.",
        )
    _print_models_left_out(done.models)


def _print_models_left_out(models: Sequence[Path]) -> None:
    """Say where the models are that a .zip only names: a language model's takes 100 MB."""
    folders = sorted({str(path.parent) for path in models})
    if folders:
        text = (
            f"Not in it: {len(models)} of the trials' models, in {', '.join(folders)}; to use "
            "them elsewhere, copy them to the same place there, or make them again with "
            "`hpsearch train STUDY --trial N`."
        )
        say(console, text)


def _parse_range(text: str) -> tuple[str, tuple[float, float]]:
    """'lr=1e-5:0.1' -> ("lr", (1e-5, 0.1)). Raises InputError for anything else."""
    name, _, ends = text.rpartition("=")
    try:
        low, high = map(float, ends.split(":"))
    except ValueError:
        low, high = 1.0, 0.0
    if not name or not low < high:
        raise InputError(f"--range {text} is not NAME=LOW:HIGH, such as lr=1e-5:0.1.")
    return name, (low, high)
