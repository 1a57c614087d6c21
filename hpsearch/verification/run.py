"""`verify`: plans the pairs, writes the plan down, runs them, and says what they show.

The caller names the study by its declaration or by its name in the store, or passes the study.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from hpsearch.analysis import explain
from hpsearch.analysis.read.axes import Floats
from hpsearch.core import own_code
from hpsearch.core.console import say
from hpsearch.core.database_urls import full_url
from hpsearch.core.home import was_named
from hpsearch.core.terminal import as_line, new_console
from hpsearch.core.words import digits
from hpsearch.errors import HpsearchError, InputError
from hpsearch.search.display import say_waits
from hpsearch.search.engines import WorkerPool, Workers, able_to_run, choose_pool
from hpsearch.search.job import Job
from hpsearch.search.plan.plan_run import Planned, started
from hpsearch.search.plan.stored_function import as_named, as_stored
from hpsearch.search.plan.study_record import StudyChoice, StudyRecord
from hpsearch.search.run import ONE_WORKER, carry_out, decide, prepare
from hpsearch.search.worker.signals import Stopper
from hpsearch.search.worker.workload import Workload
from hpsearch.store import Store, StudySummary, findings
from hpsearch.store.make_study import NewStudy, make_study
from hpsearch.store.queue import fence, queue, runs, taken_trials
from hpsearch.store.server.open import translated
from hpsearch.store.sources import open_source
from hpsearch.store.tables import attributes
from hpsearch.store.tables.optuna_private import engine_of
from hpsearch.store.tables.optuna_tables import quiet_optuna
from hpsearch.store.tables.space_json import space_from_json
from hpsearch.store.trials.frozen import all_trials
from hpsearch.study.conditions import When, active
from hpsearch.study.defaults import builtin_names
from hpsearch.study.own import Place, place_of
from hpsearch.study.search_options import Search
from hpsearch.study.spec import StudySpec, load_spec, spec_of_function, study_name
from hpsearch.verification.earlier import earlier_pairs
from hpsearch.verification.paired_test import MAX_PAIRS, MIN_PAIRS
from hpsearch.verification.plan import Contrast, Design, DrawnFrom, Plan, make_plan, parse_contrast
from hpsearch.verification.result import Verification
from hpsearch.verification.verdict import Pairs, judge


def which(study: optuna.Study | str | Path, *, storage: str | None, preset: str) -> StudyChoice:
    """Find the study that `study` stands for.

    `study` is a study.toml, a built-in name, a study's own name in the store, or an Optuna study
    that hpsearch made. For a study.toml or a built-in name, `preset` "auto" takes the preset of its
    only study in the store. Raises InputError if hpsearch did not make the study, or if several
    studies fit.
    """
    if isinstance(study, optuna.Study):
        engine = engine_of(study)
        _check_ours(study.study_name, study.user_attrs)
        assert engine is not None  # hpsearch makes studies in databases alone
        storage, study = full_url(engine.url), study.study_name
    declared = str(study) in builtin_names() or Path(study).exists() or place_of(str(study))
    with open_source(storage) as source:  # which writes nothing where it is not ours
        if not declared:
            found = source.find_one(str(study))
            _check_ours(found.name, found.attrs)
            return StudyChoice(_spec_of(found), found.attrs[attributes.PRESET], storage)
        spec = load_spec(study)
        having = [s for s in source.summaries if s.attrs.get(attributes.STUDY) == spec.name]
    spec = as_named(spec, having)
    presets = [one.attrs[attributes.PRESET] for one in having if attributes.PRESET in one.attrs]
    if preset == "auto" and len(presets) > 1:
        raise InputError(
            f"Study {spec.name} has trials of several presets: give --preset "
            f"{' or --preset '.join(presets)}."
        )
    return StudyChoice(spec, presets[0] if preset == "auto" and presets else preset, storage)


def _check_ours(name: str, attrs: dict[str, Any]) -> None:
    if attributes.VERIFIES in attrs:
        raise InputError(
            f"Study '{name}' holds the pairs of a verification: "
            f"verify {attrs[attributes.VERIFIES]} itself."
        )
    if not {attributes.STUDY, attributes.PRESET} <= attrs.keys():
        raise InputError(
            f"Study '{name}' was not made by hpsearch, so hpsearch cannot run it: train its model "
            "in pairs yourself, or make a study.toml of it."
        )


def _spec_of(found: StudySummary) -> StudySpec:
    declared, file = found.attrs[attributes.STUDY], found.attrs.get(attributes.FILE)
    if file is not None and was_named(Path(str(file))):
        if Path(file).is_file():
            return load_spec(file)
        if place_of(str(file)):
            return as_stored(load_spec(file), found)
    if own_code.why_held(str(file)) is not None:
        return as_stored(spec_of_function(Place(str(file), None)), found)
    if file is not None or declared not in builtin_names():
        raise InputError(
            f"Study '{found.name}' was made from a study.toml of your own ({file}): give the path "
            "of that file instead of the name."
        )
    return load_spec(declared)


DESIGN = Design(pairs=None, bound=MAX_PAIRS, level=0.9)
LIMIT = 100_000  # pairs; their plan is one row
COHORT = "verify"
RANDOM = Search(sampler="random", pruner="none")
"""Nothing is drawn and nothing is pruned: every pair is run to its end."""


def verify(
    choice: StudyChoice,
    contrasts: Sequence[Contrast],
    workers: Workers = ONE_WORKER,
    *,
    design: Design = DESIGN,
    console: Console | None = None,
) -> list[Verification]:
    """Run pairs of trials that decide whether each contrast's value is better than the other.

    The contrasts share the error. The pairs of each are a study of their own, so that what proposed
    the rule never sees what confirms it. The verdict is on all pairs of the contrast, those of
    earlier verifications among them. Interrupted verifications are gone on with by the same call.
    Raises InputError for what was asked wrongly, and what `run` raises.
    """
    console = console or new_console()
    _check(design)
    with quiet_optuna(), Stopper() as stop, Store.open(choice.storage, create=False) as store:
        with translated(store.url):
            proposing, record = _proposing(store, choice, console)
            plans = _find_or_make_plans(store, proposing, contrasts, design, console)
        workers = able_to_run(workers, choice.spec.trainer)
        pool = choose_pool(workers, 2 * max(plan.pairs for plan in plans.values()))
        prepared = prepare(record, pool.prepares_on, console)
        say_waits(store, console)
        record.check_same_data(prepared)
        pool, prepared = decide(pool, record, prepared, console)

        def run_pairs(place: _Place, count: int) -> Planned:
            with stop.shielded(), translated(store.url):
                planned = _enqueue(place, count, pool)
            if planned.trials:
                job = _job(record, planned, pool.devices[0])
                workload = Workload(job, store, record.trainer, prepared, stop)
                carry_out(workload, planned, pool, console)
            return planned

        done = []
        for number, plan in plans.items():
            place = _Place(store, record, proposing, number, plan)
            planned = run_pairs(place, plan.first)
            with translated(store.url):
                enough = store.retry(_enough, place, planned, console)
            if enough > plan.first:
                planned = run_pairs(place, enough)
            with translated(store.url):
                done.append(store.retry(_conclude, place, planned, enough))
        return done


@dataclass(frozen=True)
class _Place:
    """Where a verification stands: its store, the study whose rule it is, its row and its plan."""

    store: Store
    record: StudyRecord
    proposing: StudySummary
    number: int
    plan: Plan

    def earlier(self) -> list[Pairs]:
        """The pairs of each of the contrast's verifications that have a verdict."""
        plan = self.plan
        rows = self.store.verifications(self.proposing.study_id)
        others = [row for row in rows if row["verification_id"] != self.number]
        return earlier_pairs(others, Contrast(plan.param, plan.value, plan.against))


