"""Tables for people: studies, what one of them declares, and the rules that a store keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hpsearch.core.console import new_table
from hpsearch.core.database_urls import without_password
from hpsearch.core.terminal import as_line, one_line
from hpsearch.core.words import duration, format_value, told_apart
from hpsearch.errors import InputError
from hpsearch.search.baseline import read_baseline
from hpsearch.search.speed import estimate
from hpsearch.search.speed.gpu_sharing import GPU_SHARED
from hpsearch.store import Store, StudySummary
from hpsearch.store.queue import runs
from hpsearch.store.queue.progress import count_epochs, latest_event
from hpsearch.store.sources import Source
from hpsearch.store.tables import attributes
from hpsearch.store.trials.columns import objective_names
from hpsearch.study.conditions import describe_when
from hpsearch.study.defaults import builtin_names
from hpsearch.study.settings import pretrained_of
from hpsearch.study.space import ChoiceParam, FloatParam, IntParam, describe
from hpsearch.study.spec import Changes, ResolvedPreset, StudySpec, load_spec


def rules_table(kept: list[dict[str, Any]]) -> Table:
    """A row a rule: study, rule, verdicts."""
    table = new_table("Rules", "study", "rule", "verified", wrap=True)
    metrics: dict[str, set[str]] = {}
    for rule in kept:
        metrics.setdefault(rule["study"], set()).add(rule["metric"])
    for rule in kept:
        several = len(metrics[rule["study"]]) > 1
        study = f"{rule['study']}: {rule['metric']}" if several else rule["study"]
        statement = rule["statement"] or f"`{rule['param']}`: no rule in the newest explanation."
        verdicts = "\n".join(map(_verdict_text, rule["verifications"])) or "not yet"
        table.add_row(escape(study), escape(statement), escape(verdicts))
    return table


def _verdict_text(one: dict[str, Any]) -> str:
    contrast = f"{format_value(one['value'])} against {format_value(one['against'])}"
    if one["effect"] is None:
        return f"{one['verdict']}: {contrast}, {one['pairs']} pairs"
    gain = f"{one['effect']:+.3g} ({one['low']:.2g} to {one['high']:.2g})"
    return f"{one['verdict']}: {contrast}, {gain}, {one['pairs']} pairs"


SHOWN_RUNS = 3


def builtin_studies() -> Table:
    table = new_table("Built-in studies", "study", "what", "metric", "presets")
    for name in builtin_names():
        spec = load_spec(name)
        table.add_row(name, escape(spec.title), escape(spec.metric), ", ".join(spec.presets))
    return table


def stored_studies(source: Source) -> RenderableType:
    """The studies of a store, ours or not, with their counts of trials and the best by each of
    their objectives."""
    summaries = source.summaries
    if not summaries:
        return as_line(f"{source.shown} holds no study yet.")
    table = new_table(f"In {source.shown}", "study", "trials", "best", "by trial")
    for summary in summaries:
        counts = ", ".join(f"{n} {state}" for state, n in summary.counts.items()) or "none"
        best = _best_text(summary)
        if summary.damage:
            best = escape(f"unreadable: {'; '.join(summary.damage)}"[:200])
        number = " / ".join(str(one[1]) for one in summary.best if one is not None)
        table.add_row(escape(summary.name), counts, best, number)
    return table


def describe_spec(spec: StudySpec, preset: str | None) -> RenderableType:
    """Data, trainer, metric, space and presets of a study; the ranges of `preset` if given."""
    aim = "higher" if spec.direction == "maximize" else "lower"
    source = spec.data.get("source") or spec.data.get("path") or without_password(spec.data)
    presets: list[RenderableType] = ["", _presets_table(spec)] if spec.presets else []
    resolved = spec.base()
    if preset or not spec.space:  # its code says what is searched
        resolved = spec.resolve(preset or "auto")
    title = f"What is searched ({preset})" if preset else "What is searched"
    return Group(
        Text.assemble(
            (one_line(spec.name), "bold"), one_line(f": {spec.title}") if spec.title else ""
        ),
        as_line(
            f"data: {source or 'none'}; trainer: {spec.trainer}; "
            f"metric: {spec.metric} ({aim} is better)"
        ),
        "",
        _space_table(title, resolved),
        *presets,
    )


def trials_so_far(source: Source, spec: StudySpec) -> RenderableType:
    unreadable = [
        one_line(f"{summary.name}: unreadable: {'; '.join(summary.damage)}"[:200])
        for summary in source.summaries
        if summary.damage and summary.name.startswith(f"{spec.name}-")
    ]
    lines = unreadable + [
        one_line(f"{summary.name}: {summary.finished} trials so far")
        + (f", best {best}" if (best := _best_text(summary)) else "")
        + _simple_text(summary.attrs)
        + _start_text(summary.attrs)
        for summary in _studies_of(source, spec)
        if not summary.damage
    ]
    if source.store is not None:
        lines += [
            line for one in _studies_of(source, spec) for line in run_speeds(source.store, one)
        ]
    return Text("\n" + "\n".join(lines)) if lines else Text("")


def _simple_text(attrs: Mapping[str, Any]) -> str:
    """What a simple model makes of the study's metric, where it is known."""
    found = read_baseline(attrs)
    value = None if found is None else found.metrics.get(str(attrs.get(attributes.METRIC)))
    return "" if found is None or value is None else f"; simple model {value:.4g} ({found.name})"


