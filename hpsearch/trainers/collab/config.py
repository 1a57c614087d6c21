"""Settings of collaborative filtering, as frozen dataclasses. Nothing here imports torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from hpsearch.trainers.shared.config_fields import (
    STRICT,
    Count,
    Moms,
    NotNegative,
    OnError,
    Positive,
    Share,
    Whole,
    check_one_place,
)


def parse_y_range(text: str) -> tuple[float, float] | None:
    """'0/5.5' -> (0.0, 5.5): predictions are squeezed between the two; 'none' -> None.

    "auto" must have become a range of the ratings before (see `CollabFit`).
    """
    if text == "none":
        return None
    try:
        low, high = map(float, text.split("/"))
    except ValueError:
        raise ValueError(f"a range is written low/high, such as 0/5.5, not {text!r}") from None
    if not -1e6 <= low < high <= 1e6:
        raise ValueError(f"a range is low/high with low below high, not {text!r}")
    return low, high


def _check_y_range(text: str) -> str:
    if text != "auto":
        parse_y_range(text)
    return text


def _parse_numbers(text: str, what: str) -> list[float]:
    try:
        return [float(part) for part in text.split("/")] if text else []
    except ValueError:
        raise ValueError(f"{what} are numbers with / between them, not {text!r}") from None


def parse_layers(text: str) -> list[int]:
    """'100/50' -> [100, 50]: widths of the hidden layers."""
    widths = _parse_numbers(text, "layers")
    if not widths or any(width != int(width) or not 1 <= width <= 8192 for width in widths):
        raise ValueError(f"layers are whole widths from 1 to 8192, such as 100/50, not {text!r}")
    return [int(width) for width in widths]


def _check_layers(text: str) -> str:
    parse_layers(text)
    return text


YRange = Annotated[str, AfterValidator(_check_y_range)]
Layers = Annotated[str, AfterValidator(_check_layers)]


@dataclass(frozen=True, config=STRICT)
class CollabData:
    """The [data] of a study: a data set known by name, one's own file with its columns, or a query.

    Without `rating` a row of one's own file says only that the user chose the item (implicit
    feedback). `users` and `items` are files of metadata, one row each. `on_error` "skip" leaves out
    rows whose rating or time cannot be read, and says which.
    """

    source: str | None = None
    path: str | None = None
    database: str | None = None
    query: str | None = None
    user: str | None = None
    item: str | None = None
    rating: str | None = None
    time: str | None = None
    users: str | None = None
    items: str | None = None
    on_error: OnError = "stop"

    @model_validator(mode="after")
    def _check(self) -> CollabData:
        check_one_place(self)
        return self


@dataclass(frozen=True, config=STRICT)
class CollabConfig:
    """One trial of collaborative filtering; the defaults are the 2018 lesson's.

    `model` "dot-bias" is dot(user, item) + both biases, "neural-net" a network with hidden
    `layers` over the two embeddings (`emb_drop` on these, `drop` after each layer). `y_range`
    squeezes predictions between two ends by a sigmoid ("none": not at all, "auto": from a tenth
    below the ratings to a tenth above); its high end lies above the best rating, since a sigmoid
    never reaches its ends. It means nothing for implicit
    feedback, where `negatives` items that the user did not choose are drawn for each that they
    did, anew every epoch. `bias_wd` is the weight decay of the dot product's biases, `wd` if None.

    `split` says which `valid_share` of the ratings is held out: random ones, that share of each
    user's (`user`), or the latest (`time`). `fold` first confines everything to the training part
    of an official fold such as "u1"; with `hold_out` "test" (a final model) the fold's test part is
    held out instead, and without a fold the same ratings as in the search. `k` is the depth of the
    ranking metrics.
    """

    SHARED: ClassVar = ("split", "valid_share", "split_seed", "fold", "hold_out", "k")
    """What `prepare` makes once for all trials: settings, never parameters of a space."""
    WHOLE: ClassVar = {"hold_out": "test"}
    """What a final model has otherwise than a trial."""

    model: Literal["dot-bias", "neural-net"] = "dot-bias"
    split: Literal["random", "user", "time"] = "random"
    valid_share: Annotated[float, Field(strict=True, gt=0, lt=1)] = 0.2
    split_seed: Whole = 0
    fold: str | None = None
    hold_out: Literal["train", "test"] = "train"
    k: Count = 10
    negatives: Count = 4
    n_factors: Annotated[Count, Field(le=4096)] = 50
    y_range: YRange = "0/5.5"
    layers: Layers = "50"
    drop: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.0
    emb_drop: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.0
    lr: Positive = 5e-3
    wd: NotNegative = 0.1
    bias_wd: NotNegative | None = None
    bs: Annotated[Whole, Field(ge=2)] = 64
    epochs: Count = 5
    moms: Moms = "0.95/0.85"
    pct_start: Share = 0.25
