"""The Pareto front of a study of several objectives: as rows of text, as data, and as plots."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import plotly.graph_objects as go

from hpsearch.analysis.report.plots.style import GREY, ORANGE, Plot, literal, styled
from hpsearch.analysis.views.front import Front
from hpsearch.analysis.views.ice import spread
from hpsearch.core.words import assignments, digits, how_many

MAX_ROWS = 10
MAX_POINTS = 1500  # trials drawn behind the front
MAX_PLOTS = 3


def front_words(front: Front) -> str:
    """What the front is, and the best trials by each objective."""
    aims = [f"{name} ({_aim(front, i)})" for i, name in enumerate(front.metrics)]
    best = [(name, front.best_by(name)) for name in front.metrics]
    places = dict(zip(front.metrics, range(len(front.metrics)), strict=True))
    named = [f"{name} {digits(t.values[places[name]], 4)} in trial {t.number}" for name, t in best]
    return (
        f"{how_many(len(front.trials), 'trial')} of {len(front.numbers):,} complete ones that no "
        f"other beats in all of {', '.join(aims)}. Best: {'; '.join(named)}."
    )


def front_header(front: Front) -> tuple[str, ...]:
    return ("trial", *front.metrics, "parameters")


def front_rows(front: Front, most: int | None = MAX_ROWS) -> list[tuple[str, ...]]:
    """Trials from the best by the first objective to the worst, evenly chosen where many."""
    chosen = spread(len(front.trials), most or len(front.trials))
    return [
        (
            str(trial.number),
            *(digits(value, 4) for value in trial.values),
            assignments(trial.params),
        )
        for trial in (front.trials[i] for i in chosen)
    ]


def front_data(front: Front) -> dict[str, Any]:
    """For JSON: all trials of the front, and which is best by each objective."""
    return {
        "metrics": front.metrics,
        "directions": ["maximize" if up else "minimize" for up in front.maximize],
        "trials": [
            {"number": t.number, "values": t.values, "params": t.params} for t in front.trials
        ],
        "best": {name: front.best_by(name).number for name in front.metrics},
    }


def front_plots(front: Front) -> list[Plot]:
    """One plot for each two objectives, of the first three pairs."""
    pairs = list(combinations(range(len(front.metrics)), 2))[:MAX_PLOTS]
    return [_plot(front, *pair) for pair in pairs]


def _plot(front: Front, across: int, along: int) -> Plot:
    figure = go.Figure()
    rows = spread(len(front.numbers), MAX_POINTS)
    values = front.values[rows]
    figure.add_trace(
        go.Scatter(
            x=values[:, across], y=values[:, along], mode="markers", name="trials",
            customdata=front.numbers[rows], marker={"color": GREY, "size": 6, "opacity": 0.5},
            hovertemplate="trial %{customdata}<br>%{x:,.4~r}, %{y:,.4~r}<extra></extra>",
        )
    )  # fmt: skip
    best = np.array([trial.values for trial in front.trials])
    texts = [f"trial {t.number}<br>{literal(assignments(t.params, 4), 90)}" for t in front.trials]
    two = len(front.metrics) == 2
    figure.add_trace(
        go.Scatter(
            x=best[:, across], y=best[:, along], mode="lines+markers" if two else "markers",
            name="Pareto front", text=texts, marker={"color": ORANGE, "size": 9},
            line={"color": ORANGE, "width": 2, "shape": "hv"},
            hovertemplate="%{text}<br><b>%{x:,.4~r}, %{y:,.4~r}</b><extra></extra>",
        )
    )  # fmt: skip
    figure.update_xaxes(title=_title(front, across))
    figure.update_yaxes(title=_title(front, along))
    name = f"{front.metrics[across]} and {front.metrics[along]}"
    return Plot(
        title=f"Pareto front of {name}",
        words=front_words(front),
        figure=styled(figure, height=380, legend=True),
        header=front_header(front),
        rows=tuple(front_rows(front, None)),
    )


def _aim(front: Front, place: int) -> str:
    return "higher is better" if front.maximize[place] else "lower is better"


def _title(front: Front, place: int) -> str:
    return f"{literal(front.metrics[place], 30)} ({'↑' if front.maximize[place] else '↓'} better)"
