"""The explanation as Markdown, for a README or an issue."""

from __future__ import annotations

from rich.text import Text

from hpsearch.analysis.explanation import Explanation
from hpsearch.analysis.report.table import MAX_PAIRS, MIN_PAIR_SHARE, heading, optima, refusal
from hpsearch.analysis.rules import show


def render_markdown(explanation: Explanation) -> str:
    """Heading, rules or why there are none, table of shares and optima, notes."""
    e = explanation
    lines = [
        f"# {_cell(e.study)}",
        "",
        Text.from_markup(heading(e)).plain.replace("\n", ". ") + ".",
    ]
    lines += ["", "## Rules", ""]
    lines += [f"- {rule.statement}" for rule in e.rules]
    if not e.trusted:
        lines.append(f"No rules yet. {refusal(e)}")
    elif not e.rules:
        lines.append("The trials tell parameters apart, but support no rule yet.")
    title = "What matters" if e.trusted else "A first impression, not to be trusted yet"
    lines += ["", f"## {title}", "", *_shares(e)]
    if e.notes:
        lines += ["", "## Notes", "", *(f"- {note}" for note in e.notes)]
    return "\n".join(lines) + "\n"


def _shares(e: Explanation) -> list[str]:
    interval = f"{e.level:.0%} interval"
    lines = [
        f"| parameter | share | {interval} | best | {interval} |",
        "|---|---:|---:|---:|---:|",
    ]
    effects = optima(e)
    pairs = [i for i in e.importances if len(i.params) == 2 and i.share >= MIN_PAIR_SHARE]
    for importance in (*e.main_importances, *pairs[:MAX_PAIRS]):
        effect = effects.get(importance.params[0]) if len(importance.params) == 1 else None
        best = _cell(show(effect.best)) if effect else ""
        span = ""
        if effect and not effect.categorical:
            span = f"{show(effect.best_low)} to {show(effect.best_high)}"
        name = " x ".join(f"`{_cell(param)}`" for param in importance.params)
        name += f" ({_cell(importance.within)})" if importance.within else ""
        lines.append(
            f"| {name} | {importance.share:.0%} | {importance.low:.0%} to {importance.high:.0%} "
            f"| {best} | {span} |"
        )
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
