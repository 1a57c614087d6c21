"""The range of a bounded output: found from what it is to learn, or checked against it."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from hpsearch.errors import InputError

MARGIN = 0.1
"""Of the numbers' span, on both sides: a sigmoid comes near its ends, but never reaches them."""


def auto_range(numbers: npt.NDArray[Any]) -> tuple[float, float]:
    """The range for `y_range = "auto"`: that of the training numbers and a tenth on both sides.

    Example:
        >>> import numpy as np
        >>> auto_range(np.array([1.0, 5.0, 3.0]))
        (0.6, 5.4)
    """
    least, most = float(numbers.min()), float(numbers.max())
    margin = MARGIN * (most - least) or 0.5
    return least - margin, most + margin


def check_reach(
    what_go: str, numbers: npt.NDArray[Any], y_range: tuple[float, float] | None, written: str
) -> None:
    """Raises InputError where there are numbers that no prediction within `y_range` can come near.

    Its sentence begins with `what_go`, such as "The ratings go"; `written` is how such studies
    write a range, such as "{:g}/{:g}".
    """
    if y_range is None:
        return
    least, most = float(numbers.min()), float(numbers.max())
    if least < y_range[0] or most > y_range[1]:
        raise InputError(
            f"{what_go} from {least:g} to {most:g}, but y_range = {written.format(*y_range)} keeps"
            ' predictions between these: set a wider range in the study, or y_range = "auto".'
        )
