"""Reading a pickled list of strings from the network without running anything that is in it.

No unpickler is involved. One that refuses every class (`find_class`) still obeys a file in other
ways: it allocates a memo as large as an index in the file says, builds numbers and containers of
any size, and takes extension codes from a registry that other code fills. `pickletools.genops` only
parses, so that here nothing but strings and one list ever exists, whatever the file asks for.
"""

from __future__ import annotations

import pickletools
from typing import Any

MOST_STRINGS = 1_000_000
LONGEST_STRING = 10_000
"""Characters."""

_STRINGS = ("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8")
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_GETS = ("GET", "BINGET", "LONG_BINGET")
_MARK = object()


def read_string_list(pickled: bytes) -> list[str]:
    """The list of str that was pickled (protocols 0 to 5).

    Raises ValueError with a few words for people if there is anything else in it, if it is cut
    short, or if it holds more or longer strings than a vocabulary can have.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        for opcode, argument, _ in pickletools.genops(pickled):
            _step(opcode.name, argument, stack, memo)
    except (IndexError, KeyError) as error:
        raise ValueError("its pickle is damaged") from error
    if len(stack) != 1 or not isinstance(stack[0], list):
        raise ValueError("it holds no list of strings")
    strings: list[str] = stack[0]
    return strings


def _step(name: str, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:  # noqa: ANN401
    """Carry out one opcode of those that make a list of strings."""
    if name in _STRINGS:
        if len(argument) > LONGEST_STRING:
            raise ValueError(f"it holds a string of {len(argument):,} characters")
        stack.append(argument)
    elif name in ("EMPTY_LIST", "LIST"):
        stack.append(_popped_to_mark(stack) if name == "LIST" else [])
    elif name == "MARK":
        stack.append(_MARK)
    elif name in ("APPEND", "APPENDS"):
        items = _popped_to_mark(stack) if name == "APPENDS" else _strings([stack.pop()])
        if not isinstance(stack[-1], list):
            raise ValueError("its pickle is damaged")
        stack[-1].extend(items)
        if len(stack[-1]) > MOST_STRINGS:
            raise ValueError(f"it holds more than {MOST_STRINGS:,} strings")
    elif name == "MEMOIZE" or name in _PUTS:
        memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
    elif name in _GETS:
        stack.append(memo[argument])
    elif name not in ("PROTO", "FRAME", "STOP"):
        raise ValueError(f"it holds more than strings (the pickle opcode {name})")


def _popped_to_mark(stack: list[Any]) -> list[str]:
    items: list[Any] = []
    while (item := stack.pop()) is not _MARK:
        items.append(item)
    return _strings(items[::-1])


def _strings(items: list[Any]) -> list[str]:
    for item in items:
        if not isinstance(item, str):
            raise ValueError("it holds something other than strings")
    return items