def _start_text(attrs: Mapping[str, Any]) -> str:
    """What the language model of a stored study starts from, where there is one."""
    settings = attrs.get(attributes.SETTINGS) or {}
    if attrs.get(attributes.FROM_SCRATCH):
        return "; its language model was trained from scratch"
    found = pretrained_of(settings)
    return "" if found is None else f"; its language model starts from {found}"


def _studies_of(source: Source, spec: StudySpec) -> list[StudySummary]:
    return [one for one in source.summaries if one.attrs.get(attributes.STUDY) == spec.name]


def run_speeds(store: Store, study: StudySummary) -> list[str]:
    """A line for each of the study's latest runs: its device, its speed and its expected time."""
    lines = []
    for run in runs.of_study(store.engine, study.study_id)[-SHOWN_RUNS:]:
        found = estimate.read_estimate(store, run["run_id"])
        if found is None:
            continue
        line = f"{study.name}, run {run['run_id']}: {found.sentence}"
        if run["ended_at"] is not None:
            took = (run["ended_at"] - run["started_at"]).total_seconds()
            rate = count_epochs(store.engine, run["run_id"]) * found.per_epoch / max(took, 1e-3)
            line += f"; {run['outcome']} after {duration(took)}, "
            line += f"{estimate.per_second(rate, found.unit)} in all"
        if (companions := latest_event(store.engine, run["run_id"], GPU_SHARED)) is not None:
            line += f"; {companions}"
        lines.append(one_line(line))
    return lines


def _space_table(title: str, resolved: ResolvedPreset) -> Table:
    table = new_table(title, "parameter", "range", "scale", "default", "meaning")
    for name, param in resolved.space.items():
        table.add_row(
            name,
            _range_text(param),
            _scale_text(param),
            escape(str(param.default)),
            escape(_meaning(param)),
        )
    return table


def _meaning(param: FloatParam | IntParam | ChoiceParam) -> str:
    if not param.when:
        return param.help
    return f"{param.help}{'; ' if param.help else ''}if {describe_when(param.when)}"


def _range_text(param: FloatParam | IntParam | ChoiceParam) -> str:
    if isinstance(param, ChoiceParam):
        return escape(", ".join(map(str, param.choices)))
    return f"{param.low:g} to {param.high:g}"


def _scale_text(param: FloatParam | IntParam | ChoiceParam) -> str:
    if isinstance(param, ChoiceParam):
        return "choice"
    kind = "whole numbers" if isinstance(param, IntParam) else "linear"
    return "log" + (" (whole)" if isinstance(param, IntParam) else "") if param.log else kind


def _presets_table(spec: StudySpec) -> Table:
    table = new_table("Presets", "preset", "trials", "settings", "other ranges")
    for name, preset in spec.presets.items():
        settings, ranges = _settings_text(preset.settings), _ranges_text(preset)
        table.add_row(name, str(preset.trials), escape(settings), escape(ranges))
        if preset.from_scratch is not None:
            without = f"without {spec.resolve(name).pretrained}"
            settings = _settings_text(preset.from_scratch.settings)
            table.add_row(without, "", escape(settings), escape(_ranges_text(preset.from_scratch)))
    return table


def _ranges_text(changes: Changes) -> str:
    return "; ".join(f"{key}: {_settings_text(value)}" for key, value in changes.space.items())


def _settings_text(content: Mapping[str, Any]) -> str:
    parts = [
        f"{key} ({_settings_text(value)})" if isinstance(value, Mapping) else f"{key} {value}"
        for key, value in content.items()
    ]
    return ", ".join(parts)


def describe_stored(source: Source, summary: StudySummary) -> RenderableType:
    """A study as the store has it, whoever made it: objectives, trials, parameters."""
    study = source.load(summary)
    names = _objectives(study, summary)
    aims = ["higher" if one == StudyDirection.MAXIMIZE else "lower" for one in study.directions]
    shown = [f"{name} ({aim} is better)" for name, aim in zip(names, aims, strict=True)]
    counts = ", ".join(f"{n} {state}" for state, n in summary.counts.items()) or "no trials yet"
    lines = [f"metric: {', '.join(shown)}", counts]
    lines += [
        f"best {name} {one[0]:.4g} (trial {one[1]})"
        for name, one in zip(names, summary.best, strict=True)
        if one is not None
    ]
    space: dict[str, BaseDistribution] = {}
    for trial in study.get_trials(deepcopy=False):
        space |= trial.distributions
    return Group(
        Text(one_line(summary.name), style="bold"),
        *map(as_line, lines),
        *_front_lines(study, names),
        *[part for part in ("", params_table("What was searched", space)) if space],
    )


def params_table(title: str, space: Mapping[str, BaseDistribution]) -> Table:
    table = new_table(title, "parameter", "values")
    for name, distribution in space.items():
        table.add_row(escape(name), escape(describe(distribution)))
    return table


