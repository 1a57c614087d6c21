"""What pydantic finds wrong, in one sentence's words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

_TABLE = ("dict_type", "model_type", "dataclass_type", "model_attributes_type")
_CHOICES = ("bool", "int", "float", "str")
_LONGEST = 60  # characters of a wrong value


def first_problem(error: ValidationError, where: str = "") -> str:
    """'key: reason' of the first thing that pydantic found, and how many more there are."""
    # A key nobody knows is often the reason why another is missing.
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    keys = [_key(problem["loc"], where) for problem in problems]
    more = f" (and {len(set(keys)) - 1} more)" if len(set(keys)) > 1 else ""
    reason = "this is none of the kinds of value that it may have, but " + _shown(problems[0])
    if keys.count(keys[0]) == 1:  # else one problem for each type of a union
        reason = _reason(problems[0])
    return (f"{keys[0]}: {reason}" if keys[0] else reason) + more


def _key(loc: tuple[int | str, ...], where: str) -> str:
    """The path of a value as the file has it, without pydantic's marks for types."""
    path = [str(part) for part in loc]
    if where and path and path[0] in ("float", "int", "choice"):
        path = path[1:]
    if len(path) > 1 and (path[-1] in _CHOICES or "[" in path[-1]):
        path = path[:-1]
    return ".".join([where, *path] if where else path)


def _reason(problem: Any) -> str:  # noqa: ANN401
    kind = problem["type"]
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return "there is no such key"
    if kind == "missing":
        return "this key is required"
    if kind in _TABLE:
        return f"this must be a table, not {_shown(problem)}"
    if kind == "union_tag_invalid":
        context = problem["ctx"]
        return f"type {_cut(repr(context['tag']))} is none of {context['expected_tags']}"
    reason: str = problem["msg"].removeprefix("Value error, ")
    reason = reason[0].lower() + reason[1:] if reason[:1].isupper() else reason
    if kind.endswith(("_type", "_parsing")) and "input" in problem:
        reason += f", not {_shown(problem)}"
    return reason


def _shown(problem: Any) -> str:  # noqa: ANN401
    return _cut(repr(problem["input"]))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."


def nearest(name: str, names: Iterable[str]) -> str:
    """' (did you mean X?)' for the name that is closest, or nothing."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""
