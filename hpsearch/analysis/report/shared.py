"""What all reports say alike: which way is better, and numbers that JSON knows."""

from __future__ import annotations

from typing import Any

import numpy as np

from hpsearch.analysis.results import Results

DIGITS = 5  # of every number in a plot: keeps pages and the dashboard's attributes small


def aim(e: Results) -> str:
    """Which way is better, for axes and captions."""
    return "higher is better" if e.maximize else "lower is better"


def column_of(e: Results, param: str) -> int:
    """The column of a parameter in the frame."""
    return next(c for c, axis in enumerate(e.frame.axes) if axis.name == param)


def to_json_types(value: Any, digits: int = DIGITS) -> Any:  # noqa: ANN401 - any of JSON's
    """The value in JSON's types: arrays are lists, floats have so many digits or are null.

    A float is null where it is not finite.
    """
    if isinstance(value, dict):
        return {str(key): to_json_types(item, digits) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [to_json_types(item, digits) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if np.isfinite(value) else None
    return value
