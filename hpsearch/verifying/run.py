"""`verify`: plan the pairs, write the plan down, run them, and say what they show."""

from __future__ import annotations

import itertools
import uuid
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState
from rich.console import Console
from rich.text import Text

from hpsearch.analysis import explain
from hpsearch.analysis.rules import show
from hpsearch.analysis.verification import judge
from hpsearch.errors import HpsearchError, InputError
from hpsearch.library import VERIFIES
from hpsearch.search import planning
from hpsearch.search.engines import Cluster, Crew, choose_crew
from hpsearch.search.job import Preset, Spec
from hpsearch.search.run import carry_out, make_job, prepare
from hpsearch.search.space import space_from_json
from hpsearch.search.stopping import Stopper
from hpsearch.search.worker import quiet_optuna, requeue_orphans
from hpsearch.search_options import Search
from hpsearch.store import Store, StudySummary, queue, runs, verifications
from hpsearch.store.identity import this_worker
from hpsearch.store.opening import GRACE_S, translated
from hpsearch.verifying.plan import Plan, make_plan, parse_value
from hpsearch.verifying.verification import Verification

COHORT = "verify"
RANDOM = Search(sampler="random", pruner="none")
"""Nothing is drawn and nothing is pruned: every pair is run to its end."""


def verify(
    spec: Spec,
    *,
    param: str,
    value: Any,  # noqa: ANN401 (a choice may be anything)
    against: Any,  # noqa: ANN401
    pairs: int | None = None,
    level: float = 0.9,
    storage: str | None = None,
    preset: str = "auto",
    workers: int | None = 1,
    devices: Sequence[str] | None = None,
    engine: str = "local",
    cluster: Cluster | None = None,
    data_path: str | Path | None = None,
    console: Console | None = None,
) -> Verification:
    """Run pairs of trials that decide whether `value` of `param` is better than `against`.

    The pairs are a study of their own, so that what proposed the rule never sees what confirms it.
    An interrupted verification is gone on with by the same call. Raises InputError for what was
    asked wrongly, and what `run` raises.
    """
    console = console or Console()
    _check(pairs, level)
    path = None if data_path is None else Path(data_path)
    with quiet_optuna(), Stopper() as stop, Store.open(storage, create=False) as store:
        with translated(store.url):
            proposing, resolved = _proposing(store, spec, preset)
            number, plan = _find_or_make_plan(
                store, proposing, param, value, against, pairs, level, console
            )
        crew = choose_crew(workers, devices, 2 * plan.pairs, engine, cluster)
        trainer = spec.trainer_module()
        prepared = prepare(trainer, spec, resolved, path, crew.prepares_on, console)
        planning.check_same_data(store, spec, resolved, prepared)
        with stop.shielded(), translated(store.url):
            planned = _enqueue(store, proposing, resolved, plan, crew)
        job = make_job(store, spec, resolved, planned, trainer, path, crew.devices[0], RANDOM)
        if planned.trials:
            carry_out(job, store, planned, trainer, prepared, crew, stop, console)
        with translated(store.url):
            return _conclude(store, number, plan, planned.study)


def _check(pairs: int | None, level: float) -> None:
    if pairs is not None and not 2 <= pairs <= 100_000:
        raise InputError(f"--pairs {pairs} is not possible: give a whole number from 2 on.")
    if not 0 < level < 1:
        raise InputError(f"--level {level:g} is not possible: give a number between 0 and 1.")


def _proposing(store: Store, spec: Spec, preset: str) -> tuple[StudySummary, Preset]:
    """The study whose rule is verified, and its preset as its trials were run. Raises InputError if
    it has no finished trials, or changed since."""
    resolved = spec.resolve(preset)
    name = planning.study_name(spec, resolved)
    found = next((one for one in store.studies() if one.name == name), None)
    if found is None or not found.finished:
        raise InputError(
            f"The store {store.shown_url} has no trials of study {name}: run it first; "
            "a rule needs trials that propose it."
        )
    resolved = planning.choose_language_model(store, spec, resolved, None)
    search = planning.with_objectives(store, spec, resolved, spec.search)
    planning.check_unchanged(store, spec, resolved, search)
    return found, resolved


def _find_or_make_plan(
    store: Store,
    proposing: StudySummary,
    param: str,
    value: Any,  # noqa: ANN401
    against: Any,  # noqa: ANN401
    pairs: int | None,
    level: float,
    console: Console,
) -> tuple[int, Plan]:
    """The unfinished verification of this contrast, or a new one: its number and plan."""
    space = space_from_json(proposing.attrs["hps_space"])
    value = parse_value(space, param, "--value", value)
    against = parse_value(space, param, "--against", against)
    if value == against:
        raise InputError(f"--value and --against are both {show(value)}: give two values.")
    known = verifications.unfinished(store.engine, proposing.study_id, param, value, against)
    if known is not None:
        plan = Plan.from_dict(known["payload"]["plan"])
        if pairs not in (None, plan.pairs):
            raise InputError(
                f"A verification of {param} with {plan.pairs} pairs is unfinished: finish it by "
                f"leaving out --pairs {pairs}."
            )
        console.print(Text(f"Going on with verification {known['verification_id']}."))
        return known["verification_id"], plan
    with console.status(Text(f"Explaining {proposing.name} ...")):
        study = optuna.load_study(study_name=proposing.name, storage=store.optuna)
        explanation = explain(study, metric="0", level=level)
    with store.exclusive("plan"):
        before = store.verifications(proposing.study_id)
        plan = make_plan(
            explanation, space, param, value, against, pairs=pairs, level=level,
            trials_study=_free_name(store, proposing.name, before),
            seed=[proposing.attrs["hps_seed"], 3, len(before)],  # 1 and 2 belong to the design
        )  # fmt: skip
        number = _write(store, proposing, plan)
    text = f"Planned and written down as verification {number}: {plan.statement}"
    console.print(Text(text), soft_wrap=True)
    return number, plan


