"""The vocabulary: what it holds, in which order, and what it makes of the rest."""

import numpy as np
import pytest

from hpsearch.errors import HpsearchError
from hpsearch.trainers.text.tokens.tokenizer import SPECIALS, Tokenizer
from hpsearch.trainers.text.tokens.vocab import Vocab


def encode(*texts):
    return Tokenizer("whitespace").encode(texts)


def build(texts, *, max_vocab=100, min_freq=1):
    return Vocab.build(texts.ids, texts.strings, max_vocab=max_vocab, min_freq=min_freq)


def test_it_holds_the_most_common_tokens_and_numbers_the_rest_zero():
    texts = encode("b a b c b", "a b")
    vocab = build(texts, max_vocab=11, min_freq=2)
    assert vocab.tokens == (*SPECIALS, "b", "a")
    numbers = vocab.numericalise(texts)
    assert [vocab.tokens[i] for i in numbers[:6]] == ["xxbos", "b", "a", "b", "xxunk", "b"]


def test_the_order_of_texts_does_not_change_it():
    assert build(encode("x y", "y z", "z x")) == build(encode("z x", "y z", "x y"))


def test_special_tokens_are_never_counted_as_words():
    vocab = build(encode("Many Many Capitals xxunk xxpad"))
    assert sorted(vocab.tokens[9:]) == ["capitals", "many"]
    assert vocab.tokens[:9] == SPECIALS


@pytest.mark.parametrize("texts", [[], ["", " "], ["a b c", "d e"]])
def test_a_corpus_without_common_tokens_is_one_sentence(texts):
    with pytest.raises(HpsearchError, match="lower min_freq") as caught:
        build(encode(*texts), min_freq=2)
    assert "\n" not in str(caught.value)


def test_no_texts_are_numbered_as_none():
    assert len(build(encode("a")).numericalise(encode())) == 0


def test_it_survives_its_file(tmp_path):
    vocab = Vocab((*SPECIALS, "\n\n", "é", "\x85", "\x00"))
    vocab.save(tmp_path / "vocab.json")
    assert Vocab.load(tmp_path / "vocab.json") == vocab
    assert np.unique([vocab.fingerprint, Vocab(SPECIALS).fingerprint]).size == 2
