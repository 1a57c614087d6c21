"""fastai's text rules (fastai.text.core, version 2), split into those that see a whole text and
those that see one piece of it: what stands between two single spaces."""

from __future__ import annotations

import html
import operator
import re

VERSION = 1
"""Raise it when a rule changes, so that texts tokenised before are not taken for those of now."""
UNK, PAD, BOS, EOS, FLD, REP, WREP, UP, MAJ = SPECIALS = (
    "xxunk", "xxpad", "xxbos", "xxeos", "xxfld", "xxrep", "xxwrep", "xxup", "xxmaj",
)  # fmt: skip
"""The special tokens in the order of their ids, 0 to 8."""

# Before each group what a text must hold for it to apply, as most texts hold none of these.
_LEFTOVERS = (
    (";", (("#39;", "'"), ("amp;", "&"), ("#146;", "'"), ("nbsp;", " "), ("#36;", "$"))),
    ("\\", (("\\n", "\n"),)),
    (";", (("quot;", "'"),)),
    ("<", (("<br />", "\n"),)),
    ("\\", (('\\"', '"'),)),
    ("<", (("<unk>", UNK),)),
    ("@", ((" @.@ ", "."), (" @-@ ", "-"))),
    ("...", (("...", " …"),)),
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_COUNT = "\ud800"
"""Stands before a count that a rule has written, whose own zeros are then left alone: no cleaned
text has a surrogate."""
_SAME_CHARACTER = re.compile(r"(\S)(\1{2,})")
_SAME_WORD = re.compile(r"(?:\s|^)(\w+)\s+((?:\1\s+)+)\1(\s|\W|$)")
_RULED = re.compile(rf"[/#\\\s{_COUNT}]|(\S)\1\1")
"""What a rule may apply to, other than capitals."""
_SIGNS = re.compile(r"([/#\\])")
_SPACES = re.compile(r" {2,}")
_WORD = re.compile(r"\S+")
_WORD_OR_GAP = re.compile(r"\S+|\s+")
_ALL_CAPS = re.compile(r"[A-Z][^a-z\s]*")
_CAPITALISED = re.compile(r"[A-Z][^A-Z\s]*")


def clean(text: str) -> str:
    """The rules that see more than one piece."""
    if not text.isascii() and _SURROGATE.search(text):  # halves of a character: joined, or U+FFFD
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    # Whole entities first: fastai does it last, which turns &amp; into two ampersands.
    if "&" in text:
        text = html.unescape(text)
    for sign, replacements in _LEFTOVERS:
        if sign in text:
            for old, new in replacements:
                text = text.replace(old, new)
    if _may_repeat_a_word(text):
        text = _SAME_WORD.sub(_count_words, _SAME_CHARACTER.sub(_count_characters, text))
    return text.strip()


def _may_repeat_a_word(text: str) -> bool:
    """Whether a word comes three times in a row: the slow pattern waits for that."""
    words = text.split()
    if not any(map(operator.eq, words, words[1:])):
        return False
    # The third may go on with a full stop.
    return any(a == b and c.startswith(a) for a, b, c in zip(words, words[1:], words[2:]))  # noqa: B905


def parts(piece: str) -> list[str]:
    """Words, marks such as xxmaj, and runs of white space other than single spaces."""
    if not _RULED.search(piece):  # most pieces are one word as it stands
        return _lower_with_mark(piece) if piece else []
    return [part for span in _apply_rules(piece).split(" ") for part in _WORD_OR_GAP.findall(span)]


def finish(text: str) -> str:
    """A cleaned text after the rules that see one piece: what fastai hands to its tokenizer."""
    return _SPACES.sub(" ", " ".join(map(_apply_rules, text.split(" ")))).strip()


def _apply_rules(piece: str) -> str:
    if not piece.startswith(_COUNT):
        piece = _SAME_CHARACTER.sub(_count_characters, piece)
    return _WORD.sub(_lower_match, _SIGNS.sub(r" \1 ", piece)).replace(_COUNT, "")


def _lower_match(match: re.Match[str]) -> str:
    return " ".join(_lower_with_mark(match[0]))


def _lower_with_mark(word: str) -> list[str]:
    """The word in lower case, and before it what case it had."""
    if len(word) > 1 and "A" <= word[0] <= "Z":
        if _ALL_CAPS.fullmatch(word):
            return [UP, word.lower()]
        if _CAPITALISED.fullmatch(word):
            return [MAJ, word.lower()]
    return [word.lower()]


def _count_characters(match: re.Match[str]) -> str:
    character, rest = match.groups()
    return f" {REP} {_COUNT}{len(rest) + 1} {character} "


def _count_words(match: re.Match[str]) -> str:
    word, rest, end = match.groups()
    return f" {WREP} {_COUNT}{len(rest.split()) + 2} {word} {end}"
