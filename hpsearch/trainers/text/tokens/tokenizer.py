"""Texts to tokens: fastai's text rules around a splitter of words, one cached piece at a time.

After the rules that look across words (HTML left-overs, repeated words), what is left depends on
one whitespace-separated piece alone, spaCy's own splitting included. So each distinct piece is
split once and looked up ever after, which makes spaCy's result cost a dictionary look-up
(fastai.text.core's rules, version 2; spaCy's Tokenizer).
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from hpsearch.core.own_code import is_named
from hpsearch.errors import InputError
from hpsearch.trainers.text.tokens import fastai_rules, splitters
from hpsearch.trainers.text.tokens.fastai_rules import BOS, SPECIALS
from hpsearch.trainers.text.tokens.tokenize_pool import Chunk, Ids, Lengths, encode_in_processes

__all__ = ["SPECIALS", "TokenisedTexts", "Tokenizer"]

_MOST_PIECES = 2_000_000
"""Pieces remembered at once, some 400 MB: beyond that all are forgotten and met anew."""
_CHUNK = 500_000
"""Characters that are encoded together."""
_WORTH_A_PROCESS = 8_000_000
"""Characters: a process takes half a second to start, and about as long for so many."""


@dataclass(frozen=True)
class TokenisedTexts:
    """`ids` (tokens,) index into `strings`; text i is `ids[offsets[i]:offsets[i + 1]]`.

    `strings` stand in the order in which the texts have them first.
    """

    ids: Ids
    offsets: Lengths
    strings: list[str]


class Tokenizer:
    """Splits texts, remembering every distinct piece it has met.

    `name` is a spaCy language ("en", "de"; "xx" for none in particular), "whitespace", or a
    function of the user's own as "package.module:function" (str -> list of str), which gets each
    text after fastai's rules; it has to be allowed before (hpsearch.core.own_code.allow). Raises
    InputError if there is no such tokenizer. A language is loaded when it is first used.

    >>> Tokenizer("whitespace").tokens("It was SOOOO good")
    ['xxbos', 'xxmaj', 'it', 'was', 's', 'xxrep', '4', 'o', 'good']
    """

    def __init__(self, name: str = "en") -> None:
        splitters.check_name(name)
        self.name = name
        self._ids = _Numbers()
        self._function = splitters.text_splitter(name) if is_named(name) else None
        self._pieces: _Pieces | None = None

    def __reduce__(self) -> tuple[type[Tokenizer], tuple[str]]:
        return Tokenizer, (self.name,)

    @property
    def cache_key(self) -> list[str]:
        """What the tokens of a text depend on beside the text: a key for results on disk."""
        return [str(fastai_rules.VERSION), *splitters.cache_key(self.name)]

    def tokens(self, text: str) -> list[str]:
        """The tokens of one text, xxbos first."""
        encoded = self.encode([text])
        return [encoded.strings[i] for i in encoded.ids]

    def encode(
        self,
        texts: Sequence[str],
        progress: Callable[[int, int], None] = lambda done, total: None,
        processes: int | None = None,
    ) -> TokenisedTexts:
        """All texts as one flat array of provisional ids, numbered in order of appearance.

        The result does not depend on `processes`; None takes all cores for a large input and this
        process alone for a small one. Raises InputError where a text is no string or the user's
        function fails, HpsearchError where a process ends before its work is done.
        """
        _check(texts)
        if processes is None:
            processes = _n_processes(texts)
        numbering = _Numbering()
        with closing(self._chunks(texts, processes)) as chunks:
            for chunk in chunks:
                numbering.add(chunk)
                progress(numbering.n_texts, len(texts))
        return numbering.result()

    def encode_here(self, texts: Sequence[str]) -> Chunk:
        """Encode in this process, with this tokenizer's own ids."""
        cleaned = map(fastai_rules.clean, texts)
        if self._function is not None:
            ids, lengths = self._by_text(cleaned, self._function)
        else:
            if self._pieces is None or len(self._pieces.numbers) > _MOST_PIECES:
                self._pieces = _Pieces(splitters.word_splitter(self.name), self._ids)
            ids, lengths = self._pieces.encode(cleaned)
        return self._ids.strings, ids, lengths

    def _chunks(self, texts: Sequence[str], processes: int) -> Generator[Chunk]:
        if processes < 2:
            yield from map(self.encode_here, _chunks(texts))
            return
        yield from encode_in_processes(self.name, _chunks(texts), processes)

    def _by_text(
        self, cleaned: Iterable[str], function: splitters.TextSplitter
    ) -> tuple[Ids, Lengths]:
        """The user's function sees whole texts: it may split elsewhere than at white space."""
        flat, lengths = array("i"), array("q")
        for text in cleaned:
            tokens = [BOS, *function(fastai_rules.finish(text))]
            flat.extend(map(self._ids.__getitem__, tokens))
            lengths.append(len(tokens))
        return np.array(flat, np.int32), np.array(lengths, np.int64)


class _Numbers(dict[str, int]):
    """Numbers strings in the order in which they are first looked up; `strings` lists them."""

    def __init__(self) -> None:
        super().__init__()
        self.strings: list[str] = []

    def __missing__(self, string: str) -> int:
        number = self[string] = len(self.strings)
        self.strings.append(string)
        return number


class _Pieces:
    """What stands between single spaces: every distinct piece met, with the ids of its tokens.

    Piece n has the ids `tokens[starts[n]:starts[n + 1]]`. Piece 0 is xxbos, which begins a text;
    its key is a space, which no piece is.
    """

    def __init__(self, split: splitters.WordSplitter, ids: _Numbers) -> None:
        self.numbers = _Numbers()
        self._split, self._ids = split, ids
        self._start = self.numbers[" "]
        self._tokens = array("i", [ids[BOS]])
        self._starts = array("q", [0, 1])

    def encode(self, cleaned: Iterable[str]) -> tuple[Ids, Lengths]:
        """(ids of all tokens, tokens per text)."""
        number = self.numbers.__getitem__
        flat, ends = array("i"), array("q")
        for text in cleaned:
            flat.append(self._start)
            flat.extend(map(number, text.split(" ")))
            ends.append(len(flat))
        self._learn(self.numbers.strings[len(self._starts) - 1 :])
        pieces = np.array(flat, np.int32)
        starts = np.frombuffer(self._starts, np.int64)
        lengths = starts[pieces + 1] - starts[pieces]
        after = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        # For every token of the result, where it stands in `tokens`.
        places = np.repeat(starts[pieces] - after[:-1], lengths) + np.arange(after[-1])
        ids = np.frombuffer(self._tokens, np.int32)[places]
        return ids, np.diff(after[np.array(ends, np.int64)], prepend=0)

    def _learn(self, pieces: list[str]) -> None:
        """Split new pieces, all their words at once."""
        parts = [fastai_rules.parts(piece) for piece in pieces]
        words = list(dict.fromkeys(part for of_piece in parts for part in of_piece))
        known = {word: [word] for word in words if word.isspace() or word in SPECIALS}
        words = [word for word in words if word not in known]
        known.update(zip(words, self._split(words), strict=True))
        for of_piece in parts:
            for part in of_piece:
                self._tokens.extend(map(self._ids.__getitem__, known[part]))
            self._starts.append(len(self._tokens))


class _Numbering:
    """Joins chunks, whose ids may count differently, into ids in order of appearance."""

    def __init__(self) -> None:
        self._numbers = _Numbers()
        self._tables: dict[int, Ids] = {}
        self._ids: list[Ids] = []
        self._lengths: list[Lengths] = []
        self.n_texts = 0

    def add(self, chunk: Chunk) -> None:
        strings, ids, lengths = chunk
        table = self._tables.get(id(strings), np.zeros(0, np.int32))
        table = np.concatenate([table, np.full(len(strings) - len(table), -1, np.int32)])
        for new in ids[table[ids] < 0].tolist():
            if table[new] < 0:
                table[new] = self._numbers[strings[new]]
        self._tables[id(strings)] = table
        self._ids.append(table[ids])
        self._lengths.append(lengths)
        self.n_texts += len(lengths)

    def result(self) -> TokenisedTexts:
        ids = np.concatenate([np.zeros(0, np.int32), *self._ids])
        offsets = np.cumsum(np.concatenate([np.zeros(1, np.int64), *self._lengths]))
        return TokenisedTexts(ids, offsets, self._numbers.strings)


def _check(texts: Sequence[str]) -> None:
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(
                f"Text {i + 1:,} of {len(texts):,} is no string but {str(text)[:40]!r}: fill in or"
                " remove missing texts."
            )


def _chunks(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts, some together: at least one, at most `_CHUNK` characters if there are more."""
    chunk: list[str] = []
    size = 0
    for text in texts:
        if chunk and size + len(text) > _CHUNK:
            yield chunk
            chunk, size = [], 0
        chunk.append(text)
        size += len(text)
    if chunk:
        yield chunk


def _n_processes(texts: Sequence[str]) -> int:
    """Processes that pay: none but this one inside a daemon, which may have no children."""
    from multiprocessing import current_process

    if current_process().daemon:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, sum(map(len, texts)) // _WORTH_A_PROCESS)
