"""The command that decides about a rule by new runs: verify."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

import hpsearch
from hpsearch.cli.options import (
    Address,
    Data,
    Devices,
    Engine,
    Level,
    Storage,
    WorkerCpus,
    WorkerGpus,
    Workers,
    parse_cluster,
    parse_devices,
)
from hpsearch.cli.output import console, notes
from hpsearch.core.words import Shown


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        epilog="Examples: [bold]hpsearch verify imdb-clas --param lr_decay --value 2.6 "
        "--against 1.0[/]; [bold]hpsearch verify adult-quick --param wd --value 0.1 --against 0.01 "
        "--pairs 10[/]"
    )(verify)


def verify(
    study: Annotated[
        str, typer.Argument(help="A built-in study, a study.toml, or a study's name in the store.")
    ],
    param: Annotated[
        list[str], typer.Option(help="The parameter of the rule; repeat for several rules.")
    ],
    value: Annotated[
        list[str], typer.Option(help="The value that the rule recommends; one for each --param.")
    ],
    against: Annotated[
        list[str], typer.Option(help="The value to compare it with; one for each --param.")
    ],
    pairs: Annotated[
        int | None,
        typer.Option(help="How many pairs of runs. Default: from noise and claimed gain."),
    ] = None,
    max_pairs: Annotated[
        int, typer.Option(help="The most pairs where --pairs is not given.")
    ] = 100,
    level: Level = 0.9,
    preset: Annotated[
        str, typer.Option(help="Which of the study's presets. Default: that with trials.")
    ] = "auto",
    storage: Storage = None,
    workers: Workers = None,
    devices: Devices = None,
    engine: Engine = "local",
    address: Address = None,
    worker_cpus: WorkerCpus = None,
    worker_gpus: WorkerGpus = None,
    data: Data = None,
    format: Annotated[Literal["text", "json"], typer.Option(help="What is printed.")] = "text",
) -> None:
    """Confirm or refute a rule by pairs of new runs: same seed, same other values.

    The plan and the test are written down before the first run. The same command goes on with an
    interrupted verification; after a verdict it adds pairs, and all pairs decide. Several rules
    share the error.
    """
    if not len(param) == len(value) == len(against):
        raise hpsearch.InputError(
            f"--param is given {len(param)} times, --value {len(value)} and --against "
            f"{len(against)} times: give all three for each rule."
        )
    rules = list(zip(param, map(Shown, value), map(Shown, against), strict=True))
    done = hpsearch.verify_rules(
        study, rules, pairs=pairs, max_pairs=max_pairs,
        level=level, storage=storage, preset=preset, workers=workers,
        devices=parse_devices(devices), engine=engine,
        cluster=parse_cluster(address, worker_cpus, worker_gpus), data=data,
        console=console if format == "text" else notes,
    )  # fmt: skip
    if format == "json":
        documents = [one.to_json() for one in done]
        typer.echo(documents[0] if len(param) == 1 else f"[{', '.join(documents)}]")
        return
    for one in done:
        console.print(one, soft_wrap=True)
