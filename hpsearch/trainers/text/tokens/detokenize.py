"""Tokens back to readable text: fastai's marks undone, words and signs set as people set them.

What the text rules lose cannot come back: a hyphen may have had spaces around it (it is set tight,
as five in six of the hyphens in IMDb's reviews are), a repeated letter may have ended its word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hpsearch.trainers.text.tokens.fastai_rules import BOS, EOS, FLD, MAJ, PAD, REP, UNK, UP, WREP
from hpsearch.trainers.text.tokens.splitters import WHITESPACE


def _signs(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_TO_THE_LEFT = _signs(". , ; : ! ? … ) ] } % ” ’ » nt n't 's 'm 're 've 'll 'd")  # noqa: RUF001
_TO_THE_RIGHT = _signs("( [ { $ £ € # “ „ ‘ « ¿ ¡")  # noqa: RUF001
_TO_BOTH = _signs("/ \\ -")
_SIGNS = _signs("/ \\ #")
"""What the text rules put spaces around, so that a piece ends there."""
_WORDS = frozenset({("gon", "na"), ("got", "ta"), ("can", "not")})
"""English words that spaCy splits in two."""
_SENTENCE_ENDS = _signs(". ! ? …")
_MOST_REPEATS = 1_000
"""A model may well write xxrep 123456789."""
_UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0xA4CF), (0xF900, 0xFAFF),
    (0xFF00, 0xFFEF), (0x20000, 0x3FFFF),
)  # fmt: skip
"""Thai, Lao, Burmese, Khmer, Chinese and Japanese, which set no spaces between words."""


def detokenise(tokens: Sequence[str], tokenizer: str = "en") -> str:
    """The text of `tokens`, which `tokenizer` made. Marks that mark nothing are left out.

    >>> detokenise(["xxbos", "xxmaj", "it", "'s", "g", "xxrep", "3", "o", ",", "xxup", "ok", "?"])
    "It's gooo, OK?"
    """
    writer = _Writer(tokenizer)
    for word, mark in _words(tokens):
        writer.write(word, mark)
    return "".join(writer.parts).strip()


def _words(tokens: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(word, the mark before it: xxmaj, xxup, xxrep or none); texts and fields are set apart."""
    mark, i = "", 0
    while i < len(tokens):
        token = tokens[i]
        following = tokens[i + 1 : i + 3]
        i += 1
        if token in (MAJ, UP):
            mark = token
            continue
        if token in (REP, WREP):
            count = int(following[0][:9]) if len(following) == 2 and following[0].isdecimal() else 0
            if count:
                count, word = min(count, _MOST_REPEATS), following[1]
                yield (word * count, REP) if token == REP else (" ".join([word] * count), mark)
                i += 2
        elif token in (BOS, FLD):
            yield "\n\n" if token == BOS else "\n", ""
            i += token == FLD
        elif token and token not in (UNK, PAD, EOS):
            yield token, mark
        mark = ""


class _Writer:
    """Sets one word after another, with or without a space before it, in the right case."""

    def __init__(self, tokenizer: str) -> None:
        self.parts: list[str] = []
        self._english = tokenizer == "en"
        self._split_signs = tokenizer != WHITESPACE
        self._before, self._last = "\n", "\n"
        self._open: set[str] = set()  # the straight quotes that were opened and not yet closed
        self._glues = True
        self._upper = False
        self._starts_sentence = True

    def write(self, word: str, mark: str) -> None:
        if word.isspace():
            self.parts.append(word)
            self._open.clear()
            self._starts_sentence |= "\n" in word
            self._note(word, glues=True, upper=False)
            return
        glued, glues = self._spacing(word, mark)
        # A mark is for a whole piece, of which the splitter may have made several words.
        upper = mark == UP or (self._upper and glued and not {word, self._last} & _SIGNS)
        self.parts.append("" if glued else " ")
        self.parts.append(self._cased(word, mark, upper))
        if word not in ('"', "'", *_TO_THE_RIGHT):
            self._starts_sentence = word in _SENTENCE_ENDS
        self._note(word, glues, upper)

    def _note(self, word: str, glues: bool, upper: bool) -> None:
        self._before, self._last = self._last, word
        self._glues, self._upper = glues, upper

    def _spacing(self, word: str, mark: str) -> tuple[bool, bool]:
        """Whether `word` is set tight to the word before it, and to the one after it."""
        if self._split_signs and word in ('"', "'"):
            return self._quote(word)
        left = self._last.isspace() or self._glues
        if not self._split_signs:
            return left or word in ("/", "\\"), word in _SIGNS
        if word in self._open:  # the closing one of a German pair
            self._open.discard(word)
            return True, False
        if word == "„":
            self._open.add("“")
        if mark == REP:
            left |= self._last[-1].isalnum() and word.isalnum() and not self._last.isspace()
            left |= self._last == "," and self._before[-1].isdecimal() and word.isdecimal()
            word = word[0]
        left |= word.lower() in _TO_THE_LEFT or (self._last, word) in _WORDS
        left |= _unspaced(self._last[-1]) and _unspaced(word[0])
        right = word in _TO_THE_RIGHT or self._elided(word)
        return left or word in _TO_BOTH, right or word in _TO_BOTH

    def _elided(self, word: str) -> bool:
        """l', qu', y': but an English goin' is a word of its own."""
        cut = word[-1] in "'’" and word[:-1].isalpha()  # noqa: RUF001
        return cut and (len(word) == 2 or not self._english)

    def _quote(self, word: str) -> tuple[bool, bool]:
        if word in self._open:
            self._open.discard(word)
            return True, False
        if word == "'" and self._last.endswith("s"):  # the actors' work
            return True, False
        self._open.add(word)
        return self._last.isspace() or self._glues, True

    def _cased(self, word: str, mark: str, upper: bool) -> str:
        if upper:
            return word.upper()
        # The rules mark no capital that stands alone, after a quote or bracket, or beyond ASCII.
        unmarked = len(word) == 1 or self._last in ('"', "'", *_TO_THE_RIGHT)
        unmarked |= not word[0].isascii()
        capital = mark == MAJ or (unmarked and self._starts_sentence and mark != REP)
        capital |= self._english and word == "i"
        return word[0].upper() + word[1:] if capital else word


def _unspaced(character: str) -> bool:
    return any(low <= ord(character) <= high for low, high in _UNSPACED)
