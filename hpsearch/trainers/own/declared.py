"""The space that a function's type hints declare: ranges in `Annotated`, choices as `Literal`."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

from hpsearch.errors import InputError
from hpsearch.trainers.own.call import OwnCall
from hpsearch.trainers.own.hints import Choice, Float, Int, Range


def hinted_space(call: OwnCall, settings: Mapping[str, Any]) -> dict[str, Range]:
    """The ranges of those parameters that have one and are no settings.

    Raises:
        InputError: The hints cannot be read, or a range does not fit its type.
    """
    try:
        hints = typing.get_type_hints(call.function, include_extras=True)
    except Exception as error:  # whatever the user's annotations raise
        raise InputError(
            f"The type hints of {call.name} cannot be read ({type(error).__name__}: {error}): mend "
            "them, or declare [space]."
        ) from error
    found = {name: _range(call, name, hint) for name, hint in hints.items() if name != "return"}
    return {name: one for name, one in found.items() if one is not None and name not in settings}


def _range(call: OwnCall, name: str, hint: Any) -> Range | None:  # noqa: ANN401
    if get_origin(hint) is Literal:
        return Choice(*get_args(hint))
    if get_origin(hint) is not Annotated:
        return None
    kind, *notes = get_args(hint)
    ranges = [one for one in notes if isinstance(one, Range)]
    if len(ranges) > 1:
        raise InputError(f"{call.name} gives {name} {len(ranges)} ranges: keep one.")
    if not ranges:
        return None
    for wrong, right in ((Float, int), (Int, float)):
        if isinstance(ranges[0], wrong) and kind is right:
            better = "Int" if right is int else "Float"
            raise InputError(
                f"{call.name} says that {name} is of type {right.__name__}, but gives it a range "
                f"hpsearch.{wrong.__name__}: write hpsearch.{better}."
            )
    return ranges[0]
