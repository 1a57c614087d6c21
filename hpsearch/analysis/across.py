"""Several studies together: which parameters can be pooled, and what comes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import RenderableType

from hpsearch.analysis.explanation import Explanation
from hpsearch.analysis.pooling import MIN_STUDIES, PooledOptimum, pool
from hpsearch.errors import InputError


@dataclass(frozen=True)
class Pooling:
    """The optima pooled over `studies`, and why parameters that several have are not among them."""

    studies: tuple[str, ...]
    level: float
    optima: tuple[PooledOptimum, ...]
    left_out: tuple[tuple[str, str], ...]

    def to_table(self, *, everything: bool = False) -> RenderableType:
        """Something for `rich.console.Console.print`; it always leaves nothing out."""
        from hpsearch.analysis.report.pooling import render_table

        return render_table(self)

    def to_markdown(self) -> str:
        from hpsearch.analysis.report.pooling import render_markdown

        return render_markdown(self)

    def to_json(self) -> str:
        from hpsearch.analysis.report.pooling import render_json

        return render_json(self)

    def __rich__(self) -> RenderableType:
        return self.to_table()


def pool_studies(explanations: Sequence[Explanation]) -> Pooling:
    """Pool the optimum of every parameter that two or more studies have a rule about.

    Raises InputError for fewer than two studies, and for two of one name, which nobody could tell
    apart.
    """
    names = [one.study for one in explanations]
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise InputError(
            f"two of the studies are called '{twice[0]}': give one another name, "
            "as with optuna.copy_study or hpsearch import."
        )
    optima = pool(explanations)
    pooled = {one.param for one in optima}
    return Pooling(
        tuple(names), explanations[0].level, optima, tuple(_left_out(explanations, pooled))
    )


def _left_out(explanations: Sequence[Explanation], pooled: set[str]) -> list[tuple[str, str]]:
    """(parameter, reason) for what several studies have and no pool holds."""
    found: dict[str, list[Explanation]] = {}
    for one in explanations:
        for axis in one.frame.axes:
            found.setdefault(axis.name, []).append(one)
    reasons = []
    for param, having in found.items():
        if len(having) < MIN_STUDIES or param in pooled:
            continue
        effects = [e for one in having for e in one.effects if e.param == param]
        if any(effect.categorical for effect in effects):
            reasons.append((param, "categories have no mean"))
        else:
            ruled = sum(any(rule.param == param for rule in one.rules) for one in having)
            reasons.append((param, f"{ruled} of {len(having)} studies have a rule about its best"))
    return reasons
