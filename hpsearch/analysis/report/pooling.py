"""Optima pooled over several studies, for people and programs."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hpsearch.analysis.rules import show

if TYPE_CHECKING:
    from hpsearch.analysis.across import Pooling
    from hpsearch.analysis.pooling import PooledOptimum, Regret

SCHEMA = "hpsearch.pool/1"
REGRETS = ("study", "value from the others", "costs against its best", "gains over its default")


def render_table(pooling: Pooling) -> RenderableType:
    """A table of pooled optima; below it what each would have cost in the study left out."""
    parts: list[RenderableType] = [Text(_heading(pooling), style="bold")]
    if pooling.optima:
        parts += [_table(_columns(pooling), [_row(one) for one in pooling.optima])]
    for one in pooling.optima:
        parts += ["", Text(f"{one.param}: had its rule come from the other studies only")]
        parts += [_table(REGRETS, [_regret(regret) for regret in one.regrets])]
    if lines := [f"{param}: {reason}" for param, reason in pooling.left_out]:
        parts += ["", *(Text(f"Not pooled: {line}.", style="dim") for line in lines)]
    return Group(*parts)


def render_markdown(pooling: Pooling) -> str:
    lines = [f"# {_heading(pooling)}", ""]
    if pooling.optima:
        lines += _markdown(_columns(pooling), [_row(one) for one in pooling.optima])
    for one in pooling.optima:
        lines += ["", f"## `{one.param}` from the other studies only", ""]
        lines += _markdown(REGRETS, [_regret(regret) for regret in one.regrets])
    lines += ["", *(f"- Not pooled: `{param}`: {reason}." for param, reason in pooling.left_out)]
    return "\n".join(lines).rstrip() + "\n"


def render_json(pooling: Pooling) -> str:
    """`studies`, `level`, `optima` [{param, log, studies, value, low, high, new_low, new_high, tau,
    i2, regrets [{study, value, loss, gain}], statement}], `left_out`; infinite numbers are null."""
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "studies": pooling.studies,
        "level": pooling.level,
        "optima": [{**asdict(one), "statement": one.statement} for one in pooling.optima],
        "left_out": [{"param": param, "reason": why} for param, why in pooling.left_out],
    }
    return json.dumps(_finite(document), indent=1, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:  # noqa: ANN401 - walks any of JSON's types
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _heading(pooling: Pooling) -> str:
    count = len(pooling.studies)
    if pooling.optima:
        return f"{count} studies together: {', '.join(pooling.studies)}"
    return f"No optimum can be pooled over the {count} studies {', '.join(pooling.studies)}"


def _columns(pooling: Pooling) -> tuple[str, ...]:
    level = f"{pooling.level:.0%}"
    return ("parameter", "studies", "best", f"{level} interval", f"{level} for a new study", "tau",
            "I2")  # fmt: skip


def _row(one: PooledOptimum) -> tuple[str, ...]:
    new = f"{show(one.new_low)} to {show(one.new_high)}"
    if math.isinf(one.new_high):
        new = "needs 3 studies"
    # On a log scale tau is in logarithms: as a factor it says something.
    tau = f"factor {math.exp(one.tau):.2f}" if one.log else f"{one.tau:.2g}"
    span = f"{show(one.low)} to {show(one.high)}"
    return (one.param, str(len(one.studies)), show(one.value), span, new, tau, f"{one.i2:.0%}")


def _regret(regret: Regret) -> tuple[str, ...]:
    if regret.value is None or regret.loss is None:
        return (regret.study, "outside its range", "", "")
    gain = "it names none" if regret.gain is None else f"{regret.gain:+.3g}"
    return (regret.study, show(regret.value), f"{regret.loss:.3g}", gain)


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, style=None if i else "cyan", justify="right" if i else "left")
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def _markdown(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = [f"| {' | '.join(columns)} |", f"|---|{'---:|' * (len(columns) - 1)}"]
    rows = [tuple(cell.replace("|", "\\|") for cell in row) for row in rows]
    return lines + [f"| {' | '.join(row)} |" for row in rows]
