"""Tables for people: studies, what one of them declares, and the rules that a store keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hpsearch.core.console import new_table
from hpsearch.core.database_urls import without_password
from hpsearch.core.terminal import as_line, one_line
from hpsearch.core.words import duration, format_value
from hpsearch.search.baseline import read_baseline
from hpsearch.search.speed import estimate
from hpsearch.search.speed.gpu_sharing import GPU_SHARED
from hpsearch.store import Store, StudySummary
from hpsearch.store.queue import runs
from hpsearch.store.queue.progress import count_epochs, latest_event
from hpsearch.store.sources import Source
from hpsearch.store.tables import attributes
from hpsearch.study.conditions import describe_when
from hpsearch.study.defaults import builtin_names
from hpsearch.study.settings import pretrained_of
from hpsearch.study.space import ChoiceParam, FloatParam, IntParam
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
    """The studies of a store, ours or not, with their counts of trials and their best."""
    summaries = source.summaries
    if not summaries:
        return as_line(f"{source.shown} holds no study yet.")
    table = new_table(f"In {source.shown}", "study", "trials", "best", "by trial")
    for summary in summaries:
        counts = ", ".join(f"{n} {state}" for state, n in summary.counts.items()) or "none"
        best = "" if summary.best_value is None else f"{summary.best_value:.4g}"
        if summary.damage:
            best = escape(f"unreadable: {'; '.join(summary.damage)}"[:200])
        number = "" if summary.best_number is None else str(summary.best_number)
        table.add_row(escape(summary.name), counts, best, number)
    return table


def describe_spec(spec: StudySpec, preset: str | None) -> RenderableType:
    """Data, trainer, metric, space and presets of a study; the ranges of `preset` if given."""
    aim = "higher" if spec.direction == "maximize" else "lower"
    source = spec.data.get("source") or spec.data.get("path") or without_password(spec.data)
    title = f"What is searched ({preset})" if preset else "What is searched"
    return Group(
        Text.assemble(
            (one_line(spec.name), "bold"), one_line(f": {spec.title}") if spec.title else ""
        ),
        as_line(
            f"data: {source}; trainer: {spec.trainer}; metric: {spec.metric} ({aim} is better)"
        ),
        "",
        _space_table(title, spec.resolve(preset) if preset else spec.base()),
        "",
        _presets_table(spec),
    )


def trials_so_far(source: Source, spec: StudySpec) -> RenderableType:
    unreadable = [
        one_line(f"{summary.name}: unreadable: {'; '.join(summary.damage)}"[:200])
        for summary in source.summaries
        if summary.damage and summary.name.startswith(f"{spec.name}-")
    ]
    lines = unreadable + [
        one_line(f"{summary.name}: {summary.finished} trials so far")
        + ("" if summary.best_value is None else f", best {summary.best_value:.4g}")
        + _baseline_text(summary.attrs)
        + _start_text(summary.attrs)
        for summary in _studies_of(source, spec)
        if not summary.damage
    ]
    if source.store is not None:
        lines += [
            line for one in _studies_of(source, spec) for line in run_speeds(source.store, one)
        ]
    return Text("\n" + "\n".join(lines)) if lines else Text("")


def _baseline_text(attrs: Mapping[str, Any]) -> str:
    """The metric of the study's baseline, where it is known."""
    found = read_baseline(attrs)
    value = None if found is None else found.metrics.get(str(attrs.get(attributes.METRIC)))
    return "" if found is None or value is None else f"; baseline {value:.4g} ({found.name})"


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
