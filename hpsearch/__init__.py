"""Search hyperparameters, and read rules of thumb with honest intervals off the trials.

>>> study = hpsearch.run("imdb-clas", trials=12, preset="quick")  # doctest: +SKIP
>>> print(hpsearch.explain(study).to_markdown())                  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna
    from rich.console import Console

    from hpsearch.analysis import Explanation, Rule
    from hpsearch.analysis.across import Pooling
    from hpsearch.collab.recommend import Recommender
    from hpsearch.search.engines import Cluster
    from hpsearch.tabular.saved import SavedTabular
    from hpsearch.text.saved_classifier import SavedClassifier
    from hpsearch.verifying import Verification

__version__ = "0.1.0"
__all__ = [
    "Explanation", "Rule", "explain", "load_classifier", "load_recommender", "load_study",
    "load_tabular", "pool", "run", "train", "verify",
]  # fmt: skip


def run(
    study: str | Path,
    *,
    trials: int | None = None,
    timeout: float | None = None,
    storage: str | None = None,
    preset: str = "auto",
    workers: int | None = 1,
    devices: Sequence[str] | None = None,
    engine: str = "local",
    cluster: Cluster | None = None,
    trial_timeout: float | None = None,
    trial_memory: int | None = None,
    halve_batch: bool = False,
    seed: int = 0,
    data: str | Path | None = None,
    language_model: str | None = None,
    search: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> optuna.Study:
    """Run `trials` more trials of a study: a built-in name or the path of a study.toml.

    `timeout` and `trial_timeout` are in seconds, `trial_memory` in bytes; `trials` None means the
    preset's budget, `workers` None one for each of the `devices` or cores. With the engine "ray" a
    hpsearch.search.engines.Cluster says where it is. `search` says how trials
    are chosen, such as {"sampler": "forest", "fix": {"bs": 32}}: the keys of [search] in a
    study.toml, whose values it replaces. Raises InputError for what was given wrongly,
    HpsearchError when the run fails, each with one sentence that says the way out.
    """
    from hpsearch.search import run as run_search
    from hpsearch.search.limits import Limits
    from hpsearch.studies import load_spec

    return run_search(
        load_spec(study),
        trials=trials,
        timeout=timeout,
        storage=storage,
        preset=preset,
        workers=workers,
        devices=devices,
        engine=engine,
        cluster=cluster,
        limits=Limits(trial_timeout, trial_memory, halve_batch),
        seed=seed,
        data_path=data,
        language_model=language_model,
        search=search,
        console=console,
    )


def train(
    study: str | Path,
    output: str | Path,
    *,
    preset: str = "auto",
    params: Mapping[str, Any] | None = None,
    sets: Sequence[str] = (),
    language_model: str | None = None,
    data: str | Path | None = None,
    seed: int = 0,
    console: Console | None = None,
) -> dict[str, float]:
    """Train one model of a study with `params` (default: the study's) and keep it in `output`.

    Returns its metrics, on the test data where the data has any. `sets` are "key=value" as for
    --set. Raises InputError for what was given wrongly.
    """
    from hpsearch.final import train_final
    from hpsearch.studies import load_spec

    return train_final(
        load_spec(study),
        Path(output),
        preset=preset,
        params=params,
        sets=sets,
        language_model=language_model,
        data_path=None if data is None else Path(data),
        seed=seed,
        console=console,
    )


def load_classifier(folder: str | Path) -> SavedClassifier:
    """The classifier that `train` wrote; its `predict(texts)` gives probabilities in order."""
    from hpsearch.text.saved_classifier import load_classifier as load

    return load(Path(folder))


def load_tabular(folder: str | Path) -> SavedTabular:
    """The tabular model that `train` wrote; its `predict(table)` gives predictions row by row."""
    from hpsearch.tabular.saved import load_tabular as load

    return load(Path(folder))


def load_recommender(
    folder: str | Path, *, users: str | Path | None = None, items: str | Path | None = None
) -> Recommender:
    """The recommender that `train` wrote: `recommend`, `similar`, `find` and `predict`.

    `users` and `items` are files that describe new ones, with the columns of the metadata that it
    was trained with. Raises InputError if there is no recommender, or it cannot use them.
    """
    from hpsearch.collab.recommend import load_recommender as load

    new_users, new_items = (None if file is None else Path(file) for file in (users, items))
    return load(Path(folder), users=new_users, items=new_items)


def explain(
    study_or_studies: optuna.Study | Sequence[optuna.Study],
    *,
    level: float = 0.9,
    metric: str | int | None = None,
    surrogate: str = "forest",
    seed: int = 0,
    good_region: float | None = None,
) -> Explanation:
    """What the trials of any Optuna study say about its parameters (see hpsearch.analysis).

    `metric` is the name or the number of the objective, needed where there are several.
    """
    from hpsearch.analysis import explain as analyse

    chosen = None if metric is None else str(metric)
    return analyse(
        study_or_studies,
        level=level,
        metric=chosen,
        surrogate=surrogate,
        seed=seed,
        good_region=good_region,
    )


def pool(
    studies: Sequence[optuna.Study | Explanation],
    *,
    level: float = 0.9,
    metric: str | int | None = None,
    seed: int = 0,
) -> Pooling:
    """The optima that several studies, or their explanations, agree on, and how far they differ.

    Raises InputError for fewer than two, or two of one name.
    """
    from hpsearch.analysis import Explanation as Explained
    from hpsearch.analysis.across import pool_studies

    return pool_studies(
        [
            one
            if isinstance(one, Explained)
            else explain(one, level=level, metric=metric, seed=seed)
            for one in studies
        ]
    )


def verify(
    study: optuna.Study | str | Path,
    *,
    param: str,
    value: object,
    against: object,
    pairs: int | None = None,
    level: float = 0.9,
    storage: str | None = None,
    preset: str = "auto",
    workers: int | None = 1,
    engine: str = "local",
    cluster: Cluster | None = None,
    data: str | Path | None = None,
    console: Console | None = None,
) -> Verification:
    """Decide by pairs of new runs whether `value` of `param` is better than `against`.

    `study` is one that hpsearch made: itself, its name in the store, or its study.toml. Raises
    InputError for what was given wrongly.
    """
    from hpsearch.verifying import verify as run_pairs
    from hpsearch.verifying.which import which

    chosen = which(study, storage=storage, preset=preset)
    return run_pairs(
        chosen.spec, param=param, value=value, against=against, pairs=pairs, level=level,
        storage=chosen.storage, preset=chosen.preset, workers=workers, engine=engine,
        cluster=cluster, data_path=data, console=console,
    )  # fmt: skip


def load_study(study: str, *, storage: str | None = None) -> optuna.Study:
    """The Optuna study that `study` names in a store, anybody's database or a journal: its own
    name, or that of a study.toml.

    Raises InputError if there is none, or more than one.
    """
    from hpsearch.sources import open_source

    source = open_source(storage)
    return source.load(source.find_one(study))


def __getattr__(name: str) -> Any:  # noqa: ANN401
    # The two classes are here for annotations and isinstance; importing them costs a second.
    if name in ("Explanation", "Rule"):
        from hpsearch import analysis

        return getattr(analysis, name)
    raise AttributeError(f"module 'hpsearch' has no attribute {name!r}")