def _front_lines(study: optuna.Study, names: tuple[str, ...]) -> list[RenderableType]:
    """How many trials a study of several objectives has on its Pareto front."""
    if len(names) == 1:
        return []
    from hpsearch.analysis.views.front import front_of  # scikit-learn takes a second

    front = front_of(study, names)
    return [] if front is None else [as_line(front.sentence)]


def top_trials(source: Source, summary: StudySummary, n: int) -> RenderableType:
    """The `n` best finished trials of a study by its first objective, a row each."""
    study = source.load(summary)
    trials = ranked(study)[:n]
    if not trials:
        return as_line(f"{summary.name} has no finished trial yet.")
    metrics = _objectives(study, summary)
    params = list(dict.fromkeys(name for trial in trials for name in trial.params))
    columns = [">seconds", *(f">{name}" for name in params)]
    if any(map(_cohort, trials)):
        columns.insert(0, "cohort")
    title = f"Best of {summary.name}" + (f" by {metrics[0]}" if len(metrics) > 1 else "")
    heads = [f">{one_line(name)}" for name in metrics]
    table = new_table(title, "trial", *heads, *columns, wrap=True)
    for trial in trials:
        facts = [str(trial.number), *(f"{value:.4g}" for value in trial.values)]
        facts += [_cohort(trial)] if "cohort" in columns else []
        facts += [_seconds(trial), *(_param_text(trial, name) for name in params)]
        table.add_row(*map(escape, facts))
    return Group(*_front_lines(study, metrics), table)


def ranked(study: optuna.Study) -> list[FrozenTrial]:
    """The finished trials, the best by the first objective first."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    sign = -1 if study.directions[0] == StudyDirection.MAXIMIZE else 1
    return sorted(trials, key=lambda trial: (sign * trial.values[0], trial.number))


def compared(source: Source, names: Sequence[str]) -> RenderableType:
    """Studies, or single trials of them (STUDY:NUMBER), side by side: a column each."""
    found = [_study_and_trial(source, name) for name in names]
    trials = [trial for _, trial in found]
    heads = [f"{study.name}, trial {trial.number}" for study, trial in found]
    table = new_table("Side by side", "", *(f">{head}" for head in heads), "", wrap=True)

    def add(what: str, cells: Sequence[str]) -> None:
        table.add_row(escape(what), *map(escape, cells), "" if len({*cells}) == 1 else "differs")

    studies = [study for study, _ in found]
    add("trials", [f"{study.finished} finished" for study in studies])
    add("best of all", [_best_text(study) for study in studies])
    add(
        "simple model", [_simple_text(one.attrs).removeprefix("; simple model ") for one in studies]
    )
    metrics = [" / ".join(_objectives(source.load(one), one)) for one in studies]
    add(" or ".join(dict.fromkeys(metrics)), [_values_text(trial) for trial in trials])
    add("seconds", [_seconds(trial) for trial in trials])
    add("cohort", [_cohort(trial) for trial in trials])
    for name in dict.fromkeys(name for trial in trials for name in trial.params):
        add(name, [_param_text(trial, name) for trial in trials])
    return table


def _objectives(study: optuna.Study, summary: StudySummary) -> tuple[str, ...]:
    return objective_names(study.metric_names, summary.attrs, len(study.directions))


def _study_and_trial(source: Source, name: str) -> tuple[StudySummary, FrozenTrial]:
    """What STUDY (its best trial) or STUDY:NUMBER stands for. Raises InputError otherwise."""
    whole, _, number = name.rpartition(":")
    of_trial = whole and number.isdecimal() and all(name != one.name for one in source.summaries)
    summary = source.find_one(whole if of_trial else name)
    study = source.load(summary)
    if not of_trial:
        trials = ranked(study)
        if not trials:
            raise InputError(f"The study {summary.name} has no finished trial yet: run it first.")
        return summary, trials[0]
    trials = study.get_trials(deepcopy=False)
    trial = next((one for one in trials if one.number == int(number)), None)
    if trial is None:
        raise InputError(
            f"The study {summary.name} has no trial {number}: it has {len(trials)}, counted from 0."
        )
    return summary, trial


def _best_text(study: StudySummary) -> str:
    """The best by each objective, '' before there is one."""
    if not any(study.best):
        return ""
    return " / ".join("none" if one is None else f"{one[0]:.4g}" for one in study.best)


def _values_text(trial: FrozenTrial) -> str:
    values = [f"{value:.4g}" for value in trial.values or ()]
    return " / ".join(values) or trial.state.name.lower()


def _param_text(trial: FrozenTrial, name: str) -> str:
    if name not in trial.params:
        return ""
    value, kind = trial.params[name], trial.distributions[name]
    if isinstance(kind, CategoricalDistribution):
        value = told_apart(kind.choices)[int(kind.to_internal_repr(value))]
    return format_value(value)


def _cohort(trial: FrozenTrial) -> str:
    return str(trial.user_attrs.get(attributes.COHORT) or "")


def _seconds(trial: FrozenTrial) -> str:
    return "" if trial.duration is None else f"{trial.duration.total_seconds():.3g}"
