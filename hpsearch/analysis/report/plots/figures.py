"""The plots of an explanation in reading order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from hpsearch.analysis.estimates import Importance
from hpsearch.analysis.report.plots.curves import effect_plot, surface_plot
from hpsearch.analysis.report.plots.parallel import parallel_plot
from hpsearch.analysis.report.plots.style import BLUE, GREY, Plot, literal, styled, wrapped
from hpsearch.analysis.report.plots.trials import (
    failure_plots,
    history_plot,
    noise_plot,
    prediction_plot,
)
from hpsearch.analysis.report.share_rows import MAX_PAIRS, name_of, strong_pairs
from hpsearch.analysis.results import Results
from hpsearch.analysis.rules.rules import Rule

MIN_CURVES, MAX_CURVES = 4, 8
MIN_BARS, MAX_BARS = 6, 15
SMALL = 0.005  # a share that needs no plot of its own


@dataclass(frozen=True)
class Group:
    """Plots under one heading, side by side unless `wide`; `legend` says what their marks mean."""

    title: str
    plots: list[Plot]
    legend: str = ""
    wide: bool = False


def plot_groups(e: Results) -> list[Group]:
    """All plots in reading order; empty groups are left out."""
    effects = effect_plots(e)
    trust = [plot for plot in (prediction_plot(e), noise_plot(e)) if plot is not None]
    surfaces = [surface_plot(e, surface) for surface in e.surfaces]
    trials = [history_plot(e), *([parallel_plot(e)] if len(e.frame.axes) > 1 else [])]
    groups = (
        Group("What matters" if e.trusted else "A first impression", [importance_plot(e)]),
        Group(
            "Effects" if e.trusted else "First impressions of effects",
            effects,
            _effects_legend(e, len(effects)),
        ),
        Group(
            "Interactions", surfaces, "Brighter is better; all other parameters are averaged out."
        ),
        Group("Failures", failure_plots(e), "Crosses are failed trials, dots the others."),
        Group("How far to trust it", trust),
        Group("The trials", trials, wide=True),
    )
    return [group for group in groups if group.plots]


def _effects_legend(e: Results, shown: int) -> str:
    more = f" {shown} of {len(e.effects)} parameters, the strongest."
    more = more if shown < len(e.effects) else ""
    return (
        "Blue: what a value is worth where the other parameters are set well, with its "
        f"{e.level:.0%} band. Dots: trials. "
        "Thin grey: the forest's curves for single trials. Dotted: the default. Orange bar: "
        f"may be as good as the best; shaded: the interval of the best.{more}"
    )


def effect_plots(e: Results, most: int = MAX_CURVES) -> list[Plot]:
    """Of the strongest parameters, of those with a rule, and of a few weak ones."""
    effects = {effect.param: effect for effect in e.effects}
    known = [i for i in e.main_importances if i.params[0] in effects]
    shown = [
        i.params[0]
        for place, i in enumerate(known)
        if place < MIN_CURVES or i.share >= SMALL or rule_with_value(e, i.params[0])
    ]
    return [effect_plot(e, effects[name], rule_with_value(e, name)) for name in shown[:most]]


def rule_with_value(e: Results, param: str) -> Rule | None:
    """The rule that names a value for the parameter, if there is any."""
    silent = ("no-effect", "avoid")
    found = [rule for rule in e.rules if rule.param == param and rule.kind not in silent]
    return found[-1] if found else None


def importance_plot(e: Results) -> Plot:
    """Shares with intervals, largest on top."""
    main = [i for n, i in enumerate(e.main_importances) if n < MIN_BARS or i.share >= SMALL]
    bars = sorted([*main, *strong_pairs(e, MAX_PAIRS)], key=lambda i: -i.share)[:MAX_BARS][::-1]
    figure = go.Figure(_bars(bars))
    figure.update_layout(bargap=0.35)
    figure.update_xaxes(
        title="share of the variance, %",
        range=[0, min(100.0, 108 * max((i.high for i in bars), default=0.1))],
    )
    names = [f"{wrapped(name_of(i), 24)} " for i in bars]
    figure.update_yaxes(tickvals=list(range(len(bars))), ticktext=names, showgrid=False)
    words = (
        f"Shares of the variance of {e.metric} over the searched ranges: blue of single "
        f"parameters, grey of interactions of two, with {e.level:.0%} intervals. Weaker "
        "interactions have what is left to 100%."
    )
    left_out = len(e.main_importances) - sum(len(i.params) == 1 for i in bars)
    if left_out:
        words += f" {left_out} more parameters have smaller shares."
    row = max(28, 8 + 14 * max((name.count("<br>") + 1 for name in names), default=1))
    return Plot("Shares of the variance", words, styled(figure, height=90 + row * len(bars)))


def _bars(importances: list[Importance]) -> go.Bar:
    share, low, high = (
        100 * np.array([getattr(i, key) for i in importances]) for key in ("share", "low", "high")
    )
    return go.Bar(
        x=share,
        y=list(range(len(importances))),
        orientation="h",
        marker={"color": [BLUE if len(i.params) == 1 else GREY for i in importances]},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": high - share,
            "arrayminus": share - low,
            "color": GREY,
            "thickness": 1.5,
            "width": 4,
        },
        customdata=np.column_stack([low, high]),
        text=[literal(name_of(i)) for i in importances],
        textposition="none",
        hovertemplate="%{text}<br>%{x:.1f}% of the variance"
        "<br>%{customdata[0]:.1f}% to %{customdata[1]:.1f}%<extra></extra>",
    )
