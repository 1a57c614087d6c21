"""Settings of the tabular trainer, as frozen dataclasses. Nothing here imports torch."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from hpsearch.trainers.shared.config_fields import (
    STRICT,
    Count,
    Moms,
    NotNegative,
    Positive,
    Share,
    Whole,
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
    amounts with a long tail as they are.
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

    @model_validator(mode="after")
    def _check(self) -> TabularData:
        given = [name for name in ("source", "path", "query") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given; keep one")
        if (self.query is None) != (self.database is None):
            raise ValueError("database and query go together; give both or neither")
        return self


@dataclass(frozen=True, config=STRICT)
class TabularConfig:
    """One trial of the tabular network (fastai.tabular's).

    `layers` are the widths of the hidden layers, written 200/100; `drop` is the dropout after each
    of them and `emb_drop` that of the embeddings. `y_range` bounds predicted numbers; without it
    they are scaled by the training rows' mean and deviation while the network learns. `hold_out`
    says where held-out rows come from: the training table, or (for a final model) the test rows.
    """

    SHARED: ClassVar = ("hold_out",)
    """What `prepare` makes once for all trials: settings, never parameters of a space."""
    WHOLE: ClassVar = {"hold_out": "test"}
    """What a final model has otherwise than a trial."""

    hold_out: Literal["train", "test"] = "train"
    y_range: tuple[float, float] | None = None
    layers: Layers = "200/100"
    lr: Positive = 1e-2
    wd: NotNegative = 0.01
    bs: Annotated[Whole, Field(ge=2)] = 64
    epochs: Count = 1
    moms: Moms = "0.95/0.85"
    pct_start: Share = 0.25
    drop: Annotated[Share, Field(lt=1)] = 0.0
    emb_drop: Annotated[Share, Field(lt=1)] = 0.0

    @model_validator(mode="after")
    def _check(self) -> TabularConfig:
        if self.y_range is not None and not self.y_range[0] < self.y_range[1]:
            raise ValueError(f"y_range is low, high with low below high, not {self.y_range}")
        return self
