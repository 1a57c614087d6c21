"""Draw with matplotlib's default settings, not with those of a settings file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def default_settings() -> Iterator[None]:
    """Use matplotlib's default settings inside the block.

    Otherwise matplotlib reads the file `matplotlibrc` of the current folder before the user's own.
    That file may come with somebody else's data. If it sets `text.usetex`, matplotlib runs LaTeX on
    text that the file contains.
    """
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield
