"""What items are called, and which item a person means by a title."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from hpsearch.core.words import closest
from hpsearch.data.named.movielens import YEAR
from hpsearch.errors import InputError
from hpsearch.trainers.collab.prepare import Ids
from hpsearch.trainers.collab.split_ratings import Rows

_CLOSE = 0.8  # of difflib's ratio, from 0 to 1
_SHOWN = 3
_LAST_ARTICLE = re.compile(r"^(.+), (the|an?|l[aeo]s?|l'|il|el|der|die|das)$")
_YEAR = re.compile(YEAR)


def plain_title(title: str) -> str:
    """Without case, accents, signs and a first article: "Godfather, The" and "the godfather" are
    one. The year stays, if there is one."""
    letters = unicodedata.normalize("NFKD", title.casefold().strip())
    text = "".join(c for c in letters if not unicodedata.combining(c))
    text = _LAST_ARTICLE.sub(r"\2 \1", text).replace("&", " and ")
    words = re.findall(r"\w+", re.sub("['\u2019`]", "", text))
    return " ".join(words[1:] if len(words) > 1 and words[0] in ("the", "a", "an") else words)


@dataclass(frozen=True)
class Found:
    """The number of an item, and what to tell the person if it took some guessing."""

    number: int
    note: str | None = None


@dataclass(frozen=True)
class TitleFinder:
    """Finds items by id or by title; `titles` and `counts` (of ratings) are in the ids' order."""

    ids: Ids
    titles: Sequence[str]
    counts: Rows

    @cached_property
    def _by_name(self) -> dict[str, list[int]]:
        """Every name of every item -> places of the items. A title has another name in brackets:
        Cité des enfants perdus, La (City of Lost Children, The) (1995)."""
        places = defaultdict(list)
        for place, title in enumerate(self.titles):
            bare = _YEAR.sub("", title)
            names = {plain_title(part) for part in (bare, *re.split(r"[()]", bare))}
            for name in names - {""}:
                places[name].append(place)
        return dict(places)

    def find(self, text: str, *, by_id: bool = True) -> Found:
        """The item with the id or the title `text`. Raises InputError, one sentence, if there is
        none or several may be meant."""
        if by_id and (number := int(self.ids.numbers([text])[0])):
            return Found(number)
        year = _YEAR.search(text)
        name = plain_title(_YEAR.sub("", text))
        exact = self._by_name.get(name, [])
        if year and (same := [i for i in exact if self._has_year(i, year[1])]):
            exact = same
        guessed = exact or self._with_words(name) or self._spelt_alike(name)
        if not guessed:
            raise InputError(f"No item that the model knows is called {text!r}: look at its title.")
        titles = {self.titles[place] for place in guessed}
        if len(titles) > 1:
            raise InputError(f"{text!r} may be {self._several(guessed)}: write its whole title.")
        place = max(guessed, key=lambda one: self.counts[one])
        certain = exact and (not year or self._has_year(place, year[1]))
        note = None if certain else f"{text!r} was taken for {self.titles[place]}."
        return Found(place + 1, note)

    def _has_year(self, place: int, year: str) -> bool:
        found = _YEAR.search(self.titles[place])
        return found is not None and found[1] == year

    def _with_words(self, name: str) -> list[int]:
        """Places of the items that have all words of `name` in one of their names."""
        words = set(name.split())
        found = (at for other, at in self._by_name.items() if words and words <= {*other.split()})
        return sorted({place for places in found for place in places})

    def _spelt_alike(self, name: str) -> list[int]:
        close = closest(name, self._by_name, cutoff=_CLOSE)
        return self._by_name[close] if close is not None else []

    def _several(self, places: Sequence[int]) -> str:
        """Their titles, those rated most first."""
        order = sorted(places, key=lambda place: -self.counts[place])
        titles = list(dict.fromkeys(self.titles[place] for place in order))
        shown, left = titles[:_SHOWN], len(titles) - _SHOWN
        return ", ".join(shown[:-1]) + (
            f", {shown[-1]} or {left} more" if left > 0 else f" or {shown[-1]}"
        )
