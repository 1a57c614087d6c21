"""The commands that run trials: run, and worker, which helps a run from elsewhere."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

import hpsearch
from hpsearch.cli.options import (
    Address,
    Data,
    Devices,
    Engine,
    HalveBatch,
    LanguageModel,
    Preset,
    RunnableStudy,
    RunStorage,
    SkipBadRows,
    Storage,
    TrialMemory,
    TrialTimeout,
    WorkerCpus,
    WorkerGpus,
    Workers,
    panel_option,
    parse_bytes,
    parse_cluster,
    parse_config,
    parse_devices,
    parse_duration,
)
from hpsearch.cli.output import console

_search = panel_option("How trials are chosen")

Sampler = Annotated[
    str | None,
    _search(
        "Draws the exploit trials: tpe, gp, cmaes, qmc, random or forest. "
        "Default: the study's, else tpe."
    ),
]

Pruner = Annotated[
    str | None,
    _search(
        "Ends hopeless exploit trials early: median, hyperband, wilcoxon or none. "
        "Default: the study's, else median."
    ),
]

DesignShare = Annotated[
    float | None,
    _search(
        "Share of the trials that are spread evenly and never pruned, which is what rules "
        "are read off; the others exploit. Default: the study's, else 0.5."
    ),
]

Fix = Annotated[list[str] | None, _search("name=value, held in all trials of this run.")]

Try = Annotated[
    list[str] | None,
    _search(
        "A configuration to run first: 'lr=0.01 bs=32'. What it leaves open is drawn.", "--try"
    ),
]

WarmStart = Annotated[
    list[str] | None,
    _search("Try the best configurations of this study in the store first."),
]

Prior = Annotated[
    list[str] | None,
    _search(
        "Start the search from the rules of this study in the store, of all others (rules), of "
        "those whose trials come with hpsearch (recorded), or of a .json file of explain."
    ),
]

Also = Annotated[
    list[str] | None,
    _search(
        "A further objective: seconds, or any metric; +metric if higher is better. "
        "A study has its objectives from its first run on."
    ),
]

Constraint = Annotated[
    list[str] | None,
    _search("name=limit of what a trial measures, such as seconds_per_epoch=30."),
]

Target = Annotated[float | None, _search("End as soon as a trial is as good as this.")]

_function = panel_option("A function of your own")

Space = Annotated[
    list[str] | None,
    _function(
        "name=range, such as lr=1e-5..1e-1,log or drop=0.0..0.5; depth=1..8 for whole numbers; "
        "model=svm,forest for choices. Once for each parameter."
    ),
]

Metric = Annotated[str | None, _function("What its number is called. Default: value.")]

Direction = Annotated[
    str | None,
    _function(
        "maximize or minimize. Default: by the metric's name, the function's, else minimize."
    ),
]

Name = Annotated[str | None, _function("What the study is called. Default: module.function.")]

AcceptCode = Annotated[
    bool,
    _function("It changed since the first trials, yet gives the same results.", "--accept-code"),
]

Log = Annotated[
    list[str] | None,
    _search("Show the epochs as they happen in tensorboard, mlflow or wandb, too."),
]

UntilStable = Annotated[bool, _search("End once the rules no longer change.", "--until-stable")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command(
        epilog="Examples: [bold]hpsearch run imdb-clas --preset quick --trials 12[/]; "
        "[bold]hpsearch run my/study.toml --timeout 2h --workers 4[/]; "
        "[bold]hpsearch run shop:cost --space price=1..9 --metric cost[/]; "
        "[bold]hpsearch run adult --engine ray --worker-gpus 0.25[/]; "
        "[bold]hpsearch run adult --sampler forest --fix bs=64 --target 0.85[/]"
    )(run)
    app.command(
        epilog="Example: [bold]hpsearch worker imdb-clas --storage postgresql://me@host/db[/], "
        "while [bold]hpsearch run imdb-clas[/] with the same --storage runs elsewhere."
    )(worker)


def run(
    study: RunnableStudy,
    space: Space = None,
    metric: Metric = None,
    direction: Direction = None,
    name: Name = None,
    trials: Annotated[
        int | None,
        typer.Option(help="How many more trials to run. Default: the preset's budget."),
    ] = None,
    total: Annotated[
        int | None,
        typer.Option(help="Run what the study lacks of so many trials, in place of --trials."),
    ] = None,
    timeout: Annotated[
        str | None, typer.Option(help="Start no trial after this time: 90s, 30m, 2h, 1h30m.")
    ] = None,
    preset: Preset = "auto",
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
    data: Data = None,
    sampler: Sampler = None,
    pruner: Pruner = None,
    design_share: DesignShare = None,
    fix: Fix = None,
    tries: Try = None,
    warm_start: WarmStart = None,
    prior: Prior = None,
    also: Also = None,
    constraint: Constraint = None,
    target: Target = None,
    until_stable: UntilStable = False,
    log: Log = None,
    language_model: LanguageModel = None,
    skip_bad_rows: SkipBadRows = False,
    accept_code: AcceptCode = False,
) -> None:
    """Run trials of a study, or of your own function; run it again to add more."""
    from hpsearch.search.job import Limits
    from hpsearch.study.given_space import parse_spaces

    others = {
        "tries": [parse_config("--try", shlex.split(one)) for one in tries or ()],
        "constraints": parse_config("--constraint", constraint or ()),
    }
    seconds = None if trial_timeout is None else parse_duration(trial_timeout, "--trial-timeout")
    memory = None if trial_memory is None else parse_bytes(trial_memory, "--trial-memory")
    hpsearch.run(
        study,
        space=parse_spaces(space) if space else None,
        metric=metric,
        direction=direction,
        name=name,
        trials=trials,
        total=total,
        timeout=None if timeout is None else parse_duration(timeout, "--timeout"),
        storage=storage,
        preset=preset,
        workers=workers,
        devices=parse_devices(devices),
        engine=engine,
        cluster=parse_cluster(address, worker_cpus, worker_gpus),
        limits=Limits(seconds, memory, halve_batch),
        seed=seed,
        data=data,
        language_model=language_model,
        skip_bad_rows=skip_bad_rows,
        accept_code=accept_code,
        sampler=sampler,
        pruner=pruner,
        design_share=design_share,
        fix=parse_config("--fix", fix or ()) or None,
        warm_start=warm_start,
        prior=prior,
        also=also,
        target=target,
        until_stable=until_stable,
        log=log,
        search={key: value for key, value in others.items() if value},
        console=console,
    )


STOPPED = 75
"""The exit status of a worker whose run was stopped: EX_TEMPFAIL of sysexits.h, "try again"."""


def worker(
    study: Annotated[str, typer.Argument(help="The study that is being run, as for run.")],
    storage: RunStorage = None,
    preset: Annotated[
        str, typer.Option(help="The run's: quick, cpu, full; auto joins whichever there is.")
    ] = "auto",
    workers: Workers = None,
    devices: Devices = None,
    data: Data = None,
    language_model: Annotated[
        str | None,
        typer.Option(help="Where the run's language model lies, if it is a folder of one's own."),
    ] = None,
    wait: Annotated[str, typer.Option(help="How long to wait for a run: 90s, 30m, 2h.")] = "2m",
) -> None:
    """Join a running study from another process or machine, until no trial is left.

    Exit status 75 if the run was stopped before its trials were done.
    """
    left = hpsearch.join(
        study,
        storage=storage,
        preset=preset,
        workers=workers,
        devices=parse_devices(devices),
        data=data,
        language_model=language_model,
        wait=parse_duration(wait, "--wait"),
        console=console,
    )
    if left:
        raise typer.Exit(STOPPED)