def _free_name(store: Store, name: str, before: Sequence[Mapping[str, Any]]) -> str:
    """A name for the study of the pairs that no study has, or is going to have."""
    taken = {one.name for one in store.studies()}
    taken |= {row["payload"]["plan"]["trials_study"] for row in before}
    numbers = itertools.count(1)
    return next(one for k in numbers if (one := f"{name}-verify-{k}") not in taken)


def _write(store: Store, proposing: StudySummary, plan: Plan) -> int:
    rules = [rule for rule in store.rules(proposing.study_id) if rule["param"] == plan.param]
    return verifications.write_plan(
        store.engine, proposing.study_id, param=plan.param, value=plan.value,
        against=plan.against, pairs=plan.pairs, plan=plan.to_dict(),
        rule_id=rules[0]["rule_id"] if rules else None,
    )  # fmt: skip


def _enqueue(
    store: Store, proposing: StudySummary, preset: Preset, plan: Plan, crew: Crew
) -> planning.Planned:
    """The study of the pairs with all of them in its queue, and this run's part of them."""
    with store.exclusive("plan"):
        queue.drop_orphans(store.engine)
        study = _study_of_pairs(store, proposing, plan)
        me, study_id = this_worker(), study._study_id
        requeue_orphans(store, study_id, me, None)
        run_id = store.start_run(
            study_id, trials=2 * plan.pairs, workers=crew.workers, engine=crew.engine,
            machine=me.machine, host=me.host, pid=me.pid,
        )  # fmt: skip
        mine = runs.adopt(store.engine, study_id, run_id, 2 * plan.pairs, GRACE_S)
        if not study.get_trials(deepcopy=False):
            space = preset.distributions
            new = queue.enqueue(store.engine, study_id, run_id, space, lambda _: _trials(plan))
            mine = len(new)
    attrs = study.user_attrs
    return planning.Planned(study, run_id, mine, mine, attrs["hps_seed"], attrs["hps_uid"])


def _study_of_pairs(store: Store, proposing: StudySummary, plan: Plan) -> optuna.Study:
    direction = StudyDirection.MAXIMIZE if plan.maximize else StudyDirection.MINIMIZE
    study = optuna.create_study(
        storage=store.optuna, study_name=plan.trials_study,
        direction=direction, load_if_exists=True,
    )  # fmt: skip
    if "hps_uid" not in study.user_attrs:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names([plan.metric])
        attrs = {
            VERIFIES: proposing.name,
            "hps_metric": plan.metric,
            "hps_seed": proposing.attrs["hps_seed"],
            "hps_uid": uuid.uuid4().hex[:12],  # last: it tells that the others are there
        }
        for key, one in attrs.items():
            study.set_user_attr(key, one)
    return study


def _trials(plan: Plan) -> list[queue.Planned]:
    """Trial 2 i has the value, trial 2 i + 1 the reference, otherwise they are the same."""
    return [
        queue.Planned(COHORT, seed, {plan.param: one, **config})  # what differs is shown first
        for config, seed in zip(plan.configs, plan.seeds, strict=True)
        for one in (plan.value, plan.against)
    ]


def _conclude(store: Store, number: int, plan: Plan, study: optuna.Study) -> Verification:
    """The verdict, written beside the plan. Raises HpsearchError while trials are still to run."""
    trials = sorted(study.get_trials(deepcopy=False), key=lambda trial: trial.number)
    if left := sum(not trial.state.is_finished() for trial in trials):
        raise HpsearchError(
            f"{left} trials of {study.study_name} are not finished, perhaps run by another "
            "process: the same command says the verdict once they are."
        )
    sign = 1.0 if plan.maximize else -1.0
    scores = np.array(
        [sign * t.values[0] if t.state == TrialState.COMPLETE else np.nan for t in trials]
    ).reshape(plan.pairs, 2)
    outcome = judge(scores[:, 0], scores[:, 1], plan.claimed, plan.level)
    gains = tuple(None if np.isnan(one) else float(one) for one in scores[:, 0] - scores[:, 1])
    done = Verification(
        plan=plan, verdict=outcome.verdict, reason=outcome.reason, gain=outcome.gain,
        low=outcome.low, high=outcome.high, gains=gains,
    )  # fmt: skip
    payload: Mapping[str, Any] = {
        "plan": plan.to_dict(), "reason": done.reason, "gains": gains,
        "statement": done.statement,
    }  # fmt: skip
    verifications.write_verdict(
        store.engine, number, effect=done.gain, low=done.low, high=done.high,
        verdict=done.verdict, payload=payload,
    )  # fmt: skip
    return done
