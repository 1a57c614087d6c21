"""The errors a user may see: one sentence that says what was wrong, where, and the way out."""

from __future__ import annotations


class HpsearchError(Exception):
    """Something failed that the user can act on; the command line prints it without a traceback."""

    exit_status = 1


class InputError(HpsearchError):
    """What the user gave (an argument, a file, a study) is wrong."""

    exit_status = 2
