"""Values as plain JSON, the same whichever library made them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def plain(content: Mapping[str, Any]) -> dict[str, Any]:
    """`content` as it is after it was written as JSON and read again.

    So values that are compared and values that are trained have the same form.
    """
    return dict(json.loads(to_json(content)))


def to_json(value: object) -> str:
    """`value` as strict JSON: tuples as lists, numpy numbers as numbers, NaN as null."""
    return json.dumps(_plain(value), allow_nan=False, ensure_ascii=False)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, str | bool | int) or value is None:
        return value
    if hasattr(value, "item") and getattr(value, "size", 1) == 1:  # a number of numpy or torch
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int) else str(value)
