"""Texts to tokens: fastai's text rules around spaCy's word splitting, one cached piece at a time.

After the rules that look across words (HTML left-overs, repeated characters and words), what is
left depends on one whitespace-separated piece alone, spaCy's own splitting included. So each
distinct piece is split once and looked up ever after, which makes spaCy's result cost a
dictionary look-up (fastai.text.core's rules, version 2; spaCy's Tokenizer).
"""

from __future__ import annotations

import html
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

UNK, PAD, BOS, EOS, FLD, REP, WREP, UP, MAJ = SPECIALS = (
    "xxunk", "xxpad", "xxbos", "xxeos", "xxfld", "xxrep", "xxwrep", "xxup", "xxmaj",
)  # fmt: skip
"""The special tokens in the order of their ids, 0 to 8."""

_LEFTOVERS = (
    ("#39;", "'"),
    ("amp;", "&"),
    ("#146;", "'"),
    ("nbsp;", " "),
    ("#36;", "$"),
    ("\\n", "\n"),
    ("quot;", "'"),
    ("<br />", "\n"),
    ('\\"', '"'),
    ("<unk>", UNK),
    (" @.@ ", "."),
    (" @-@ ", "-"),
    ("...", " …"),
)
_SAME_CHARACTER = re.compile(r"(\S)(\1{2,})")
_SAME_WORD = re.compile(r"(?:\s|^)(\w+)\s+((?:\1\s+)+)\1(\s|\W|$)")
_SIGNS = re.compile(r"([/#\\])")
_SPACES = re.compile(r" {2,}")
_ALL_CAPS = re.compile(r"[A-Z][^a-z\s]*")
_CAPITALISED = re.compile(r"[A-Z][^A-Z\s]*")
_PIECE_OR_GAP = re.compile(r"\S+|\s+")
_LONGEST_PIECE = 500
"""Characters: longer pieces are no words, and splitting them takes quadratic time."""

Splitter = Callable[[str], Iterable[str]]
"""Splits a piece without white space into tokens."""


def spacy_splitter(language: str = "en") -> Splitter:
    """spaCy's rule-based tokenizer of a language: what the published weights were made with."""
    import spacy

    tokenizer = spacy.blank(language).tokenizer
    return lambda piece: [token.text for token in tokenizer(piece)]


@dataclass(frozen=True)
class TokenisedTexts:
    """`ids` (tokens,) index into `strings`; text i is `ids[offsets[i]:offsets[i + 1]]`."""

    ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    strings: list[str]


class Tokenizer:
    """Splits texts, remembering every distinct piece it has met.

    >>> Tokenizer(str.split).tokens("It was SOOOO good")
    ['xxbos', 'xxmaj', 'it', 'was', 's', 'xxrep', '4', 'o', 'good']
    """

    def __init__(self, split: Splitter | None = None) -> None:
        self._split = split or spacy_splitter()
        self._ids: dict[str, int] = {}
        self._pieces: dict[str, tuple[int, ...]] = {}

    def tokens(self, text: str) -> list[str]:
        """The tokens of one text, xxbos first."""
        ids = self._encode(text)
        strings = list(self._ids)
        return [strings[i] for i in ids]

    def encode(
        self, texts: Sequence[str], progress: Callable[[int, int], None] = lambda done, total: None
    ) -> TokenisedTexts:
        """All texts as one flat array of provisional ids, numbered in order of appearance."""
        parts: list[npt.NDArray[np.int32]] = []
        for i, text in enumerate(texts):
            parts.append(np.array(self._encode(text), dtype=np.int32))
            if i % 500 == 0:
                progress(i, len(texts))
        progress(len(texts), len(texts))
        offsets = np.zeros(len(parts) + 1, dtype=np.int64)
        np.cumsum([len(part) for part in parts], out=offsets[1:])
        flat = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)
        return TokenisedTexts(flat, offsets, list(self._ids))

    def _encode(self, text: str) -> list[int]:
        text = _clean(text)
        out = [self._id(BOS)]
        pieces = self._pieces
        for piece in text.split(" "):
            ids = pieces.get(piece)
            if ids is None:
                ids = pieces[piece] = tuple(self._id(token) for token in self._split_piece(piece))
            out += ids
        return out

    def _id(self, token: str) -> int:
        return self._ids.setdefault(token, len(self._ids))

    def _split_piece(self, piece: str) -> list[str]:
        """Tokens of what stands between two single spaces; other white space is a token."""
        tokens: list[str] = []
        for part in _PIECE_OR_GAP.findall(piece):
            if part.isspace():
                tokens.append(part)
                continue
            if _ALL_CAPS.fullmatch(part):
                tokens += [UP] if len(part) > 1 else []
            elif _CAPITALISED.fullmatch(part):
                tokens += [MAJ] if len(part) > 1 else []
            lower = part.lower()
            for start in range(0, len(lower), _LONGEST_PIECE):
                tokens += self._split(lower[start : start + _LONGEST_PIECE])
        return tokens


def _clean(text: str) -> str:
    """The rules that see more than one piece."""
    # Whole entities first: fastai does it last, which turns &amp; into two ampersands.
    if "&" in text:
        text = html.unescape(text)
    for old, new in _LEFTOVERS:
        if old in text:
            text = text.replace(old, new)
    text = _SAME_CHARACTER.sub(_tell_characters, text)
    words = text.split()
    # Only a text with two equal neighbours can hold three in a row: the slow pattern waits.
    if any(map(operator.eq, words, words[1:])):
        text = _SAME_WORD.sub(_tell_words, text)
    text = _SIGNS.sub(r" \1 ", text)
    return _SPACES.sub(" ", text).strip()


def _tell_characters(match: re.Match[str]) -> str:
    character, rest = match.groups()
    return f" {REP} {len(rest) + 1} {character} "


def _tell_words(match: re.Match[str]) -> str:
    word, rest, end = match.groups()
    return f" {WREP} {len(rest.split()) + 2} {word} {end}"
