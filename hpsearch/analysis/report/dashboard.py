"""The plots and rules of an explanation, put into the study for the Optuna dashboard to show.

optuna-dashboard keeps both in the study's attributes, in pieces of 2,045 characters, and nothing
there can be deleted. So the plots have a few fixed places that every push fills: those of several
parameters share one, with a menu. History and parallel coordinates are left to the dashboard, whose
own follow the running study. Of the note only the part between two marks is replaced; the rest is
what people wrote.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import optuna
import plotly.graph_objects as go
from optuna_dashboard import get_note, save_note, save_plotly_graph_object

from hpsearch.analysis.report.front import front_plots
from hpsearch.analysis.report.markdown import front_lines, next_lines, rule_lines
from hpsearch.analysis.report.plots.curves import surface_plot
from hpsearch.analysis.report.plots.figures import effect_plots, importance_plot
from hpsearch.analysis.report.plots.style import GREY, Plot, literal, styled, to_plain
from hpsearch.analysis.report.plots.trials import failure_plots, noise_plot, prediction_plot
from hpsearch.analysis.results import Results

MAX_EFFECTS = 6
FRONT = "front"  # what the note calls the part on all objectives together
HEIGHT = 450  # pixels of a card
# Definitions of links that nothing uses: Markdown shows nothing of them.
BEGIN = '[hpsearch-begin-{}]: # "What follows is replaced by the next explain."'
END = '[hpsearch-end-{}]: # "What hpsearch wrote ends here."'


def push(study: optuna.Study, explanation: Results) -> None:
    """Show the explanation in the dashboard of `study`, in place of the last one of its metric."""
    for e in (explanation, *explanation.others):
        name = _place(study, e)
        for key, figure in dashboard_figures(e).items():
            save_plotly_graph_object(study, figure, graph_object_id=f"hpsearch-{name}{key}")
        save_note(study, _merged(get_note(study), _note(e, name), name))
    if explanation.front is not None:
        figure = _figure("Pareto front", front_plots(explanation.front), "")
        save_plotly_graph_object(study, figure, graph_object_id="hpsearch-front")
        lines = "\n".join(front_lines(explanation.front))
        block = "\n\n".join([BEGIN.format(FRONT), lines, END.format(FRONT)])
        save_note(study, _merged(get_note(study), block, FRONT))


def dashboard_figures(e: Results) -> dict[str, go.Figure]:
    """One figure for each place, whatever there is to show."""
    surfaces = [surface_plot(e, surface) for surface in e.surfaces]
    trust = [plot for plot in (prediction_plot(e), noise_plot(e)) if plot is not None]
    shares = "What matters" if e.trusted else "A first impression, not to be trusted yet"
    groups = {
        "shares": (shares, [importance_plot(e)], ""),
        "effects": ("Effects", effect_plots(e, MAX_EFFECTS), "No effect can be drawn."),
        "pairs": ("Interactions", surfaces, "No interaction of two is strong."),
        "failures": ("Failures", failure_plots(e), "Failures do not depend on the parameters."),
        "trust": ("How far to trust it", trust, "Nothing was held out."),
    }
    if not e.n_failed:
        groups["failures"] = ("Failures", [], "No trial failed.")
    return {key: _figure(*group) for key, group in groups.items()}


def _figure(title: str, plots: Sequence[Plot], nothing: str) -> go.Figure:
    """All plots in one figure, a menu choosing among them; or the words `nothing`."""
    if not plots:
        empty = _titled(go.Figure(), title)
        empty.update_xaxes(visible=False).update_yaxes(visible=False)
        return empty.add_annotation(text=nothing, showarrow=False)
    plains = [to_plain(plot.figure) for plot in plots]
    data = [
        {**trace, "visible": index == 0}
        for index, plain in enumerate(plains)
        for trace in plain["data"]
    ]
    layout = {key: item for key, item in plains[0]["layout"].items() if key != "template"}
    figure = go.Figure({"data": data, "layout": layout}, skip_invalid=True)
    names = [plot.title for plot in plots]
    if len(plots) > 1:
        figure.update_layout(updatemenus=[_menu(names, plains)])
    return _titled(figure, title)


def _menu(names: Sequence[str], plains: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Buttons that show the traces and axes of one plot each."""
    counts = [len(plain["data"]) for plain in plains]
    buttons = []
    for index, (name, plain) in enumerate(zip(names, plains, strict=True)):
        visible = [i == index for i, count in enumerate(counts) for _ in range(count)]
        layout = plain["layout"]
        axes = {
            axis: {"autorange": "range" not in layout[axis], **layout[axis]}
            for axis in ("xaxis", "yaxis")
        }
        shown = {**axes, "shapes": layout.get("shapes", [])}
        button = {"label": literal(name, 30), "method": "update"}
        buttons.append({**button, "args": [{"visible": visible}, shown]})
    look = {"bgcolor": "#eef1f4", "bordercolor": GREY, "font": {"color": "#33393f"}}
    where = {"x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"}
    return {"buttons": buttons, **look, **where}


def _titled(figure: go.Figure, title: str) -> go.Figure:
    legend = bool(figure.layout.showlegend)
    styled(figure, height=HEIGHT, legend=legend)
    figure.update_layout(
        title={"text": title, "x": 0.02, "xanchor": "left", "font": {"size": 16}},
        margin={"t": 70, "r": 20, "b": 55},
    )
    return figure


def _note(e: Results, name: str) -> str:
    heading = "## Found by hpsearch"
    rules = "\n".join(re.sub("^## ", "### ", line) for line in [*rule_lines(e), *next_lines(e)])
    hint = "`hpsearch explain --format html --output report.html` writes all of it to one file."
    return "\n\n".join([BEGIN.format(name), heading, rules, hint, END.format(name)])


def _merged(old: str, block: str, name: str) -> str:
    """The note with our part replaced, or put on top of what is there."""
    begin, end = re.escape(BEGIN.format(name)), re.escape(END.format(name))
    ours = re.compile(f"{begin}.*?{end}", re.DOTALL)
    if ours.search(old):
        return ours.sub(lambda _: block, old, count=1)
    return f"{block}\n\n{old}".rstrip() + "\n"


def _place(study: optuna.Study, e: Results) -> str:
    """What tells the metrics of one study apart in the ids of its plots, "" if there is one."""
    if len(study.directions) == 1:
        return ""
    return re.sub(r"[^A-Za-z0-9_.]", "_", e.metric) + "-"
