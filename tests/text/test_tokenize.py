"""The text rules, each by the example that defines it, and agreement with spaCy on real reviews."""

import difflib
import html
import os
import re
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest

from hpsearch.errors import HpsearchError
from hpsearch.text.tokenize import SPECIALS, Tokenizer, spacy_splitter
from hpsearch.text.vocab import Vocab


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
        ("It didn't", "xxmaj it did n't"),
        ("John's film", "xxmaj john 's film"),
        ("this/that #1", "this / that # 1"),
        ("Tom &amp; Jerry", "xxmaj tom & xxmaj jerry"),
        ("wait...", "wait …"),
        ("", ""),
        ("   ", ""),
    ],
)
def test_rules(tokenizer, text, tokens):
    assert tokenizer.tokens(text) == ["xxbos", *tokens.split()]


def test_line_breaks_are_tokens_of_their_own(tokenizer):
    assert tokenizer.tokens("one<br /><br />two") == ["xxbos", "one", "\n\n", "two"]


def test_special_tokens_have_the_ids_that_published_models_use():
    assert SPECIALS == (
        "xxunk", "xxpad", "xxbos", "xxeos", "xxfld", "xxrep", "xxwrep", "xxup", "xxmaj",
    )  # fmt: skip


@pytest.mark.parametrize(
    "text", ["a" * 10_000, "\x00\x07 bell", "😀😀 👍🏽", "é" * 3, "x" * 50_000]
)
def test_strange_texts_are_tokenised(tokenizer, text):
    assert tokenizer.tokens(text)[0] == "xxbos"


def test_a_long_text_without_spaces_takes_no_quadratic_time(tokenizer):
    text = "".join(f"ab{i}," for i in range(60_000))
    assert len(tokenizer.tokens(text)) > 1000
    started = time.perf_counter()
    tokenizer.tokens("AB" * 50_000 + "a")  # all capitals but for the last
    assert time.perf_counter() - started < 5


def test_encoding_many_texts_equals_tokenising_each(tokenizer):
    texts = ["A film.", "", "Another FILM, a film!"]
    encoded = Tokenizer(spacy_splitter()).encode(texts)
    pieces = [
        [encoded.strings[i] for i in encoded.ids[start:end]]
        for start, end in zip(encoded.offsets, encoded.offsets[1:], strict=False)
    ]
    assert pieces == [tokenizer.tokens(text) for text in texts]


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
    folder = Path(os.environ.get("HPSEARCH_DATA", Path(__file__).parents[3] / "shared" / "data"))
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


def test_the_vocabulary_holds_the_most_common_tokens_and_numbers_the_rest_zero():
    texts = Tokenizer(lambda piece: [piece]).encode(["b a b c b", "a b"])
    vocab = Vocab.build(texts.ids, texts.strings, max_vocab=11, min_freq=2)
    assert vocab.tokens == (*SPECIALS, "b", "a")
    numbers = vocab.numericalise(texts)
    assert [vocab.tokens[i] for i in numbers[:6]] == ["xxbos", "b", "a", "b", "xxunk", "b"]


def test_the_order_of_texts_does_not_change_the_vocabulary():
    one, two = (
        Tokenizer(lambda piece: [piece]).encode(texts)
        for texts in (["x y", "y z", "z x"], ["z x", "y z", "x y"])
    )
    build = {"max_vocab": 50, "min_freq": 1}
    assert Vocab.build(one.ids, one.strings, **build) == Vocab.build(two.ids, two.strings, **build)


def test_a_corpus_of_rare_tokens_is_one_sentence():
    texts = Tokenizer(lambda piece: [piece]).encode(["a b c"])
    with pytest.raises(HpsearchError, match="lower min_freq"):
        Vocab.build(texts.ids, texts.strings, max_vocab=100, min_freq=2)


def test_a_vocabulary_survives_its_file(tmp_path):
    vocab = Vocab((*SPECIALS, "\n\n", "é", "\x85"))
    vocab.save(tmp_path / "vocab.json")
    assert Vocab.load(tmp_path / "vocab.json") == vocab
    assert np.unique([vocab.fingerprint, Vocab(SPECIALS).fingerprint]).size == 2
