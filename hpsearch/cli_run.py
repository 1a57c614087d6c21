"""The command that searches: run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

from hpsearch.cli_models import DataOption
from hpsearch.cli_worker import (
    Address,
    Devices,
    Engine,
    HalveBatch,
    TrialMemory,
    TrialTimeout,
    WorkerCpus,
    WorkerGpus,
    Workers,
    panel_option,
    parse_bytes,
    parse_cluster,
    parse_devices,
    parse_duration,
)

console = Console(highlight=False)
_how = panel_option("How trials are chosen")

Storage = Annotated[
    str | None,
    typer.Option(
        help="Database URL, such as sqlite:///my.db or postgresql://host/db. "
        "Default: HPSEARCH_STORAGE, else sqlite:///hpsearch.db.",
        show_default=False,
    ),
]

Sampler = Annotated[
    str | None,
    _how(
        "Draws the exploit trials: tpe, gp, cmaes, qmc, random or forest. "
        "Default: the study's, else tpe."
    ),
]
Pruner = Annotated[
    str | None,
    _how(
        "Ends hopeless exploit trials early: median, hyperband, wilcoxon or none. "
        "Default: the study's, else median."
    ),
]
DesignShare = Annotated[
    float | None,
    _how(
        "Share of the trials that are spread evenly and never pruned, which is what rules "
        "are read off; the others exploit. Default: the study's, else 0.5."
    ),
]
Fix = Annotated[list[str] | None, _how("name=value, held in all trials of this run.")]
Try = Annotated[
    list[str] | None,
    _how("A configuration to run first: 'lr=0.01 bs=32'. What it leaves open is drawn.", "--try"),
]
WarmStart = Annotated[
    list[str] | None, _how("Try the best configurations of this study in the store first.")
]
Also = Annotated[
    list[str] | None,
    _how(
        "A further objective: seconds, or any metric; +metric if higher is better. "
        "A study has its objectives from its first run on."
    ),
]
Constraint = Annotated[
    list[str] | None, _how("name=limit of what a trial measures, such as seconds_per_epoch=30.")
]
Target = Annotated[float | None, _how("End as soon as a trial is as good as this.")]
UntilStable = Annotated[bool, _how("End once the rules no longer change.", "--until-stable")]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command(
        epilog="Examples: [bold]hpsearch run imdb-clas --preset quick --trials 12[/]; "
        "[bold]hpsearch run my/study.toml --timeout 2h --workers 4[/]; "
        "[bold]hpsearch run adult --engine ray --worker-gpus 0.25[/]; "
        "[bold]hpsearch run adult --sampler forest --fix bs=64 --target 0.85[/]"
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
    workers: Workers = None,
    devices: Devices = None,
    engine: Engine = "local",
    address: Address = None,
    worker_cpus: WorkerCpus = None,
    worker_gpus: WorkerGpus = None,
    trial_timeout: TrialTimeout = None,
    trial_memory: TrialMemory = None,
    halve_batch: HalveBatch = False,
    seed: Annotated[int, typer.Option(help="Of a new study; one worker repeats it exactly.")] = 0,
    data: DataOption = None,
    sampler: Sampler = None,
    pruner: Pruner = None,
    design_share: DesignShare = None,
    fix: Fix = None,
    tries: Try = None,
    warm_start: WarmStart = None,
    also: Also = None,
    constraint: Constraint = None,
    target: Target = None,
    until_stable: UntilStable = False,
    language_model: Annotated[
        str | None,
        typer.Option(help="For a classifier: a name, a folder, or best (of imdb-lm in the store)."),
    ] = None,
) -> None:
    """Run trials of a study; run it again to add more."""
    import hpsearch

    given = {
        "sampler": sampler, "pruner": pruner, "design_share": design_share, "also": also,
        "fix": parse_config("--fix", fix or ()) or None,
        "tries": [parse_config("--try", shlex.split(one)) for one in tries or ()] or None,
        "warm_start": warm_start, "target": target, "until_stable": until_stable or None,
        "constraints": parse_config("--constraint", constraint or ()) or None,
    }  # fmt: skip
    search = {key: value for key, value in given.items() if value is not None}
    limit, memory = trial_timeout, trial_memory
    hpsearch.run(
        study,
        trials=trials,
        timeout=None if timeout is None else parse_duration(timeout, "--timeout"),
        storage=storage,
        preset=preset,
        workers=workers,
        devices=parse_devices(devices),
        engine=engine,
        cluster=parse_cluster(address, worker_cpus, worker_gpus),
        trial_timeout=None if limit is None else parse_duration(limit, "--trial-timeout"),
        trial_memory=None if memory is None else parse_bytes(memory, "--trial-memory"),
        halve_batch=halve_batch,
        seed=seed,
        data=data,
        language_model=language_model,
        search=search,
        console=console,
    )


def parse_config(option: str, texts: Sequence[str]) -> dict[str, Any]:
    """{"lr": 0.01, "moms": "0.8/0.7"} of lr=0.01 and moms=0.8/0.7. Raises InputError for others."""
    from hpsearch.final import parse_set

    config: dict[str, Any] = {}
    for text in texts:
        config |= parse_set(text, option)
    return config
