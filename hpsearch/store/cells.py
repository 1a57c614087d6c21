"""What cells of Optuna's tables mean, and how many ids a statement may name."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution

WORDS = {"INF_POS": float("inf"), "INF_NEG": float("-inf"), "NAN": float("nan")}
"""What stands for a number beside an empty cell."""
AT_ONCE = 500


def parts(ids: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Databases limit the length of IN (...)."""
    return (ids[start : start + AT_ONCE] for start in range(0, len(ids), AT_ONCE))


@lru_cache(maxsize=1024)
def parsed_range(text: str) -> BaseDistribution:
    """The range of a parameter, as Optuna stores it."""
    with warnings.catch_warnings():  # those of Optuna 2 warn, and are read all the same
        warnings.simplefilter("ignore", FutureWarning)
        return json_to_distribution(text)


def local_time(moment: datetime | None) -> datetime | None:
    """Optuna's tables have UTC, its trials local times, both naive."""
    return None if moment is None else moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