def _job(record: StudyRecord, planned: Planned, device: str) -> Job:
    fields = record.job_fields(planned.ref, planned.run_id, device)
    return Job(**fields, seed=planned.seed, search=RANDOM, deadline=None)


def _check(design: Design) -> None:
    if design.pairs is not None and not 2 <= design.pairs <= LIMIT:
        raise InputError(f"--pairs {design.pairs} is not possible: give a whole number from 2 on.")
    if not MIN_PAIRS <= design.bound <= LIMIT:
        raise InputError(
            f"--max-pairs {design.bound} is not possible: give a whole number from {MIN_PAIRS} on."
        )
    if not 0 < design.level < 1:
        raise InputError(
            f"--level {design.level:g} is not possible: give a number between 0 and 1."
        )


def _proposing(
    store: Store, choice: StudyChoice, console: Console
) -> tuple[StudySummary, StudyRecord]:
    """The study whose rule is verified, and its record. Raises InputError if it has no finished
    trials, or changed since."""
    spec = choice.spec
    resolved = spec.resolve(choice.preset)
    name = study_name(spec, resolved)
    found = store.study(name)
    if found is None or not found.finished:
        raise InputError(
            f"The store {store.shown_url} has no trials of study {name}: run it first; "
            "a rule needs trials that propose it."
        )
    found.check()
    return found, StudyRecord.open(store, choice, resolved, spec.search, console)


