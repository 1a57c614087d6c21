"""The command worker, and the options of run and worker that say where trials run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from hpsearch.cli_models import DataOption
from hpsearch.errors import InputError

if TYPE_CHECKING:
    from hpsearch.search.engines import Cluster

console = Console(highlight=False)


def panel_option(panel: str) -> Callable[..., Any]:
    """A maker of options with their help in a panel of `--help`: option(help, *names)."""
    return lambda text, *names: typer.Option(*names, help=text, rich_help_panel=panel)


_where = panel_option("Workers and limits")

Workers = Annotated[
    int | None, _where("Processes that run trials. Default: one a core, or one on each GPU.")
]
Devices = Annotated[
    str | None,
    _where("What workers train on, in turn: cuda:0,cuda:1. Default: all GPUs, else cpu."),
]
Engine = Annotated[
    str, _where("Where workers run: local (processes here) or ray (tasks of a Ray cluster).")
]
Address = Annotated[
    str | None, _where("The Ray cluster: HOST:PORT, or auto for that of this machine, the default.")
]
WorkerCpus = Annotated[
    float | None, _where("Processors a worker takes of the Ray cluster. Default: 1.")
]
WorkerGpus = Annotated[
    float | None,
    _where("GPUs a worker takes of the Ray cluster, such as 0.25. Default: 1 if there is one."),
]
TrialTimeout = Annotated[
    str | None, _where("End a trial that takes longer, as failed: 90s, 30m, 2h.")
]
TrialMemory = Annotated[
    str | None,
    _where("End a trial whose worker uses more memory, or more of its GPU's, as failed: 4G."),
]
HalveBatch = Annotated[
    bool,
    _where(
        "Train a trial that ran out of memory once more with half of its batch.", "--halve-batch"
    ),
]
Storage = Annotated[
    str | None,
    typer.Option(
        help="The database that the run uses. Default: HPSEARCH_STORAGE, else "
        "sqlite:///hpsearch.db.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        epilog="Example: [bold]hpsearch worker imdb-clas --storage postgresql://me@host/db[/], "
        "while [bold]hpsearch run imdb-clas[/] with the same --storage runs elsewhere."
    )(worker)


def worker(
    study: Annotated[str, typer.Argument(help="The study that is being run, as for run.")],
    storage: Storage = None,
    preset: Annotated[
        str, typer.Option(help="The run's: quick, cpu, full; auto joins whichever there is.")
    ] = "auto",
    workers: Workers = None,
    devices: Devices = None,
    data: DataOption = None,
    wait: Annotated[str, typer.Option(help="How long to wait for a run: 90s, 30m, 2h.")] = "2m",
) -> None:
    """Join a running study from another process or machine, until no trial is left."""
    from hpsearch.search.join import join
    from hpsearch.studies import load_spec

    join(
        load_spec(study),
        storage=storage,
        preset=preset,
        workers=workers,
        devices=parse_devices(devices),
        data_path=None if data is None else Path(data),
        wait=parse_duration(wait, "--wait"),
        console=console,
    )


def parse_duration(text: str, option: str) -> float:
    """Seconds in '90', '90s', '30m', '2h' or '1h30m'. Raises InputError for anything else."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text.strip())
    if not text.strip() or match is None:
        raise InputError(f"{option} {text!r} is not a time: write 90s, 30m, 2h or 1h30m.")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(hours * 3600 + minutes * 60 + seconds)


UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


def parse_bytes(text: str, option: str) -> int:
    """Bytes in '4G', '1.5 GB' or '500M'. Raises InputError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip().upper())
    if match is None:
        raise InputError(f"{option} {text!r} is not a size: write 500M or 4G.")
    return int(float(match[1]) * UNITS[match[2]])


def parse_devices(text: str | None) -> tuple[str, ...] | None:
    """The names in 'cuda:0,cuda:1'."""
    if text is None:
        return None
    return tuple(part.strip() for part in text.split(",") if part.strip())


def parse_cluster(address: str | None, cpus: float | None, gpus: float | None) -> Cluster | None:
    """The Ray cluster that is meant; None where none of its options was given."""
    from hpsearch.search.engines import Cluster

    if address is None and cpus is None and gpus is None:
        return None
    return Cluster(address or "auto", 1.0 if cpus is None else cpus, gpus)
