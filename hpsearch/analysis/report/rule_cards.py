"""The rules as cards of a page, each with the place of its values in the searched range."""

from __future__ import annotations

from html import escape

from hpsearch.analysis.axes import Value
from hpsearch.analysis.explanation import Explanation
from hpsearch.analysis.report.table import refusal
from hpsearch.analysis.rules import Rule, show


def rules_html(e: Explanation) -> str:
    """The rules, or why there are none."""
    if not e.rules:
        return f'<p class="refusal"><b>No rules yet.</b> {escape(refusal(e))}</p>'
    return f'<ol class="rules">{"".join(_card(e, rule) for rule in e.rules)}</ol>'


def _card(e: Explanation, rule: Rule) -> str:
    evidence = " ".join(part for part in (rule.detail, rule.evidence) if part)
    return (
        f'<li class="{rule.kind}"><p class="advice">{_code(rule.advice)}</p>'
        f"{_range(e, rule)}"
        f'<p class="evidence">{_code(evidence)}</p></li>\n'
    )


def _code(statement: str) -> str:
    """`name` becomes code."""
    pieces = escape(statement).split("`")
    return "".join(
        f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces)
    )


def _range(e: Explanation, rule: Rule) -> str:
    """A line for the searched range: the rule's interval, its value, and the default."""
    axis = next((axis for axis in e.frame.axes if axis.name == rule.param), None)
    if axis is None or axis.is_categorical or rule.unit_low is None or rule.unit_high is None:
        return ""
    if rule.kind in ("no-effect", "conditional"):
        return ""

    def x(unit: float) -> str:
        return f"{100 * unit:.2f}%"

    def place(value: Value) -> str:
        return x(float(axis.to_unit([value])[0]))

    low, high = rule.unit_low, max(rule.unit_high, rule.unit_low + 0.004)
    value, default = "", ""
    words = f"From {show(axis.low)} to {show(axis.high)}: {show(rule.low)} to {show(rule.high)}"
    if rule.kind != "avoid":
        value = f'<circle class="value" cx="{place(rule.value)}" cy="10" r="5"/>'
    if "default-unknown" not in rule.flags:
        at = place(rule.default)
        default = f'<line class="default" x1="{at}" x2="{at}" y1="2" y2="18" stroke-width="2"/>'
        words += f"; the line is the default, {show(rule.default)}"
    return (
        f'<svg class="range" role="img" aria-label="{escape(words)}"><title>{escape(words)}</title>'
        '<line class="track" x1="0" x2="100%" y1="10" y2="10" stroke-width="4"/>'
        f'<line class="span" x1="{x(low)}" x2="{x(high)}" y1="10" y2="10" stroke-width="8"/>'
        f'{default}{value}<text x="0" y="34">{escape(show(axis.low))}</text>'
        f'<text x="100%" y="34" text-anchor="end">{escape(show(axis.high))}</text></svg>'
    )