def _find_or_make_plans(
    store: Store,
    proposing: StudySummary,
    contrasts: Sequence[Contrast],
    design: Design,
    console: Console,
) -> dict[int, Plan]:
    """The unfinished verifications of these contrasts, else new ones: the plan of each number."""
    space = space_from_json(proposing.attrs[attributes.SPACE])
    contrasts = [parse_contrast(space, one) for one in contrasts]
    for k, one in enumerate(contrasts):
        if one in contrasts[:k] or one.turned() in contrasts[:k]:
            raise InputError(f"--param {one.param}: the same two values are given twice.")
    if going_on := _unfinished(store, proposing, contrasts, design):
        for number, plan in going_on.items():
            say(console, f"Going on with verification {number} of {plan.param}.")
        return going_on
    with console.status(as_line(f"Explaining {proposing.name} ...")):
        study = optuna.load_study(study_name=proposing.name, storage=store.optuna)
        explanation = explain(study, metric="0", level=design.level)
    drawn_from = DrawnFrom(space, proposing.attrs.get(attributes.WHEN) or {})
    with store.exclusive("plan"):
        before = store.verifications(proposing.study_id)
        names = _free_names(store, proposing.name, before)
        made = [
            make_plan(
                explanation, drawn_from, contrast, replace(design, rules=len(contrasts)),
                earlier=earlier_pairs(before, contrast), trials_study=next(names),
                seed=[proposing.attrs[attributes.SEED], 3, len(before) + k],  # 1, 2: the design's
            )
            for k, contrast in enumerate(contrasts)
        ]  # fmt: skip
        plans = {_write(store, proposing, plan): plan for plan in made}
    for number, plan in plans.items():
        say(console, f"Planned and written down as verification {number}: {plan.statement}")
    return plans


def _unfinished(
    store: Store, proposing: StudySummary, contrasts: Sequence[Contrast], design: Design
) -> dict[int, Plan]:
    """The plans of those contrasts whose verification has no verdict yet.

    Raises InputError where another number of pairs is asked for.
    """
    found = {}
    for one in contrasts:
        row = findings.unfinished(
            store.engine, proposing.study_id, one.param, one.value, one.against
        )
        if row is None:
            continue
        plan = Plan.from_dict(row["payload"]["plan"])
        if design.pairs not in (None, plan.pairs):
            raise InputError(
                f"A verification of {one.param} with {plan.pairs} pairs is unfinished: finish it "
                f"by leaving out --pairs {design.pairs}."
            )
        found[row["verification_id"]] = plan
    return found


