"""What a study of a scikit-learn estimator may say of its data. Nothing here imports one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from hpsearch.trainers.shared.config_fields import STRICT
from hpsearch.trainers.tabular.config import TabularData


@dataclass(frozen=True, config=STRICT)
class EstimatorData(TabularData):
    """A table as the tabular trainer has it, in so many `folds` of cross-validation; `split` and
    `test` are not used."""

    folds: Annotated[int, Field(strict=True, ge=2, le=100)] = 5
