"""What `verify` returns: the plan, the gains of the pairs, and the verdict."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from hpsearch.analysis.rules import show
from hpsearch.analysis.verification import Verdict
from hpsearch.verifying.plan import Plan

SCHEMA = "hpsearch.verification/1"
COLOURS = {"confirmed": "bold green", "refuted": "bold red", "inconclusive": "bold yellow"}


@dataclass(frozen=True)
class Verification:
    """The outcome of a verification.

    `gain` with its interval `low` to `high` is the mean difference within the pairs in the metric's
    unit, positive where the value is better than the reference. `gains` holds it for each pair,
    None where a run failed.
    """

    plan: Plan
    verdict: Verdict
    reason: str
    gain: float
    low: float
    high: float
    gains: tuple[float | None, ...]

    @property
    def trials_study(self) -> str:
        """The study with the runs."""
        return self.plan.trials_study

    @property
    def statement(self) -> str:
        """The verdict in two sentences."""
        p = self.plan
        counted = sum(gain is not None for gain in self.gains)
        text = (
            f"{self.verdict.capitalize()}: `{p.param}` {show(p.value)} against {show(p.against)} "
        )
        if math.isnan(self.gain):
            return f"{text}- {self.reason}."
        text += (
            f"gains {self.gain:.3g} {p.metric} ({p.level:.0%} interval {self.low:.2g} to "
            f"{self.high:.2g}) over {counted} pairs; claimed were {p.claimed:.2g}. "
        )
        return text + f"{self.reason[:1].upper()}{self.reason[1:]}."

    def to_json(self) -> str:
        document: dict[str, Any] = {"schema": SCHEMA, **asdict(self), "statement": self.statement}
        for key in ("gain", "low", "high"):
            if not math.isfinite(document[key]):
                document[key] = None
        return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)

    def __rich__(self) -> RenderableType:
        word, _, rest = self.statement.partition(":")
        return Text.assemble((word, COLOURS[self.verdict]), f":{rest}")