def _free_names(store: Store, name: str, before: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Names for the studies of pairs. No study has one, and no plan in `before` uses one."""
    taken = {one.name for one in store.studies()}
    taken |= {row["payload"]["plan"]["trials_study"] for row in before if row["payload"]}
    numbered = (f"{name}-verify-{k}" for k in itertools.count(1))
    return (one for one in numbered if one not in taken)


def _write(store: Store, proposing: StudySummary, plan: Plan) -> int:
    rules = [
        rule
        for rule in store.rules(proposing.study_id)
        if rule["param"] == plan.param and findings.metric_of(rule) in (None, plan.metric)
    ]
    return findings.write_plan(
        store.engine, proposing.ref, plan.to_dict(),
        rule_id=rules[0]["rule_id"] if rules else None,
    )  # fmt: skip


def _enqueue(place: _Place, count: int, pool: WorkerPool) -> Planned:
    """The study of the pairs with `count` of them in its queue, and this run's part of them."""
    store, space, plan = place.store, place.record.preset.distributions, place.plan
    with store.exclusive("plan"):
        study = _study_of_pairs(store, place.proposing, plan)
        with started(store, study, pool, 2 * count) as (ref, run_id):
            drawn_from = taken_trials.Plan(list(space), {})
            _, mine = runs.take_over(store.engine, ref, run_id, 2 * plan.bound, drawn_from)
            missing = _trials(plan, place.record.preset.when)[len(_pairs(study)) : 2 * count]
            mine += len(queue.enqueue(store.engine, ref, run_id, space, lambda _: missing))
    return Planned(study, run_id, mine, mine, study.user_attrs[attributes.SEED], ref)


def _study_of_pairs(store: Store, proposing: StudySummary, plan: Plan) -> optuna.Study:
    new = NewStudy(
        plan.trials_study,
        directions=[StudyDirection.MAXIMIZE if plan.maximize else StudyDirection.MINIMIZE],
        metrics=[plan.metric],
        attrs={
            attributes.VERIFIES: proposing.name,
            attributes.METRIC: plan.metric,
            attributes.SEED: proposing.attrs[attributes.SEED],
        },
    )
    study = make_study(store, new)
    if study.user_attrs.get(attributes.VERIFIES) != proposing.name:
        raise InputError(
            f"The store {store.shown_url} has a study {study.study_name} that holds no pairs of "
            "this verification: rename or delete that study first."
        )
    return study


def _trials(plan: Plan, when: When) -> list[queue.Planned]:
    """Trial 2 i has the value, trial 2 i + 1 the reference; otherwise they are the same, but for
    parameters that only one of both values brings."""
    return [
        # what differs is shown first
        queue.Planned(COHORT, seed, active({plan.param: one, **config}, when))
        for config, seed in zip(plan.configs, plan.seeds, strict=True)
        for one in (plan.value, plan.against)
    ]


def _pairs(study: optuna.Study) -> list[FrozenTrial]:
    """The planned trials of the study, in the order of the plan.

    If another program took a planned trial, the copy of the trial stands in its place. Trials that
    other programs ran are left out.
    """
    ours = (one for one in all_trials(study) if attributes.SEED in one.user_attrs)
    place = attributes.IN_PLACE_OF
    return sorted(ours, key=lambda trial: trial.user_attrs.get(place, trial.number))


def _enough(place: _Place, planned: Planned, console: Console) -> int:
    """How many pairs there should be, from the spread of the gains of the first ones.

    Raises what `_scores` raises.
    """
    plan = place.plan
    if plan.first == plan.bound:
        return plan.first
    earlier = sum(place.earlier(), Pairs())
    first = Pairs.of(*_scores(place, planned, plan.first))
    enough, spread = plan.enough(earlier + first, len(earlier.gains))
    enough = max(enough, len(_pairs(planned.study)) // 2)  # what is in the queue counts
    say(
        console,
        f"The gains vary by {digits(spread, 2)} from pair to pair, {digits(plan.spread, 2)} "
        f"was planned with: "
        f"{enough} pairs in the place of {plan.pairs} (at most {plan.bound}).",
    )
    return enough


def _scores(place: _Place, planned: Planned, count: int) -> tuple[Floats, Floats]:
    """The scores of the first pairs (count,), of the value and of the reference, NaN where a run
    failed. Raises HpsearchError while trials are still to run, StudyGoneError where the pairs, or
    the study whose rule it is, were deleted."""
    study, plan = planned.study, place.plan
    trials = _pairs(study)
    fence.check_there(place.store.engine, planned.ref)
    if len(trials) < 2 * count:
        raise HpsearchError(
            f"{study.study_name} has {len(trials)} trials where {2 * count} were planned: "
            "delete that study, then the same command runs the pairs anew."
        )
    trials = trials[: 2 * count]
    if left := sum(not trial.state.is_finished() for trial in trials):
        raise HpsearchError(
            f"{left} trials of {study.study_name} are not finished, perhaps run by another "
            "process: the same command says the verdict once they are."
        )
    sign = 1.0 if plan.maximize else -1.0
    scores = np.array(
        [sign * t.values[0] if t.state == TrialState.COMPLETE else np.nan for t in trials]
    ).reshape(count, 2)
    return scores[:, 0], scores[:, 1]


def _conclude(place: _Place, planned: Planned, count: int) -> Verification:
    """The verdict, written beside the plan. Raises what `_scores` raises."""
    store, plan = place.store, place.plan
    value, against = _scores(place, planned, count)
    with store.exclusive("plan"):  # no other verification of the contrast ends meanwhile
        earlier = place.earlier()
        plan = replace(plan, look=1 + len(earlier))
        own = Pairs.of(value, against)
        seen = sum(earlier, Pairs()) + own
        outcome = judge(seen, plan.claimed, plan.worth, plan.error)
        gains = tuple(None if np.isnan(one) else float(one) for one in value - against)
        done = Verification(
            plan=plan, verdict=outcome.verdict, reason=outcome.reason, gain=outcome.gain,
            low=outcome.low, high=outcome.high, gains=gains, pairs=seen,
        )  # fmt: skip
        payload: Mapping[str, Any] = {
            "plan": plan.to_dict(), "reason": done.reason, "gains": gains,
            "lost": (own.lost, own.lost_against, own.lost_both), "statement": done.statement,
        }  # fmt: skip
        findings.write_verdict(
            store.engine, place.proposing.ref, place.number, pairs=count, effect=done.gain,
            low=done.low, high=done.high, verdict=done.verdict, payload=payload,
        )  # fmt: skip
    return done
