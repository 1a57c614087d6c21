"""What `verify` returns: the plan, the gains of the pairs, and the verdict."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from hpsearch.core.terminal import one_line, visible
from hpsearch.core.words import code_html, digits, format_value
from hpsearch.verification.plan import Plan
from hpsearch.verification.verdict import Pairs, Verdict

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "hpsearch.verification/1"
COLOURS = {
    "confirmed": "bold green",
    "smaller than claimed": "bold cyan",
    "refuted": "bold red",
    "inconclusive": "bold yellow",
}


@dataclass(frozen=True, repr=False)
class Verification:
    """The outcome of a verification.

    `gain` with its interval `low` to `high` is the mean difference within all pairs of the contrast
    in the metric's unit, positive where the value is better than the reference. `pairs` holds these
    pairs, those of earlier verifications first; `gains` the difference within each new pair,
    None where a run failed.

    Source: docs/method.md, section 7; `judge` in verdict.py gives the verdict.
    """

    plan: Plan
    verdict: Verdict
    reason: str
    gain: float
    low: float
    high: float
    gains: tuple[float | None, ...]
    pairs: Pairs

    @property
    def trials_study(self) -> str:
        """The study with the runs."""
        return self.plan.trials_study

    @property
    def statement(self) -> str:
        """The verdict in two sentences."""
        p = self.plan
        text = f"{self.verdict.capitalize()}: `{p.param}` {format_value(p.value)} "
        text += f"against {format_value(p.against)} "
        if math.isnan(self.gain):
            return f"{text}- {self.reason}."
        text += (
            f"gains {digits(self.gain)} {p.metric} ({p.level:.0%} interval "
            f"{digits(self.low, 2)} to "
            f"{digits(self.high, 2)}) over {len(self.pairs.gains)} pairs{self._looks()}; "
            f"claimed were "
            f"{digits(p.claimed, 2)}. "
        )
        return text + f"{self.reason[:1].upper()}{self.reason[1:]}."

    def _looks(self) -> str:
        """Where there were earlier verifications, or rules beside this one: how many."""
        p = self.plan
        looks = f" of {p.look} verifications" if p.look > 1 else ""
        return looks + (f", one of {p.rules} rules" if p.rules > 1 else "")

    def to_json(self) -> str:
        """The verification as JSON, "schema": "hpsearch.verification/1"; null is not finite."""
        document: dict[str, Any] = {"schema": SCHEMA, **asdict(self), "statement": self.statement}
        for key in ("gain", "low", "high"):
            if not math.isfinite(document[key]):
                document[key] = None
        return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)

    def to_frame(self) -> pd.DataFrame:
        """The gains of all pairs in the metric's unit, one row a pair, those of earlier
        verifications first."""
        import pandas as pd

        return pd.DataFrame({"gain": list(self.pairs.gains)}).rename_axis("pair")

    def __repr__(self) -> str:
        return f"<Verification {self.statement}>"

    def _repr_html_(self) -> str:
        word, _, rest = self.statement.partition(":")
        return visible(f"<div><b>{code_html(word)}</b>:{code_html(rest)}</div>")

    def __rich__(self) -> RenderableType:
        word, _, rest = self.statement.partition(":")
        return Text.assemble((word, COLOURS[self.verdict]), one_line(f":{rest}"))
