"""Waiting out a database that is locked, restarting or out of reach."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

import optuna
import sqlalchemy as sa

from hpsearch.errors import InputError

T = TypeVar("T")

PATIENCE_S = 180.0
LONGEST_PAUSE_S = 5.0
NOTICEABLE_S = 0.5

FOR_GOOD = ("no such table", "no such column", "Illegal mix of collations", "Incorrect string")
"""Signs of what the drivers call operational too, and time does not mend."""


class OutOfReachError(InputError):
    """What the user was told of a store that may answer later."""


def is_passing(error: BaseException) -> bool:
    """Whether the same statement may succeed later: a lost connection, a lock, a full disk."""
    if isinstance(error, OutOfReachError):
        return True
    if isinstance(error, optuna.exceptions.StorageInternalError):
        error = error.__cause__ or error
    if not isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError):
        return isinstance(error, sa.exc.DBAPIError) and bool(error.connection_invalidated)
    return not any(sign in str(error.orig) for sign in FOR_GOOD)


def patiently(
    action: Callable[[], T],
    *,
    seconds: float = PATIENCE_S,
    on_wait: Callable[[BaseException], None] | None = None,
) -> T:
    """The result of `action`, tried again for `seconds` while the database is out of reach.

    `action` must be one that may be done twice: a commit whose answer got lost is repeated.
    `on_wait` is told the error once, before the first pause that a person would notice.
    """
    deadline = time.monotonic() + seconds
    pause = 0.05
    told = False
    while True:
        try:
            return action()
        except (
            sa.exc.DBAPIError,
            optuna.exceptions.StorageInternalError,
            OutOfReachError,
        ) as error:
            if not is_passing(error) or time.monotonic() + pause > deadline:
                raise
            if pause > NOTICEABLE_S and not told and on_wait is not None:
                told = True
                on_wait(error)
        # Random, so that workers that collided once do not collide again.
        time.sleep(pause * random.uniform(0.5, 1.5))
        pause = min(pause * 2, LONGEST_PAUSE_S)
