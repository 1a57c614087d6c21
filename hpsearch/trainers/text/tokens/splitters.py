"""What splits a text into words: a spaCy language, white space, or a function of the user's own."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Collection
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.core import own_code
from hpsearch.core.words import nearest
from hpsearch.errors import InputError
from hpsearch.extras import require

if TYPE_CHECKING:
    from spacy.language import Language

WordSplitter = Callable[[list[str]], list[list[str]]]
"""Words without white space in them -> the tokens of each."""
TextSplitter = Callable[[str], list[str]]
"""A whole text -> its tokens."""

WHITESPACE = "whitespace"
_PLAIN_WORD = re.compile(
    r"""(["'(]?)([a-z]+(?:-[a-z]+)*)('s)?([,.!?;:)"']|[,.!?]["')]|["')][,.!?])?"""
)
_HYPHENS = re.compile("(-)")
_LONGEST_WORD = 500
"""Characters: what is longer is no word, and spaCy takes quadratic time to split it."""


def check_name(name: str) -> None:
    """Raise InputError unless `name` is a tokenizer that there is; loads nothing but a module that
    the user names."""
    if own_code.is_named(name):
        text_splitter(name)
    elif name != WHITESPACE and name not in languages():
        raise InputError(
            f"There is no tokenizer {name!r}{nearest(name, [WHITESPACE, *languages()])}: give the "
            f"code of a spaCy language such as en, de or xx, {WHITESPACE}, or your own function as "
            "package.module:function."
        )


def languages() -> list[str]:
    """The codes of spaCy's languages, read off its folders, as importing it takes half a second."""
    require("spacy")
    spec = importlib.util.find_spec("spacy")
    assert spec is not None
    assert spec.origin is not None
    folders = (Path(spec.origin).parent / "lang").iterdir()
    return sorted(folder.name for folder in folders if re.fullmatch("[a-z]{2,3}", folder.name))


def cache_key(name: str) -> list[str]:
    """All that a splitting depends on: the name, and spaCy's version or the source of the user's
    module. So a result on disk is not taken for that of code that has changed since."""
    if name == WHITESPACE:
        return [name]
    if ":" not in name:
        return [name, metadata.version("spacy")]
    own_code.load(name, "tokenizer")
    try:
        source = inspect.getsource(sys.modules[name.partition(":")[0]])
    except (OSError, TypeError):  # compiled: its name must do
        source = ""
    return [name, hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()]


def word_splitter(name: str) -> WordSplitter:
    """For a language or "whitespace".

    Raises InputError where spaCy lacks a package that the language needs.
    """
    if name == WHITESPACE:
        return lambda words: [[word] for word in words]
    tokenizer: Any = _blank(name).tokenizer

    def split_each(words: list[str]) -> list[list[str]]:
        return [[token.text for token in tokenizer(word)] for word in words]

    def split_joined(words: list[str]) -> list[list[str]]:
        # No rule of spaCy's own class looks across a line end, and one call costs less than many.
        if not words:
            return []
        tokens: list[list[str]] = [[]]
        for token in tokenizer("\n".join(words)):
            if (text := token.text) == "\n":
                tokens.append([])
            else:
                tokens[-1].append(text)
        return tokens

    from spacy.tokenizer import Tokenizer as RuleBased

    split: WordSplitter = split_joined if type(tokenizer) is RuleBased else split_each
    if name == "en":
        split = _plain_words_first(split, tokenizer.rules)
    return lambda words: _in_parts(words, split)


def _plain_words_first(split: WordSplitter, exceptions: Collection[str]) -> WordSplitter:
    """Split plain English words here, and all other words with `split`.

    For a plain word, spaCy takes twelve times as long.
    """
    # The apostrophe is one of spaCy's exceptions, but it does not change the tokens.
    exceptions = set(exceptions) - {"'"}

    def split_rest(words: list[str]) -> list[list[str]]:
        tokens = {word: _plain_tokens(word, exceptions) for word in words}
        rest = [word for word, found in tokens.items() if not found]
        tokens.update(zip(rest, split(rest), strict=True))
        return [tokens[word] for word in words]

    return split_rest


def _plain_tokens(word: str, exceptions: Collection[str]) -> list[str]:
    """Split a plain English word into the tokens that spaCy would give; no tokens for other words.

    A plain word has only English letters, hyphens between them, and the usual marks around them.
    Each hyphen, each mark and the genitive ending 's is a token of its own. A word is not plain if
    one token, or several in a row, make one of spaCy's `exceptions` ("cannot", "a.m.", ":)").
    """
    found = _PLAIN_WORD.fullmatch(word)
    if found is None:
        return []
    before, stem, genitive, after = found.groups("")
    tokens = [*before, *_HYPHENS.split(stem), *([genitive] if genitive else []), *after]
    for start in range(len(tokens)):
        run = ""
        for token in tokens[start:]:
            run += token
            if run in exceptions:
                return []
    return tokens


def _in_parts(words: list[str], split: WordSplitter) -> list[list[str]]:
    """`split` with over-long words cut into parts."""
    if max(map(len, words), default=0) <= _LONGEST_WORD:
        return split(words)
    parts = [
        [word[i : i + _LONGEST_WORD] for i in range(0, len(word), _LONGEST_WORD)] for word in words
    ]
    tokens = iter(split([part for of_word in parts for part in of_word]))
    return [[token for _ in of_word for token in next(tokens)] for of_word in parts]


def _blank(language: str) -> Language:
    """spaCy's rules for a language, without a model."""
    # spaCy imports torch where there is one: 1.3 s and 180 MB for nothing that is used here.
    hide = "torch" not in sys.modules
    if hide:
        sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        import spacy
    finally:
        if hide:
            del sys.modules["torch"]
    try:
        pipeline = spacy.blank(language)
    except (ImportError, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"The tokenizer {language!r} lacks a package ({reason[:200]}): install it, or give your"
            " own function as package.module:function."
        ) from error
    # Shape, prefix, norm ... of every new word: a third of the time, and nobody asks for them.
    pipeline.vocab.lex_attr_getters = {}  # type: ignore[attr-defined]
    return pipeline


def text_splitter(name: str) -> TextSplitter:
    """The user's own function "package.module:function", checked at every call.

    Raises InputError in one sentence if there is none of that name; what it returns raises it if
    it fails or gives something other than a list of str.
    """
    function = own_code.load(name, "tokenizer")

    def split(text: str) -> list[str]:
        try:
            tokens = function(text)
        except Exception as error:
            raise InputError(
                f"The tokenizer {name} failed on {_shown(text)} ({type(error).__name__}: "
                f"{' '.join(str(error).split())[:160]})."
            ) from error
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise InputError(
                f"The tokenizer {name} must return a list of str, but gave {_kind(tokens)} for "
                f"{_shown(text)}."
            )
        return tokens

    return split


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")


def _kind(tokens: object) -> str:
    if not isinstance(tokens, list):
        return f"a {type(tokens).__name__}"
    return f"a list that holds {next(type(t).__name__ for t in tokens if not isinstance(t, str))}"
