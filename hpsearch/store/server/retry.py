"""Retry while a database is locked, restarting or out of reach."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import optuna
import sqlalchemy as sa

from hpsearch.errors import InputError

P = ParamSpec("P")
T = TypeVar("T")

RETRY_S = 180.0
LONGEST_PAUSE_S = 5.0
NOTICEABLE_S = 0.5

PERMANENT = (
    "no such table", "no such column", "Illegal mix of collations", "Incorrect string",
    "Could not decode to UTF-8",
)  # fmt: skip
"""Signs of errors that the drivers call operational too, and that trying again does not mend."""


class OutOfReachError(InputError):
    """What the user was told of a store that may answer later."""


def is_transient(error: BaseException) -> bool:
    """Whether the same statement may succeed later: a lost connection, a lock, a full disk."""
    if isinstance(error, OutOfReachError):
        return True
    if isinstance(error, optuna.exceptions.StorageInternalError):
        error = error.__cause__ or error
    if not isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError):
        return isinstance(error, sa.exc.DBAPIError) and bool(error.connection_invalidated)
    return not any(sign in str(error.orig) for sign in PERMANENT)


def retry(action: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of `action(*args, **kwargs)`, tried again while the database is out of reach.

    `action` must be one that may be done twice: a commit whose answer got lost is repeated. Raises
    what it raises once RETRY_S have passed, or at once where trying again cannot help.
    """
    return retry_for(RETRY_S, None, action, *args, **kwargs)


def retry_for(
    seconds: float,
    on_wait: Callable[[BaseException], None] | None,
    action: Callable[P, T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """`retry` for `seconds`; `on_wait` gets the error once, before the first pause that a person
    would notice."""
    deadline = time.monotonic() + seconds
    pause = 0.05
    said = False
    while True:
        try:
            return action(*args, **kwargs)
        except (
            sa.exc.DBAPIError,
            optuna.exceptions.StorageInternalError,
            OutOfReachError,
        ) as error:
            if not is_transient(error) or time.monotonic() + pause > deadline:
                raise
            if pause > NOTICEABLE_S and not said and on_wait is not None:
                said = True
                on_wait(error)
        # Random, so that workers that collided once do not collide again.
        time.sleep(pause * random.uniform(0.5, 1.5))
        pause = min(pause * 2, LONGEST_PAUSE_S)
