"""The studies in a store, found by what a person calls them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from hpsearch.errors import InputError
from hpsearch.store import Store, StudySummary

FILE = "hps_file"
"""The attribute of a study that was made from a study.toml of the user's own: its path."""
VERIFIES = "hps_verifies"
"""The attribute of a study of pairs: the name of the study whose rule they verify."""


def find(store: Store, names: Sequence[str]) -> list[StudySummary]:
    """The studies called `names`, all of them if there are no names.

    A name is a study's own (`imdb-clas-quick`) or that of its study.toml (`imdb-clas`), which may
    stand for several: one a preset. Raises InputError if a name fits none, or the store is empty.
    """
    return find_among(store.studies(), names, store.shown_url)


def find_among(
    studies: Sequence[StudySummary], names: Sequence[str], where: str
) -> list[StudySummary]:
    """As `find`, among the studies of the store that people know as `where`."""
    if not studies:
        raise InputError(
            f"The store {where} holds no study yet: run `hpsearch run imdb-clas` first."
        )
    if not names:  # pairs of a verification explain nothing that their plan did not choose
        return [s for s in studies if VERIFIES not in s.attrs]
    found: list[StudySummary] = []
    for name in names:
        fits = [s for s in studies if s.name == name] or [
            s for s in studies if s.attrs.get("hps_study") == name
        ]
        if not fits:
            have = [s.name for s in studies]
            close = difflib.get_close_matches(name, have, n=1, cutoff=0.4)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise InputError(
                f"The store {where} has no study {name!r}{hint}: it has {', '.join(have)}."
            )
        found += [s for s in fits if s not in found]
    return found


def find_one(store: Store, name: str) -> StudySummary:
    """The only study that `name` fits. Raises InputError if it fits several."""
    return one_of(name, find(store, [name]))


def one_of(name: str, found: Sequence[StudySummary]) -> StudySummary:
    """The only one of the studies that `name` fits. Raises InputError if there are several."""
    if len(found) > 1:
        raise InputError(
            f"{name!r} fits several studies: name one of {', '.join(s.name for s in found)}."
        )
    return found[0]
