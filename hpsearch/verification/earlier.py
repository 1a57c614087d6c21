"""The pairs of a contrast's earlier verifications, from their rows in the store."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hpsearch.store.findings import PLANNED
from hpsearch.verification.plan import Contrast
from hpsearch.verification.verdict import Pairs


def earlier_pairs(rows: Sequence[Mapping[str, Any]], contrast: Contrast) -> list[Pairs]:
    """The pairs of each verification of the contrast, or of its opposite, that has a verdict.

    Args:
        rows: of hps_verification, those of one study.
        contrast: the one that is verified now.

    Returns:
        An entry for each verification, also where its row holds no pairs that can be read: it was
        a look all the same. The gains are those of the contrast's value.
    """
    found = []
    for row in rows:
        if row["verdict"] == PLANNED:
            continue
        one = Contrast(row["param"], row["value"], row["against"])
        if one == contrast:
            found.append(_pairs(row["payload"]))
        elif one == contrast.turned():
            found.append(_pairs(row["payload"]).turned())
    return found


def _pairs(payload: object) -> Pairs:
    """The pairs in a row. Rows from before failures were counted do not say whose run failed."""
    content = payload if isinstance(payload, Mapping) else {}
    gains = content.get("gains")
    gains = gains if isinstance(gains, list) else []
    whole = tuple(float(gain) for gain in gains if _is_number(gain))
    lost = content.get("lost")
    if isinstance(lost, list) and len(lost) == 3 and all(map(_is_count, lost)):
        return Pairs(whole, *lost)
    return Pairs(whole, lost_both=len(gains) - len(whole))


def _is_count(number: object) -> bool:
    return type(number) is int and number >= 0


def _is_number(gain: object) -> bool:
    return type(gain) in (int, float) and math.isfinite(gain)  # type: ignore[arg-type]
