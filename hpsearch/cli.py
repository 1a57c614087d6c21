"""The command line: each command parses, calls the API and prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from hpsearch import (
    __version__,
    cli_doctor,
    cli_exchange,
    cli_explain,
    cli_models,
    cli_new,
    cli_recommend,
    cli_run,
    cli_verify,
    cli_worker,
)
from hpsearch.cli_data import data_app
from hpsearch.cli_run import Storage
from hpsearch.errors import HpsearchError
from hpsearch.printing import complain

if TYPE_CHECKING:
    from hpsearch.sources import Source

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data_app, name="data")
console = Console(highlight=False)


def main() -> None:
    """The entry point: errors are one sentence on stderr; --debug anywhere shows the traceback."""
    # libgomp's threads spin some milliseconds before they sleep, which stalls all as soon as a core
    # is shared; without spinning, two threads of a small model are no faster than one. A thousand
    # turns cost 5% on a free machine, and a quarter beside a busy process (default: half or more).
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(arguments, standalone_mode=True)
    except KeyboardInterrupt:
        if debug:
            raise
        sys.exit(130)
    except HpsearchError as error:
        if debug:
            raise
        complain(str(error))
        sys.exit(error.exit_status)
    except Exception as error:
        if debug:
            raise
        complain(
            f"hpsearch failed unexpectedly ({type(error).__name__}: {error}); "
            "add --debug to see where, and please report it."
        )
        sys.exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        console.print(f"hpsearch {__version__}")
        raise typer.Exit


@app.callback(
    epilog="Start with: [bold]hpsearch run imdb-clas --preset quick[/], "
    "then [bold]hpsearch explain[/]."
)
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
    debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
) -> None:
    """Search hyperparameters, and read rules of thumb with honest intervals off the trials."""


cli_run.register(app)
cli_worker.register(app)


cli_explain.register(app)


@app.command(epilog="Example: [bold]hpsearch dashboard --port 8081[/]")
def dashboard(
    storage: Storage = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at.")] = 8080,
) -> None:
    """Serve the Optuna dashboard of the store, or of any Optuna database or journal."""
    from hpsearch.dashboard import serve
    from hpsearch.sources import open_source

    # Notes that a person types on its pages are theirs to keep, in a database of any kind.
    with open_source(storage, push=True) as source:
        serve(source, host, port, console)


@app.command(epilog="Example: [bold]hpsearch studies[/]")
def studies(storage: Storage = None) -> None:
    """List the built-in studies, and those in the store with their trials."""
    from hpsearch import listing

    console.print(listing.builtin_studies())
    with _source_if_any(storage) as source:
        if source is not None:
            console.print("", listing.stored_studies(source))


@app.command(epilog="Example: [bold]hpsearch show imdb-clas --preset quick[/]")
def show(
    study: Annotated[str, typer.Argument(help="A built-in study or a path to a study.toml.")],
    preset: Annotated[str | None, typer.Option(help="With the ranges of this preset.")] = None,
    storage: Storage = None,
) -> None:
    """Print a study: its data, space, defaults and budgets, and its trials so far."""
    from hpsearch import listing
    from hpsearch.studies import load_spec

    spec = load_spec(study)
    console.print(listing.describe_spec(spec, preset))
    with _source_if_any(storage) as source:
        if source is not None:
            console.print(listing.trials_so_far(source, spec))


cli_models.register(app)
cli_doctor.register(app)
cli_new.register(app)
cli_recommend.register(app)
cli_exchange.register(app)
cli_verify.register(app)


@contextmanager
def _source_if_any(storage: str | None) -> Iterator[Source | None]:
    """The store; None where none was asked for and the default one is not there yet."""
    from hpsearch.sources import open_source
    from hpsearch.store.opening import NoStoreError

    try:
        source = open_source(storage)
    except NoStoreError:
        if storage is not None:
            raise
        yield None
        return
    with source:
        yield source
