"""Settings of the tabular trainer, as frozen dataclasses. Nothing here imports torch."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from hpsearch.trainers.shared.config_fields import (
    STRICT,
    ClassWeights,
    Count,
    Moms,
    NotNegative,
    OnError,
    Positive,
    Share,
    Whole,
    check_one_place,
)


def parse_layers(text: str) -> tuple[int, ...]:
    """'200/100' -> (200, 100): the widths of the hidden layers; '' -> none."""
    try:
        widths = tuple(int(part) for part in text.split("/")) if text else ()
    except ValueError:
        widths = (0,)
    if any(not 1 <= width <= 100_000 for width in widths):
        raise ValueError(f"layers are widths from 1 on, such as 200/100, not {text!r}")
    return widths


def _check_layers(text: str) -> str:
    parse_layers(text)
    return text


Layers = Annotated[str, AfterValidator(_check_layers)]


@dataclass(frozen=True, config=STRICT)
class TabularData:
    """The [data] of a study on a table: a data set known by name, a file (`test` may name another
    with rows to test on), or a SQL `query` to a `database` (an SQLAlchemy URL).

    `target` is what is predicted. Which columns are categorical, continuous, dates or of no use is
    found out unless it is said here; `task` too. `split` says which rows are held out: see
    `hpsearch.trainers.tabular.table.split_rows`. `compress_tails` false leaves
    amounts with a long tail as they are. `on_error` "skip" leaves out rows whose target or cells
    cannot be used, and says which.
    """

    source: str | None = None
    path: str | None = None
    test: str | None = None
    database: str | None = None
    query: str | None = None
    target: str = "target"
    task: Literal["auto", "classification", "regression"] = "auto"
    categorical: list[str] | None = None
    continuous: list[str] | None = None
    dates: list[str] = Field(default_factory=list)
    ignore: list[str] = Field(default_factory=list)
    split: dict[str, Any] = Field(default_factory=lambda: {"share": 0.2})
    compress_tails: bool = True
    on_error: OnError = "stop"

    @model_validator(mode="after")
    def _check(self) -> TabularData:
        check_one_place(self)
        return self


@dataclass(frozen=True, config=STRICT)
class TabularConfig:
    """One trial of the tabular network (fastai.tabular's).

    `layers` are the widths of the hidden layers, written 200/100; `drop` is the dropout after each
    of them and `emb_drop` that of the embeddings. `y_range` bounds predicted numbers ("auto": from
    a tenth below the training rows' to a tenth above); without it they are scaled by the training
    rows' mean and deviation while the network learns. `hold_out` says where held-out rows come
    from: the training table, or (for a final model) the test rows. With `class_weights` "balanced"
    rows of rare classes count more in training; what is measured does not change.
    """

    SHARED: ClassVar = ("hold_out",)
    """What `prepare` makes once for all trials: settings, never parameters of a space."""
    WHOLE: ClassVar = {"hold_out": "test"}
    """What a final model has otherwise than a trial."""

    hold_out: Literal["train", "test"] = "train"
    y_range: tuple[float, float] | Literal["auto"] | None = None
    layers: Layers = "200/100"
    lr: Positive = 1e-2
    wd: NotNegative = 0.01
    bs: Annotated[Whole, Field(ge=2)] = 64
    epochs: Count = 1
    class_weights: ClassWeights = "none"
    moms: Moms = "0.95/0.85"
    pct_start: Share = 0.25
    drop: Annotated[Share, Field(lt=1)] = 0.0
    emb_drop: Annotated[Share, Field(lt=1)] = 0.0

    @model_validator(mode="after")
    def _check(self) -> TabularConfig:
        if self.bounds is not None and not self.bounds[0] < self.bounds[1]:
            raise ValueError(f"y_range is low, high with low below high, not {self.y_range}")
        return self

    @property
    def bounds(self) -> tuple[float, float] | None:
        """`y_range` where it is two numbers."""
        return None if isinstance(self.y_range, str) else self.y_range
