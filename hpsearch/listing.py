"""Tables for people: the studies there are, and what one of them declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hpsearch.params import ChoiceParam, FloatParam, IntParam
from hpsearch.printing import new_table
from hpsearch.sources import Source
from hpsearch.studies import ResolvedPreset, StudySpec, builtin_names, load_spec
from hpsearch.urls import without_password


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
        return Text(f"{source.shown} holds no study yet.")
    table = new_table(f"In {source.shown}", "study", "trials", "best", "by trial")
    for summary in summaries:
        counts = ", ".join(f"{n} {state}" for state, n in summary.counts.items()) or "none"
        best = "" if summary.best_value is None else f"{summary.best_value:.4g}"
        number = "" if summary.best_number is None else str(summary.best_number)
        table.add_row(escape(summary.name), counts, best, number)
    return table


def describe_spec(spec: StudySpec, preset: str | None) -> RenderableType:
    """Data, trainer, metric, space and presets of a study; the ranges of `preset` if given."""
    aim = "higher" if spec.direction == "maximize" else "lower"
    source = spec.data.get("source") or spec.data.get("path") or without_password(spec.data)
    title = f"What is searched ({preset})" if preset else "What is searched"
    return Group(
        Text.assemble((spec.name, "bold"), f": {spec.title}" if spec.title else ""),
        Text(f"data: {source}; trainer: {spec.trainer}; metric: {spec.metric} ({aim} is better)"),
        "",
        _space(title, spec.resolve(preset) if preset else spec.base()),
        "",
        _presets(spec),
    )


def trials_so_far(source: Source, spec: StudySpec) -> RenderableType:
    lines = [
        f"{summary.name}: {summary.finished} trials so far"
        + ("" if summary.best_value is None else f", best {summary.best_value:.4g}")
        for summary in source.summaries
        if summary.attrs.get("hps_study") == spec.name
    ]
    return Text("\n" + "\n".join(lines)) if lines else Text("")


def _space(title: str, resolved: ResolvedPreset) -> Table:
    table = new_table(title, "parameter", "range", "scale", "default", "meaning")
    for name, param in resolved.space.items():
        table.add_row(
            name, _range(param), _scale(param), escape(str(param.default)), escape(param.help)
        )
    return table


def _range(param: FloatParam | IntParam | ChoiceParam) -> str:
    if isinstance(param, ChoiceParam):
        return escape(", ".join(map(str, param.choices)))
    return f"{param.low:g} to {param.high:g}"


def _scale(param: FloatParam | IntParam | ChoiceParam) -> str:
    if isinstance(param, ChoiceParam):
        return "choice"
    kind = "whole numbers" if isinstance(param, IntParam) else "linear"
    return "log" + (" (whole)" if isinstance(param, IntParam) else "") if param.log else kind


def _presets(spec: StudySpec) -> Table:
    table = new_table("Presets", "preset", "trials", "settings", "other ranges")
    for name, preset in spec.presets.items():
        ranges = "; ".join(f"{key}: {_brief(value)}" for key, value in preset.space.items())
        table.add_row(name, str(preset.trials), escape(_brief(preset.settings)), escape(ranges))
    return table


def _brief(content: Mapping[str, Any]) -> str:
    parts = [
        f"{key} ({_brief(value)})" if isinstance(value, Mapping) else f"{key} {value}"
        for key, value in content.items()
    ]
    return ", ".join(parts)
