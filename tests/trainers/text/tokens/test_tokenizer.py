"""The text rules, each by the example that defines it, and agreement with spaCy on real reviews."""

import difflib
import html
import itertools
import linecache
import os
import pickle
import re
import string
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest

from hpsearch.core import own_code
from hpsearch.errors import InputError
from hpsearch.trainers.text.tokens import splitters
from hpsearch.trainers.text.tokens import tokenizer as tokenize_module
from hpsearch.trainers.text.tokens.tokenizer import SPECIALS, Tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("It works", "xxmaj it works"),
        ("I saw NASA", "i saw xxup nasa"),
        ("so gooood!!!!", "so g xxrep 4 o d xxrep 4 !"),
        ("very very very bad", "xxwrep 3 very bad"),
        ("No no no, very very very.", "xxmaj no no no , xxwrep 3 very ."),
        ("ha ha ha haaaa", "xxwrep 3 ha h xxrep 4 a"),
        ("It didn't", "xxmaj it did n't"),
        ("John's film", "xxmaj john 's film"),
        ("I cannot, you're", "i can not , you 're"),
        ("this/that #1", "this / that # 1"),
        ("Tom &amp; Jerry", "xxmaj tom & xxmaj jerry"),
        ("Tom#39;s &quot;film&quot;", 'xxmaj tom \'s " film "'),
        ("wait...", "wait …"),
        ("1000", "1 xxrep 3 0"),
        ("", ""),
        ("   ", ""),
    ],
)
def test_rules(tokenizer, text, tokens):
    assert tokenizer.tokens(text) == ["xxbos", *tokens.split()]


def test_the_count_of_a_rule_is_no_text_for_the_next(tokenizer):
    assert tokenizer.tokens("no " * 1000) == ["xxbos", "xxwrep", "1000", "no"]
    assert tokenizer.tokens("o" * 1000 + " a a a") == [
        "xxbos",
        *["xxrep", "1000", "o", "xxwrep", "3", "a"],
    ]


def test_line_breaks_are_tokens_of_their_own(tokenizer):
    assert tokenizer.tokens("one<br /><br />two") == ["xxbos", "one", "\n\n", "two"]


def test_special_tokens_have_the_ids_that_published_models_use():
    assert SPECIALS == (
        "xxunk", "xxpad", "xxbos", "xxeos", "xxfld", "xxrep", "xxwrep", "xxup", "xxmaj",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["en", "whitespace", "xx"])
@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("a" * 10_000, ["xxrep", "10000", "a"]),
        ("\x00\x07 bell\x1b", ["\x00\x07", "bell\x1b"]),
        ("é" * 3, ["xxrep", "3", "é"]),
        ("a \ud800 b", ["a", "�", "b"]),
        ("a \ud83d\ude00", ["a", "😀"]),  # the two halves of one emoji
        (" \t \u2003 ", []),
    ],
)
def test_strange_texts_are_tokenised(name, text, tokens):
    assert Tokenizer(name).tokens(text) == ["xxbos", *tokens]


def test_emoji_survive(tokenizer):
    assert "".join(tokenizer.tokens("👍🏽 wow😀😀")[1:]) == "👍🏽wow😀😀"


def test_a_missing_text_is_named_by_its_place(tokenizer):
    for missing in (float("nan"), None, b"bytes"):
        with pytest.raises(InputError, match=r"^Text 2 of 3 is no string but .*\.$"):
            tokenizer.encode(["a", missing, "b"])


def test_no_texts_give_no_tokens(tokenizer):
    encoded = tokenizer.encode([])
    assert (len(encoded.ids), encoded.offsets.tolist(), encoded.strings) == (0, [0], [])


def test_a_long_text_without_spaces_takes_no_quadratic_time(tokenizer):
    started = time.process_time()
    text = "".join(f"ab{i}," for i in range(20_000))  # 120,000 characters
    assert len(tokenizer.tokens(text)) > 1000
    tokenizer.tokens("AB" * 50_000 + "a")  # all capitals but for the last
    assert time.process_time() - started < 5


def test_a_text_of_a_million_tokens_takes_linear_time():
    def seconds(n):
        text = "".join(f"w{i % 89 + 10} is, " for i in range(n // 3))
        started = time.process_time()
        encoded = Tokenizer("xx").encode([text])
        assert len(encoded.ids) == 3 * (n // 3) + 1
        return time.process_time() - started

    assert seconds(1_000_000) < 10 * seconds(200_000) + 1


def test_ids_number_tokens_in_order_of_appearance_whatever_was_met_before(tokenizer):
    texts = ["A film.", "", "Another FILM, a film!"]
    tokenizer.tokens("film film another")
    encoded = tokenizer.encode(texts)
    assert encoded.strings == ["xxbos", "a", "film", ".", "xxmaj", "another", "xxup", ",", "!"]
    pieces = [
        [encoded.strings[i] for i in encoded.ids[start:end]]
        for start, end in itertools.pairwise(encoded.offsets)
    ]
    assert pieces == [tokenizer.tokens(text) for text in texts]


def test_forgetting_pieces_changes_nothing(monkeypatch):
    texts = [f"Text {i % 7} says {i % 3}." for i in range(50)]
    usual = Tokenizer("whitespace").encode(texts)
    monkeypatch.setattr(tokenize_module, "_MOST_PIECES", 3)
    monkeypatch.setattr(tokenize_module, "_CHUNK", 20)
    forgetful = Tokenizer("whitespace").encode(texts)
    assert forgetful.strings == usual.strings
    assert np.array_equal(forgetful.ids, usual.ids)
    assert np.array_equal(forgetful.offsets, usual.offsets)


def test_the_short_way_for_plain_words_is_spacys_way():
    """All words of one and two letters, the exceptions, and what may stand around them."""
    import spacy

    peer = spacy.blank("en").tokenizer
    letters = string.ascii_lowercase
    pairs = list(map("".join, itertools.product(letters, letters)))
    bare = [rule.strip(string.punctuation) for rule in peer.rules]
    stems = [*letters, *pairs, *bare, *peer.rules, "whatever", "gonna", "john's", "co-op's", "e-mr"]
    marks = ["", *",.!?;:)\"'", *map("".join, itertools.product(",.!?;:)\"'", repeat=2))]
    words = [stem + mark for stem in stems for mark in marks[:9]]
    words += [stem + mark for stem in stems[::9] for mark in marks]
    words += [before + stem + mark for before in "\"'(" for stem in stems[::31] for mark in marks]
    words += [f"{one}-{two}" for one in stems[::31] for two in stems[::7]]
    words = sorted({word for word in words if word and not re.search(r"\s", word)})
    ours = splitters.word_splitter("en")(words)
    assert ours == [[token.text for token in peer(word)] for word in words]


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("en", "xxmaj do n't split ( this )"),
        ("whitespace", "xxmaj don't split (this)"),
        ("xx", "xxmaj don't split ( this )"),
        ("zh", "xxmaj d o n ' t s p l i t ( t h i s )"),
    ],
)
def test_each_language_splits_its_own_way(name, tokens):
    assert Tokenizer(name).tokens("Don't split (this)") == ["xxbos", *tokens.split()]


def test_german_contractions_are_german_only():
    assert Tokenizer("de").tokens("so z.B. hier") == ["xxbos", "so", "z.b.", "hier"]


OWN = '''
def pairs(text):
    """Two words a token: no splitter of single words can do that."""
    words = text.split()
    return [" ".join(words[i : i + 2]) for i in range(0, len(words), 2)]

def lazy(text):
    yield from text.split()

def numbers(text):
    return [1, 2]

def fails(text):
    raise RuntimeError("no\\nluck")

CONSTANT = 3
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of the user's own, which he names."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(own_code, "_folders", {})
    for name in ("pairs", "lazy", "numbers", "fails", "nothing", "CONSTANT"):
        own_code.allow(f"own_words:{name}", tmp_path)
    for name in ("no_such_module:f", "own_words.py:pairs"):
        own_code.allow(name, tmp_path)
    (tmp_path / "own_words.py").write_text(OWN)
    yield tmp_path
    sys.modules.pop("own_words", None)


def test_the_users_function_gets_whole_texts_after_the_rules(own):
    tokenizer = Tokenizer("own_words:pairs")
    assert tokenizer.tokens("A GOOD film,  sooo good") == [
        "xxbos", "a xxup", "good film,", "s xxrep", "3 o", "good",
    ]  # fmt: skip
    assert tokenizer.tokens("") == ["xxbos"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("klingon", "There is no tokenizer 'klingon'"),
        ("whitespaces", r"did you mean whitespace\?"),
        ("../etc", "There is no tokenizer"),
        ("no_such_module:f", r"no_such_module cannot be imported: it is neither"),
        ("own_words:nothing", "has nothing of that name"),
        ("own_words:CONSTANT", "has no function of that name"),
        ("own_words:", "is no importable function"),
        ("own_words.py:pairs", "cannot be imported"),
        ("__main__:f", "in a file of its own"),
    ],
)
def test_a_tokenizer_that_is_none_is_one_sentence(own, name, problem):
    with pytest.raises(InputError, match=problem) as caught:
        Tokenizer(name)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        ("lazy", "must return a list of str, but gave a generator for 'some text'"),
        ("numbers", "must return a list of str, but gave a list that holds int"),
        ("fails", r"failed on 'some text' \(RuntimeError: no luck\)"),
    ],
)
@pytest.mark.parametrize("processes", [1, 2])
def test_a_function_that_does_not_tokenise_is_one_sentence(own, function, problem, processes):
    with pytest.raises(InputError, match=problem) as caught:
        Tokenizer(f"own_words:{function}").encode(["some text"], processes=processes)
    assert "\n" not in str(caught.value)


def test_a_language_whose_package_is_missing_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "sudachipy", None)
    with pytest.raises(InputError, match=r"lacks a package .*: install it, or give your own"):
        Tokenizer("ja").tokens("a")


def test_a_tokenizer_is_pickled_by_its_name():
    tokenizer = Tokenizer("whitespace")
    tokenizer.encode(["many words"] * 100)
    content = pickle.dumps(tokenizer)
    assert len(content) < 200
    assert pickle.loads(content).tokens("a b") == ["xxbos", "a", "b"]


def test_the_mark_tells_tokenizers_apart_and_sees_the_users_code_change(own):
    keys = [Tokenizer(name).cache_key for name in ("en", "de", "whitespace", "own_words:pairs")]
    assert len({tuple(mark) for mark in keys}) == 4
    assert Tokenizer("own_words:pairs").cache_key == keys[3]
    (own / "own_words.py").write_text(OWN.replace("i + 2", "i + 3"))
    sys.modules.pop("own_words")
    linecache.clearcache()
    assert Tokenizer("own_words:pairs").cache_key != keys[3]


def _by_the_book(text, spacy_tokenizer):
    """The rules applied to the whole text, then spaCy on the whole text."""
    for old, new in (("<br />", "\n"), ("...", " …"), ("#39;", "'"), ("amp;", "&"), ("quot;", "'")):
        text = text.replace(old, new)
    text = html.unescape(text)
    text = re.sub(r"(\S)(\1{2,})", lambda m: f" xxrep {len(m[2]) + 1} {m[1]} ", text)
    text = re.sub(
        r"(?:\s|^)(\w+)\s+((?:\1\s+)+)\1(\s|\W|$)",
        lambda m: f" xxwrep {len(m[2].split()) + 2} {m[1]} {m[3]}",
        text,
    )
    text = re.sub(" {2,}", " ", re.sub(r"([/#\\])", r" \1 ", text))
    for mark, pattern in (("xxup", "[A-Z]+[^a-z\\s]*"), ("xxmaj", "[A-Z][^A-Z\\s]*")):
        text = re.sub(
            rf"(\s|^)({pattern})(?=(\s|$))",
            lambda m, mark=mark: m[1] + (f"{mark} " if len(m[2]) > 1 else "") + m[2].lower(),
            text,
        )
    return ["xxbos", *(token.text for token in spacy_tokenizer(text.lower().strip()))]


def test_tokens_agree_with_spacy_on_a_thousand_reviews(tokenizer):
    folder = Path(os.environ.get("HPSEARCH_DATA", Path(__file__).parents[5] / "shared" / "data"))
    archive = folder / "aclImdb.tar.xz"
    if not archive.exists():
        pytest.skip(f"the IMDb reviews are not at {archive}; set HPSEARCH_DATA to their folder")
    import spacy

    peer = spacy.blank("en").tokenizer
    same = total = reviews = 0
    with tarfile.open(archive) as tar:
        for member in tar:
            if not re.fullmatch(r"aclImdb/t\w+/(pos|neg)/.*\.txt", member.name):
                continue
            text = tar.extractfile(member).read().decode()
            ours, theirs = tokenizer.tokens(text), _by_the_book(text, peer)
            if ours == theirs:
                same += len(theirs)
            else:
                matcher = difflib.SequenceMatcher(None, ours, theirs, autojunk=False)
                same += sum(block.size for block in matcher.get_matching_blocks())
            total += len(theirs)
            reviews += 1
            if reviews == 1000:
                break
    assert same / total >= 0.999
