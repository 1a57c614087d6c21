"""The command that searches: run."""

from __future__ import annotations

import re
from typing import Annotated

import typer
from rich.console import Console

from hpsearch.cli_models import DataOption
from hpsearch.errors import InputError

console = Console(highlight=False)

Storage = Annotated[
    str | None,
    typer.Option(
        help="Database URL, such as sqlite:///my.db or postgresql://host/db. "
        "Default: HPSEARCH_STORAGE, else sqlite:///hpsearch.db.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        epilog="Examples: [bold]hpsearch run imdb-clas --preset quick --trials 12[/]; "
        "[bold]hpsearch run my/study.toml --timeout 2h --workers 4[/]"
    )(run)


def run(
    study: Annotated[str, typer.Argument(help="A built-in study or a path to a study.toml.")],
    trials: Annotated[
        int | None,
        typer.Option(help="How many more trials to run. Default: the preset's budget."),
    ] = None,
    timeout: Annotated[
        str | None, typer.Option(help="Start no trial after this time: 90s, 30m, 2h, 1h30m.")
    ] = None,
    preset: Annotated[
        str, typer.Option(help="How large a trial is: quick, cpu, full; auto asks the device.")
    ] = "auto",
    storage: Storage = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes that run trials. Default: one a core, or one on a GPU."),
    ] = None,
    engine: Annotated[str, typer.Option(help="Where workers run: local.")] = "local",
    seed: Annotated[int, typer.Option(help="Of a new study; one worker repeats it exactly.")] = 0,
    data: DataOption = None,
    language_model: Annotated[
        str | None,
        typer.Option(help="For a classifier: a name, a folder, or best (of imdb-lm in the store)."),
    ] = None,
) -> None:
    """Run trials of a study; run it again to add more."""
    import hpsearch

    study_seconds = None if timeout is None else parse_duration(timeout)
    hpsearch.run(
        study,
        trials=trials,
        timeout=study_seconds,
        storage=storage,
        preset=preset,
        workers=_default_workers(trials) if workers is None else workers,
        engine=engine,
        seed=seed,
        data=data,
        language_model=language_model,
        console=console,
    )


def parse_duration(text: str) -> float:
    """Seconds in '90', '90s', '30m', '2h' or '1h30m'. Raises InputError for anything else."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text.strip())
    if not text.strip() or match is None:
        raise InputError(f"--timeout {text!r} is not a time: write 90s, 30m, 2h or 1h30m.")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(hours * 3600 + minutes * 60 + seconds)


def _default_workers(trials: int | None) -> int:
    """One a core; one on a GPU, which several would have to share."""
    from hpsearch.search.circumstances import cores, default_device

    if default_device() != "cpu":
        return 1
    return max(1, min(cores(), trials or cores()))
