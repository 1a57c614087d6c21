"""Rows of a table as a network takes them. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class EncodedRows:
    """`codes` (rows, C) and `numbers` (rows, N) of a table, and what is to be predicted: `targets`
    (rows,), int64 classes or float32 numbers on the scale that the network learns them on."""

    codes: npt.NDArray[np.int32]
    numbers: npt.NDArray[np.float32]
    targets: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.codes)
