"""The tabular trainer as the search knows it. It imports torch when the first network trains.

The process that starts the workers prepares the data but trains no network. In that process, the
import of torch would take longer than all other work.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hpsearch.trainers.tabular.supports import ASSESS, KEEPS_BEST, SPEED, missing_pretrained
from hpsearch.trainers.tabular.table.prepare import prepare

if TYPE_CHECKING:
    from hpsearch.trainers.tabular.train import lr_test, train, train_side_by_side

__all__ = [
    "ASSESS", "KEEPS_BEST", "SPEED", "lr_test", "missing_pretrained", "prepare", "train",
    "train_side_by_side",
]  # fmt: skip


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """`train`, `train_side_by_side` and `lr_test`, from the module that needs torch."""
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(importlib.import_module("hpsearch.trainers.tabular.train"), name)
