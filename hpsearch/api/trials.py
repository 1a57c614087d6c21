"""Trials: run them, join a run of them, put one into the queue, and verify a rule by new ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna
    from rich.console import Console

    from hpsearch.search.engines import Cluster
    from hpsearch.search.job import Limits
    from hpsearch.verification import Verification


def run(
    study: str | Path | Callable[..., Any],
    *,
    space: Mapping[str, Any] | None = None,
    metric: str | None = None,
    direction: str | None = None,
    name: str | None = None,
    trials: int | None = None,
    total: int | None = None,
    timeout: float | None = None,
    preset: str = "auto",
    storage: str | None = None,
    workers: int | None = 1,
    devices: Sequence[str] | None = None,
    engine: str = "local",
    cluster: Cluster | None = None,
    limits: Limits | None = None,
    seed: int = 0,
    data: str | Path | None = None,
    sampler: str | None = None,
    pruner: str | None = None,
    design_share: float | None = None,
    fix: Mapping[str, Any] | None = None,
    warm_start: Sequence[str] | None = None,
    prior: Sequence[str] | None = None,
    also: Sequence[str] | None = None,
    target: float | None = None,
    until_stable: bool = False,
    log: Sequence[str] | None = None,
    search: Mapping[str, Any] | None = None,
    language_model: str | None = None,
    skip_bad_rows: bool = False,
    accept_code: bool = False,
    console: Console | None = None,
) -> optuna.Study:
    """Run trials of a study; call it again to add more.

    Args:
        study: a built-in name such as "imdb-clas", the path of a study.toml, or your own function
            of parameters: itself, or as "module:function".
        space: of a function: its parameters' ranges by name, each hpsearch.Float(low, high),
            hpsearch.Int(low, high), a list of choices, or a distribution of Optuna's. None: what
            the function itself declares.
        metric: of a function: what the number that it returns is called. None: "value".
        direction: of a function: "maximize" or "minimize". None: by the name of the metric, else
            by the function's, else "minimize".
        name: of a function: what the study is called. None: as the function is.
        trials: how many more trials to run. None: the preset's budget.
        total: how many trials the study is to have in the end, in place of `trials`: the same call
            again does what is left.
        timeout: seconds after which no trial is started.
        preset: how large a trial is: "quick", "cpu" or "full"; "auto" asks the device.
        storage: database URL. None: HPSEARCH_STORAGE, else sqlite:///hpsearch.db.
        workers: how many processes run trials; 1 is this process. None: one for each core, or as
            many as the memory of a GPU allows.
        devices: what workers train on, in turn, such as ["cuda:0", "cuda:1"]. None: the GPUs or
            the processor, on whichever the trials are measured to be faster.
        engine: where workers run: "local", or "ray" for a Ray cluster.
        cluster: with "ray", where the cluster is and what a worker takes of it.
        limits: of one trial: its seconds, and its worker's memory in bytes.
        seed: of a new study; a study that is continued keeps its own. One worker with the same
            seed repeats the trials exactly.
        data: your own copy of the data: a folder, an archive, a CSV, Parquet or JSON file.
        sampler: "tpe", "gp", "cmaes", "qmc", "random" or "forest", in place of the study's.
        pruner: "median", "hyperband", "wilcoxon" or "none", in place of the study's.
        design_share: the share of the trials that is spread over the space before one samples.
        fix: parameters that keep one value in all trials of this run, such as {"bs": 32}.
        warm_start: studies in the store whose best configurations are tried first.
        prior: studies, or JSON files of explanations, whose rules say where to look first; "rules":
            all others of the store; "recorded": the studies whose trials come with hpsearch.
        also: further objectives: "seconds" or any metric, "+" in front if higher is better.
        target: end as soon as a trial is as good as this.
        until_stable: end once the rules no longer change.
        log: programs that show the epochs as they happen, too: "tensorboard", "mlflow", "wandb".
        search: all that by the keys of [search] in a study.toml, and the others of these: "tries"
            and "constraints".
        language_model: what a classifier starts from: a name, a folder, or "best" (of the study
            imdb-lm in the store).
        skip_bad_rows: leave out rows of your own data that cannot be used, such as texts that are
            empty, and say how many and which; as `on_error = "skip"` in [data].
        accept_code: a function of your own that changed since the study's first trials still gives
            the same results.
        console: where the progress is printed. None: standard output.

    Returns:
        The Optuna study with all of its trials.

    Raises:
        InputError: for what was given wrongly, in one sentence that says the way out.
        HpsearchError: if the run failed as a whole.
        KeyboardInterrupt: after Ctrl-C, once the running trials are back in the queue.

    Example:
        >>> from pathlib import Path
        >>> from rich.console import Console
        >>> rows = [f"{u},{i},{1 + u * i % 5}" for u in range(12) for i in range(12)]
        >>> _ = Path("ratings.csv").write_text("\\n".join(["user,item,rating", *rows]))
        >>> study = hpsearch.run(
        ...     "movielens", preset="quick", data="ratings.csv", trials=2,
        ...     sampler="random", fix={"epochs": 3}, console=Console(quiet=True),
        ... )
        >>> study.study_name, len(study.trials)
        ('movielens-quick', 2)
        >>> def objective(x, model="tree"):
        ...     return (x - 0.3) ** 2 + (model == "linear")
        >>> study = hpsearch.run(
        ...     objective, space={"x": hpsearch.Float(0, 1), "model": ["tree", "linear"]},
        ...     trials=20, console=Console(quiet=True),
        ... )
        >>> study.best_value < 0.1
        True
    """
    from hpsearch.api.study_view import Study
    from hpsearch.search import Budget
    from hpsearch.search import run as run_search
    from hpsearch.search.engines import Workers
    from hpsearch.search.job import Limits
    from hpsearch.search.plan.stored_function import continued, naming_stored
    from hpsearch.search.plan.study_record import StudyChoice
    from hpsearch.study.given import study_of

    given = {"space": space, "metric": metric, "direction": direction, "name": name}
    with naming_stored(study, storage):
        spec = continued(study_of(study, given), storage)
    spec = spec.without_bad_rows() if skip_bad_rows else spec
    path = None if data is None else Path(data)
    options = {
        "sampler": sampler, "pruner": pruner, "design_share": design_share, "fix": fix,
        "warm_start": warm_start, "prior": prior, "also": also, "target": target,
        "until_stable": until_stable or None, "log": log,
    }  # fmt: skip
    chosen = {key: value for key, value in options.items() if value is not None}
    made = run_search(
        StudyChoice(spec, preset, storage, path, language_model, accept_code),
        Workers(workers, devices, engine, cluster),
        budget=Budget(trials, timeout, total),
        limits=limits or Limits(),
        search={**(search or {}), **chosen},
        seed=seed,
        console=console,
    )
    return Study.of(made)


def join(
    study: str | Path,
    *,
    storage: str | None = None,
    preset: str = "auto",
    workers: int | None = None,
    devices: Sequence[str] | None = None,
    data: str | Path | None = None,
    language_model: str | None = None,
    wait: float = 120.0,
    console: Console | None = None,
) -> int:
    """Work on a study that another process runs, here or on another machine, until no trial is
    left.

    Returns how many trials of the run are left: none, unless it was stopped.

    Args:
        study: the study that is being run: a built-in name, the path of a study.toml, or
            "module:function".
        storage: database URL of the run. None: HPSEARCH_STORAGE, else sqlite:///hpsearch.db.
        preset: the run's; "auto" joins whichever there is.
        workers: how many processes run trials. None: one for each core, or as many as the memory
            of a GPU allows.
        devices: what workers train on, in turn, as for `run`.
        data: where the data lies on this machine.
        language_model: where the run's language model lies, if it is a folder of your own.
        wait: seconds to wait for a run to begin.
        console: where the progress is printed. None: standard output.

    Raises:
        InputError: if there is no run to join, or the study differs from the run's.

    Example:
        >>> try:
        ...     left = hpsearch.join("adult", storage="sqlite:///shared.db", wait=0)
        ... except hpsearch.InputError:
        ...     print("Nobody runs it.")
        Nobody runs it.
    """
    from hpsearch.search.engines import Workers
    from hpsearch.search.join import join as join_run
    from hpsearch.search.plan.stored_function import naming_stored
    from hpsearch.search.plan.study_record import StudyChoice
    from hpsearch.study.spec import load_spec

    path = None if data is None else Path(data)
    with naming_stored(study, storage):
        spec = load_spec(study)
    return join_run(
        StudyChoice(spec, preset, storage, path, language_model),
        Workers(workers, devices),
        wait=wait,
        console=console,
    )


def enqueue(
    study: str, values: Mapping[str, Any], *, storage: str | None = None
) -> tuple[str, int]:
    """Put a configuration into a study's queue; its next run begins with it.

    Args:
        study: a study in the store, by its own name or that of its study.toml.
        values: of the parameters; what is left open is drawn by the sampler.
        storage: database URL. None: HPSEARCH_STORAGE, else sqlite:///hpsearch.db.

    Returns:
        The study's own name and the number of the new trial.

    Raises:
        InputError: for a value that the study's space does not hold, a study that hpsearch did
            not make, and a name that fits none or several.

    Example:
        >>> from pathlib import Path
        >>> from rich.console import Console
        >>> rows = [f"{u},{i},{1 + u * i % 5}" for u in range(12) for i in range(12)]
        >>> _ = Path("ratings.csv").write_text("\\n".join(["user,item,rating", *rows]))
        >>> study = hpsearch.run(
        ...     "movielens", preset="quick", data="ratings.csv", trials=1,
        ...     console=Console(quiet=True),
        ... )
        >>> hpsearch.enqueue("movielens", {"lr": 0.01, "bs": 64})
        ('movielens-quick', 1)
    """
    from hpsearch.search.plan.plan_run import enqueue_trial
    from hpsearch.store.sources import find_one, open_ours

    with open_ours(storage) as store:
        summary = find_one(store, study)
        return summary.name, enqueue_trial(store, summary, values)


def verify(
    study: optuna.Study | str | Path,
    *,
    param: str,
    value: object,
    against: object,
    pairs: int | None = None,
    max_pairs: int = 100,
    level: float = 0.9,
    preset: str = "auto",
    storage: str | None = None,
    workers: int | None = 1,
    devices: Sequence[str] | None = None,
    engine: str = "local",
    cluster: Cluster | None = None,
    data: str | Path | None = None,
    console: Console | None = None,
) -> Verification:
    """Confirm or refute a rule by pairs of new runs: same seed, same other values.

    The plan and the test are written down before the first run. The same call goes on with an
    interrupted verification; after a verdict it adds pairs, and the next verdict is on all pairs of
    the contrast. However often it is repeated, the error is that of the level.

    Args:
        study: one that hpsearch ran: itself, its name in the store, its study.toml, or
            "module:function".
        param: the parameter of the rule.
        value: what the rule recommends.
        against: the value to compare it with.
        pairs: how many pairs of runs. None: from the noise and the gain that the rule claims, and
            again from the first half of the pairs.
        max_pairs: the most pairs where `pairs` is None.
        level: of the interval, above 0 and below 1.
        preset: which of the study's presets. "auto": the one with trials.
        storage: database URL. None: HPSEARCH_STORAGE, else sqlite:///hpsearch.db.
        workers: how many processes run trials, as for `run`.
        devices: what workers train on, in turn, as for `run`.
        engine: where workers run: "local", or "ray" for a Ray cluster.
        cluster: with "ray", where the cluster is and what a worker takes of it.
        data: your own copy of the data, as for `run`.
        console: where the progress is printed. None: standard output.

    Returns:
        The verdict ("confirmed", "smaller than claimed", "refuted" or "inconclusive"), and the gain
        of `value` in the unit of the metric, with its interval.

    Raises:
        InputError: for a study without finished trials, a value that is not in its space, and
            what else was given wrongly.

    Example:
        >>> from pathlib import Path
        >>> from rich.console import Console
        >>> rows = [f"{u},{i},{1 + u * i % 5}" for u in range(12) for i in range(12)]
        >>> _ = Path("ratings.csv").write_text("\\n".join(["user,item,rating", *rows]))
        >>> how = {"preset": "quick", "data": "ratings.csv", "console": Console(quiet=True)}
        >>> study = hpsearch.run("movielens", trials=10, search={"fix": {"epochs": 3}}, **how)
        >>> done = hpsearch.verify(study, param="lr", value=0.03, against=0.001, pairs=2, **how)
        >>> len(done.gains), done.low <= done.gain <= done.high
        (2, True)
    """
    (done,) = verify_rules(
        study, [(param, value, against)], pairs=pairs, max_pairs=max_pairs, level=level,
        preset=preset, storage=storage, workers=workers, devices=devices, engine=engine,
        cluster=cluster, data=data, console=console,
    )  # fmt: skip
    return done


def verify_rules(
    study: optuna.Study | str | Path,
    rules: Sequence[tuple[str, object, object]],
    *,
    pairs: int | None = None,
    max_pairs: int = 100,
    level: float = 0.9,
    preset: str = "auto",
    storage: str | None = None,
    workers: int | None = 1,
    devices: Sequence[str] | None = None,
    engine: str = "local",
    cluster: Cluster | None = None,
    data: str | Path | None = None,
    console: Console | None = None,
) -> list[Verification]:
    """Verify several rules, which share the error: as `verify` does, one after the other.

    With many rules some would be confirmed by chance. Each of m rules has an m-th of the error, so
    that with the probability `level` or more no interval of any of them is wrong on either side.

    Args:
        study: as for `verify`, like all that follows.
        rules: the parameter, the value and what to compare it with, of each rule.
        pairs: how many pairs for each rule.
        max_pairs: the most pairs for each rule where `pairs` is None.
        level: of all intervals together.
        preset: which of the study's presets.
        storage: database URL.
        workers: how many processes run trials.
        devices: what workers train on, in turn.
        engine: where workers run.
        cluster: with "ray", where the cluster is and what a worker takes of it.
        data: your own copy of the data.
        console: where the progress is printed.

    Returns:
        A verdict for each rule. Where some of them were interrupted, those alone.

    Raises:
        InputError: as `verify`, and for no rule at all or one that is given twice.

    Example:
        >>> try:
        ...     hpsearch.verify_rules("movielens", [])
        ... except hpsearch.InputError as error:
        ...     print(error)
        There is no rule to verify: give a parameter, its value and what to compare it with.
    """
    from dataclasses import replace

    from hpsearch import verification
    from hpsearch.errors import InputError
    from hpsearch.search.engines import Workers
    from hpsearch.verification.run import which

    if not rules:
        raise InputError(
            "There is no rule to verify: give a parameter, its value and what to compare it with."
        )
    choice = which(study, storage=storage, preset=preset)
    return verification.verify(
        replace(choice, data_path=None if data is None else Path(data)),
        [verification.Contrast(*rule) for rule in rules],
        Workers(workers, devices, engine, cluster),
        design=verification.Design(pairs, max_pairs, level),
        console=console,
    )
