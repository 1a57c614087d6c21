"""The types of settings that all trainers' configs are made of. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Protocol, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter

from hpsearch.trainers.step.schedule import parse_moms

STRICT = ConfigDict(extra="forbid")

Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True, ge=0, lt=2**31)]
Count = Annotated[Whole, Field(ge=1)]
Precision = Literal["auto", "bfloat16", "float32"]
ClassWeights = Literal["none", "balanced"]
"""How much a row of each class counts in training: all the same, or each class as a whole the same
(see `hpsearch.trainers.shared.metrics.balanced_weights`)."""


Config = TypeVar("Config")


def parse_config(config: type[Config], *contents: Mapping[str, Any]) -> Config:
    """The config that these keys and values make up together, a later one before an earlier.

    Raises pydantic's ValidationError.
    """
    merged = {key: value for content in contents for key, value in content.items()}
    return TypeAdapter(config).validate_python(merged)


class Place(Protocol):
    """Where a [data] section says that its rows are: source, path, or database with query."""

    @property
    def source(self) -> str | None: ...
    @property
    def path(self) -> str | None: ...
    @property
    def database(self) -> str | None: ...
    @property
    def query(self) -> str | None: ...


def check_one_place(data: Place) -> None:
    """Raises ValueError if the rows are said to be in two places, or in half a place."""
    places = {"source": data.source, "path": data.path, "query": data.query}
    given = [name for name, place in places.items() if place is not None]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} are both given; drop one")
    if (data.query is None) != (data.database is None):
        raise ValueError("database and query go together; give both or neither")


OnError = Literal["stop", "skip"]
"""What is done about rows that cannot be used: say so and stop, or leave them out and say which."""


def _check_moms(text: str) -> str:
    parse_moms(text)
    return text


Moms = Annotated[str, AfterValidator(_check_moms)]
