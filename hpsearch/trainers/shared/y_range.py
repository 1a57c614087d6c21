"""Whether a bounded output can come near what it is to learn."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from hpsearch.errors import InputError


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
            " predictions between these: set a wider range in the study, or none."
        )
