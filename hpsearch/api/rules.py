"""Rules of thumb: explain a study, pool several, and list the rules that a store keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna

    from hpsearch.analysis import Explanation
    from hpsearch.analysis.pool_studies import Pooling


def explain(
    study: optuna.Study | str,
    *,
    storage: str | None = None,
    level: float = 0.9,
    metric: str | int | None = None,
    surrogate: str = "forest",
    seed: int = 0,
    good_region: float | None = None,
    worth: float | None = None,
    push: bool | None = None,
    keep: bool = False,
    recorded: bool = False,
) -> Explanation:
    """Say what matters and which rules of thumb the trials of any Optuna study support.

    A forest is fitted from the parameters to the metric; what it says is split into the share of
    each parameter and the effect of its values, all with intervals (see docs/method.md).

    Args:
        study: an Optuna study, or the name of a study in a store. For a name, the store keeps the
            rules, as with the command line. To an Optuna study, only `push` writes anything.
        storage: where a name is looked for: the URL of any Optuna database, an SQLite file or a
            journal file. None: HPSEARCH_STORAGE, else sqlite:///hpsearch.db.
        level: of all intervals, above 0 and below 1.
        metric: name or number of the objective. None: all of them where there are several.
        surrogate: "forest", or "exact" for tables that hold every combination.
        seed: of the forests; the same seed gives the same explanation.
        good_region: at each value of a parameter, the share of the space in which the other
            parameters count as set well. Rules speak of that part. None: a quarter; 1: all of it.
        worth: the smallest difference of the metric that is worth having, in its unit. Values that
            cost less count as equally good. None: half of what repeating a good trial varies by.
        push: put plots and rules into the study for the Optuna dashboard. None: into a named study
            that hpsearch ran.
        keep: if `study` is a name, keep its rules even in a database that hpsearch did not make.
        recorded: explain the study's own trials together with those of it that come with hpsearch,
            or those alone; `notes` says which are whose. Nothing is kept or pushed.

    Returns:
        Importances, effects and rules; `to_markdown()`, `to_json()` and `to_html()` write reports.
        Of several objectives those of the first, with the `others` and the Pareto `front`.

    Raises:
        InputError: if nothing can be learned from the study, there is no such study, or `push`
            asks to write into a store that can only be read.

    Example:
        >>> import optuna
        >>> study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        >>> study.optimize(lambda trial: (trial.suggest_float("x", 0, 1) - 0.3) ** 2, n_trials=60)
        >>> explanation = hpsearch.explain(study)
        >>> [importance.params for importance in explanation.importances]
        [('x',)]
        >>> 0.2 < explanation.rules[0].value < 0.4
        True
    """
    from hpsearch.analysis import explain as analyse
    from hpsearch.analysis.explain_stored import explain_one
    from hpsearch.errors import InputError
    from hpsearch.exchange.together import with_recorded

    if recorded:
        if keep or push:
            raise InputError("Rules of recorded trials are not kept: leave out keep and push.")
        study, push = with_recorded(study, storage), False

    def analysed(one: optuna.Study) -> Explanation:
        chosen = None if metric is None else str(metric)
        return analyse(
            one, level=level, metric=chosen, surrogate=surrogate, seed=seed,
            good_region=good_region, worth=worth,
        )  # fmt: skip

    return explain_one(
        study, storage, analysed, push=push, keep=keep, of_all_trials=good_region is None
    )


def pool(
    studies: Sequence[optuna.Study | Explanation],
    *,
    level: float = 0.9,
    metric: str | int | None = None,
    seed: int = 0,
) -> Pooling:
    """The rules that several studies give a new one, and how far they differ.

    Args:
        studies: two or more Optuna studies, or their explanations.
        level: of the intervals of studies that are not explained yet.
        metric: name or number of their objective. None: the first that all of them have.
        seed: of their forests.

    Returns:
        One rule for each parameter that two or more studies have, with or without a rule there.

    Raises:
        InputError: for fewer than two studies, or two of one name.

    Example:
        >>> import optuna
        >>> studies = []
        >>> for name, best in (("one", 0.3), ("two", 0.35)):
        ...     sampler = optuna.samplers.RandomSampler(seed=0)
        ...     study = optuna.create_study(study_name=name, sampler=sampler)
        ...     study.optimize(lambda t: (t.suggest_float("x", 0, 1) - best) ** 2, n_trials=60)
        ...     studies.append(study)
        >>> [optimum.param for optimum in hpsearch.pool(studies).optima]
        ['x']
    """
    from hpsearch.analysis import Explanation as Explained
    from hpsearch.analysis.pool_studies import pool_studies

    return pool_studies(
        [
            one
            if isinstance(one, Explained)
            else explain(one, level=level, metric=metric, seed=seed)
            for one in studies
        ]
    )


def rules(
    studies: Sequence[str] = (), *, storage: str | Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """The rules that `explain` kept, study by study, with the verdicts of `verify`.

    Args:
        studies: names of studies in the store. None named: all of them.
        storage: one database URL or several. None: HPSEARCH_STORAGE, else sqlite:///hpsearch.db.

    Returns:
        One dictionary for each rule: study, param, kind, statement, explained_at and
        verifications.

    Raises:
        InputError: for a name that fits no study, and a database that hpsearch did not make.

    Example:
        >>> from pathlib import Path
        >>> rows = [f"{i / 40},{(i / 40 - 0.3) ** 2}" for i in range(40)]
        >>> _ = Path("runs.csv").write_text("\\n".join(["dropout,loss", *rows]))
        >>> _ = hpsearch.import_study("runs.csv", "mine", metric=["loss"])
        >>> explanation = hpsearch.explain("mine")
        >>> [(rule["study"], rule["param"]) for rule in hpsearch.rules()]
        [('mine', 'dropout')]
    """
    from hpsearch.store.findings import kept_rules
    from hpsearch.store.sources import find_in, open_sources

    several: Sequence[str | None] = [storage] if isinstance(storage, str) else storage or [None]
    with open_sources(several, keep=False) as sources:
        return [one for place in find_in(sources, studies) for one in kept_rules(*place)]
