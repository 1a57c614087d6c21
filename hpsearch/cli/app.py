"""The command line: each command parses, calls the API and prints."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from hpsearch import __version__
from hpsearch.cli import data, explain, models, recommend, run, store, verify
from hpsearch.cli.options import Storage, Study
from hpsearch.cli.output import console
from hpsearch.core.console import print_error, print_lines
from hpsearch.core.terminal import guard_streams
from hpsearch.errors import HpsearchError
from hpsearch.extras import missing_extra

if TYPE_CHECKING:
    from types import ModuleType

    from hpsearch.store.sources import Source


class Commands(TyperGroup):
    """The commands. What is wrong with an option is said without pydantic's "Value error, "."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - Typer's own copy of click's Context
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")
            raise


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The entry point: errors are one sentence on stderr; --debug anywhere shows the traceback."""
    guard_streams()
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(arguments, prog_name="hpsearch", standalone_mode=True)
    except KeyboardInterrupt:
        if debug:
            raise
        sys.exit(130)
    except HpsearchError as error:
        if debug:
            raise
        print_error(str(error))
        sys.exit(error.exit_status)
    except OSError as error:
        if debug or error.errno not in PATH_ERRORS or error.filename is None:
            _fail_unexpectedly(error, debug)
        print_error(f"{error.filename} cannot be read: {error.strerror}.")
        sys.exit(2)
    except Exception as error:
        if not debug and (absent := missing_extra(error)):
            print_error(str(absent))
            sys.exit(absent.exit_status)
        if not debug and (lack := _out_of_memory_text(error)):
            print_error(lack)
            sys.exit(1)
        _fail_unexpectedly(error, debug)


PATH_ERRORS = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EACCES, errno.EISDIR)
"""What is wrong with a path that was given, wherever it is met."""


def _out_of_memory_text(error: Exception) -> str | None:
    """What to do if the machine or a GPU ran out of memory; None for any other error."""
    from hpsearch.search.worker.attempts import is_out_of_memory

    if not is_out_of_memory(error):
        return None
    if any(word in str(error).lower() for word in ("cuda", "cublas", "cudnn")):
        return (
            "The GPU has not enough memory: end other programs that use it, train with a smaller "
            "batch (--set bs=16), or compute without it (HPSEARCH_DEVICE=cpu)."
        )
    return "There is not enough memory: end other programs, or make what is read smaller."


def _fail_unexpectedly(error: Exception, debug: bool) -> NoReturn:
    if debug:
        raise error
    print_error(
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
def _program(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Search hyperparameters, and read rules of thumb with honest intervals off the trials."""


STORES = "Studies and stores"


def _add(panel: str, *families: ModuleType) -> None:
    """Add the commands of these modules, in a panel of `--help`."""
    for family in families:
        family.register(app)
    for command in app.registered_commands:
        command.rich_help_panel = command.rich_help_panel or panel
    for group in app.registered_groups:
        group.rich_help_panel = group.rich_help_panel or panel


_add("Search", run)
_add("Rules of thumb", explain, verify)


@app.command(epilog="Example: [bold]hpsearch dashboard --port 8081[/]", rich_help_panel=STORES)
def dashboard(
    storage: Storage = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at.")] = 8080,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Answer under this name of the machine, too; may be repeated. Other names than"
            " localhost and --host are refused, so that no page of the web gets in by one."
        ),
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Let nobody change it.")] = False,
) -> None:
    """Serve the Optuna dashboard of the store, or of any Optuna database or journal."""
    from hpsearch.cli.dashboard_server import serve
    from hpsearch.store.sources import open_source

    # Notes that a person types on its pages are theirs to keep, in a database of any kind.
    with open_source(storage, push=not read_only, read_only=read_only) as source:
        serve(source, host, port, console, allow_hosts=allow_host or (), read_only=read_only)


@app.command(epilog="Example: [bold]hpsearch studies[/]", rich_help_panel=STORES)
def studies(storage: Storage = None) -> None:
    """List the built-in studies, and those in the store with their trials."""
    from hpsearch.cli import tables

    console.print(tables.builtin_studies())
    with _source_if_any(storage) as source:
        if source is not None:
            console.print("", tables.stored_studies(source))


@app.command(
    epilog="Examples: [bold]hpsearch show imdb-clas --preset quick[/]; "
    "[bold]hpsearch show imdb-clas-quick --top 10[/]",
    rich_help_panel=STORES,
)
def show(
    study: Study,
    preset: Annotated[str | None, typer.Option(help="With the ranges of this preset.")] = None,
    top: Annotated[
        int | None,
        typer.Option(min=1, help="Only so many trials of a study in the store, the best first."),
    ] = None,
    storage: Storage = None,
) -> None:
    """Print a study: its data, space, defaults and budgets, and its trials so far; of one that is
    in the store alone what is known of it."""
    from hpsearch.cli import tables
    from hpsearch.store.sources import open_source
    from hpsearch.study.defaults import UnknownStudyError
    from hpsearch.study.spec import load_spec

    if top is not None:
        name = load_spec(study).name if Path(study).exists() else study
        with open_source(storage) as source:
            for one in source.find([name]):
                one.check()
                print_lines(console, tables.top_trials(source, one, top))
        return
    from hpsearch.search.plan.stored_function import continued

    try:
        spec = continued(load_spec(study), storage)
    except UnknownStudyError:
        with _source_if_any(storage) as source:
            stored = [one for one in source.summaries if one.name == study] if source else []
            if source is None or not stored:
                raise
            print_lines(console, tables.describe_stored(source, stored[0]))
        return
    console.print(tables.describe_spec(spec, preset))
    with _source_if_any(storage) as source:
        if source is not None:
            console.print(tables.trials_so_far(source, spec))


@app.command(
    epilog="Examples: [bold]hpsearch compare adult-quick adult-cpu[/]; "
    "[bold]hpsearch compare adult-quick:7 adult-quick:0[/]",
    rich_help_panel=STORES,
)
def compare(
    names: Annotated[
        list[str],
        typer.Argument(help="STUDY for its best trial, STUDY:NUMBER for one of its trials."),
    ],
    storage: Storage = None,
) -> None:
    """Show studies or single trials of the store side by side, and where they differ."""
    from hpsearch.cli import tables
    from hpsearch.store.sources import open_source

    with open_source(storage) as source:
        print_lines(console, tables.compared(source, names))


_add(STORES, store)
_add("Single models", models, recommend)
_add("Data", data)


@contextmanager
def _source_if_any(storage: str | None) -> Iterator[Source | None]:
    """The store; None where none was asked for and the default one is not there yet."""
    from hpsearch.store.server.open import NoStoreError
    from hpsearch.store.sources import open_source

    try:
        source = open_source(storage)
    except NoStoreError:
        if storage is not None:
            raise
        yield None
        return
    with source:
        yield source
