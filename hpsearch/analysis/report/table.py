"""The explanation as a terminal table that a person reads in ten seconds."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hpsearch.analysis.effects import Effect
from hpsearch.analysis.explanation import Explanation, Importance
from hpsearch.analysis.rules import show

BAR = 12  # characters of a full bar
MAX_PARAMS = 12
MAX_PAIRS = 3
MIN_PAIR_SHARE = 0.02


def render_table(explanation: Explanation) -> RenderableType:
    """Heading, what matters, the rules or why there are none, notes."""
    parts: list[RenderableType] = [Text.from_markup(heading(explanation)), _shares(explanation)]
    left_out = len(explanation.main_importances) - MAX_PARAMS
    if left_out > 0:
        parts.append(Text(f"and {left_out} more parameters with smaller shares", style="dim"))
    parts.append(Text(""))
    parts += [_bullet(rule.statement) for rule in explanation.rules]
    if not explanation.trusted:
        parts.append(Text.from_markup(f"[yellow]No rules yet.[/] {escape(refusal(explanation))}"))
    elif not explanation.rules:
        parts.append(Text("The trials tell parameters apart, but support no rule yet."))
    parts += [Text(note, style="dim") for note in explanation.notes]
    return Group(*parts)


def heading(e: Explanation) -> str:
    """Two lines: the study and its trials; how far the forest can be trusted."""
    counts = [f"{e.n_complete} complete"]
    counts += [f"{e.n_pruned} pruned"] if e.n_pruned else []
    counts += [f"{e.n_failed} failed"] if e.n_failed else []
    aim = "higher is better" if e.maximize else "lower is better"
    q = e.quality
    return (
        f"[bold]{escape(e.study)}[/]: {escape(e.metric)} ({aim}), {', '.join(counts)} trials, "
        f"best {e.best_value:.4g}\n"
        f"The forest explains {max(q.r2, 0):.0%} of unseen variance "
        f"(chance up to {max(q.null, 0):.0%}), rank correlation {q.rank_correlation:.2f}; "
        f"repeating a trial varies by {e.noise.value:.2g} ({e.noise.source})"
    )


def refusal(e: Explanation) -> str:
    """Why there are no rules and what would help."""
    text = (e.reason or "").rstrip(".")
    if e.more_trials is None:
        return f"{text}. Nothing suggests that more trials of this space would change that."
    return f"{text}. About {e.more_trials} more trials would probably do."


def _shares(e: Explanation) -> Table:
    title = "What matters" if e.trusted else "A first impression, not to be trusted yet"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("parameter", style="cyan", no_wrap=True)
    table.add_column("share", justify="right")
    table.add_column("", no_wrap=True)
    table.add_column(f"{e.level:.0%} interval", justify="right", no_wrap=True)
    table.add_column("best", justify="right", no_wrap=True)
    table.add_column(f"{e.level:.0%} interval", justify="right", no_wrap=True)
    effects = optima(e)
    for importance in e.main_importances[:MAX_PARAMS]:
        _row(table, importance, effects.get(importance.params[0]))
    pairs = [i for i in e.importances if len(i.params) == 2 and i.share >= MIN_PAIR_SHARE]
    for importance in pairs[:MAX_PAIRS]:
        _row(table, importance, None)
    return table


def optima(e: Explanation) -> dict[str, Effect]:
    """The effects whose best value a rule stands behind; others would only mislead."""
    known = {rule.param for rule in e.rules if rule.kind not in ("no-effect", "avoid")}
    return {effect.param: effect for effect in e.effects if effect.param in known}


def _row(table: Table, importance: Importance, effect: Effect | None) -> None:
    name = escape(" x ".join(importance.params))
    if importance.within:
        name += f" [dim]({escape(importance.within)})[/]"
    best = interval = ""
    if effect is not None:
        best = show(effect.best)
        if not effect.categorical:
            interval = f"{show(effect.best_low)} to {show(effect.best_high)}"
    table.add_row(
        name,
        f"{importance.share:.0%}",
        "█" * round(importance.share * BAR) or "▏",
        f"{importance.low:.0%} to {importance.high:.0%}",
        escape(best),
        escape(interval),
    )


def _bullet(statement: str) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_row(Text("•", style="green"), Text(statement))
    return grid
