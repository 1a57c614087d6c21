"""The commands about rules: verify decides about one by new runs, rules lists those kept."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from hpsearch.cli_models import DataOption
from hpsearch.cli_run import Storage
from hpsearch.cli_worker import Address, Engine, WorkerCpus, WorkerGpus, parse_cluster
from hpsearch.errors import InputError

console = Console(highlight=False)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command(
        epilog="Examples: [bold]hpsearch verify imdb-clas --param lr_decay --value 2.6 "
        "--against 1.0[/]; [bold]hpsearch verify adult-quick --param wd --value 0.1 --against 0.01 "
        "--pairs 10[/]"
    )(verify)
    app.command(epilog="Example: [bold]hpsearch rules[/]")(rules)


def verify(
    study: Annotated[
        str, typer.Argument(help="A built-in study, a study.toml, or a study's name in the store.")
    ],
    param: Annotated[str, typer.Option(help="The parameter of the rule.")],
    value: Annotated[str, typer.Option(help="The value that the rule recommends.")],
    against: Annotated[str, typer.Option(help="The value to compare it with.")],
    pairs: Annotated[
        int | None,
        typer.Option(help="How many pairs of runs. Default: from noise and claimed gain."),
    ] = None,
    level: Annotated[float, typer.Option(help="Of the interval.")] = 0.9,
    preset: Annotated[
        str, typer.Option(help="Which of the study's presets. Default: that with trials.")
    ] = "auto",
    storage: Storage = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that run trials. Default: as for run.")
    ] = None,
    devices: Annotated[str | None, typer.Option(help="As for run: cuda:0,cuda:1.")] = None,
    engine: Engine = "local",
    address: Address = None,
    worker_cpus: WorkerCpus = None,
    worker_gpus: WorkerGpus = None,
    data: DataOption = None,
    format: Annotated[str, typer.Option(help="text or json.")] = "text",
) -> None:
    """Confirm or refute a rule by pairs of new runs: same seed, same other values.

    How many pairs, and the test, are written down before the first run. The same command goes on
    with an interrupted verification.
    """
    from hpsearch.verifying import verify as run_pairs
    from hpsearch.verifying.which import which

    if format not in ("text", "json"):
        raise InputError(f"--format {format} is not known: choose text or json.")
    chosen = which(study, storage=storage, preset=preset)
    done = run_pairs(
        chosen.spec, param=param, value=value, against=against, pairs=pairs, level=level,
        storage=chosen.storage, preset=chosen.preset, workers=workers,
        devices=devices.split(",") if devices else None, engine=engine,
        cluster=parse_cluster(address, worker_cpus, worker_gpus), data_path=data,
        console=console if format == "text" else Console(stderr=True, highlight=False),
    )  # fmt: skip
    if format == "json":
        typer.echo(done.to_json())
    else:
        console.print(done, soft_wrap=True)


def rules(
    studies: Annotated[
        list[str] | None, typer.Argument(help="Studies in the store. Default: all of them.")
    ] = None,
    storage: Annotated[
        list[str] | None, typer.Option(help="As for explain; repeatable.", show_default=False)
    ] = None,
    format: Annotated[str, typer.Option(help="table or json.")] = "table",
) -> None:
    """List the rules that explain kept, study by study, with the verdicts of verify."""
    import json

    from hpsearch.rule_listing import kept_rules, rules_table
    from hpsearch.sources import find_in, open_sources

    if format not in ("table", "json"):
        raise InputError(f"--format {format} is not known: choose table or json.")
    with open_sources(storage or [None], keep=False) as sources:
        kept = [one for place in find_in(sources, studies or []) for one in kept_rules(*place)]
    if format == "json":
        typer.echo(json.dumps({"schema": "hpsearch.rules/1", "rules": kept}, indent=1))
    elif kept:
        console.print(rules_table(kept))
    else:
        console.print("No rules are kept yet: hpsearch explain keeps what it finds.")
