"""Values that nobody can read: JSON that is none, words outside an enum, texts in number columns.

One such value must cost no more than itself. Whoever reads a value of a study that it needs gets an
UnreadableError in one sentence; lists of studies go on without it; `doctor` finds all of them and
sets them aside into a file (`store/damaged_rows`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from hpsearch.errors import HpsearchError
from hpsearch.store.tables import attributes

MAX_CHARACTERS = 1 << 26
"""Characters of a value at most: a longer one may be made to fill the memory."""
NOT_UTF8 = "Could not decode to UTF-8"
"""What SQLite's driver says of such a text."""
WORDS = {dict: "a dict", str: "a text", int: "a whole number"}


class UnreadableError(HpsearchError):
    """A value of a study is damaged."""


def parse(text: Any) -> Any:  # noqa: ANN401
    """What a JSON text holds. Raises UnreadableError with the reason for one that is none."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    try:
        if len(text) > MAX_CHARACTERS:
            raise UnreadableError(f"it is {len(text):,} characters long")
        return json.loads(text)
    except RecursionError:
        raise UnreadableError("it is nested too deeply") from None
    except (ValueError, TypeError) as error:
        raise UnreadableError(f"it is no JSON ({error})") from None


def parse_attr(key: str, text: Any) -> Any:  # noqa: ANN401
    """The same for a study's attribute: one of ours must be of its kind."""
    value = parse(text)
    wanted = attributes.REQUIRED.get(key)
    if wanted is not None and (not isinstance(value, wanted) or (wanted is int and value is True)):
        raise UnreadableError(f"it is not {WORDS[wanted]}")
    return value


def unreadable(what: str, why: str) -> UnreadableError:
    return UnreadableError(
        f"{what[:200]} cannot be read, {why[:200]}: `hpsearch doctor` says where it is, and "
        "--mend sets it aside."
    )


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Turn whatever reading a damaged value raises into one sentence about `what`."""
    try:
        yield
    except UnreadableError:
        raise
    except sa.exc.OperationalError as error:
        if NOT_UTF8 not in str(error.orig):
            raise
        raise unreadable(what, "it holds a text that is not UTF-8") from None
    except RecursionError:
        raise unreadable(what, "it is nested too deeply") from None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise unreadable(what, " ".join(str(error).split()) or type(error).__name__) from error
