"""Generated text: tokens come with the right probabilities, and read as people write."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from hpsearch.errors import HpsearchError, InputError
from hpsearch.trainers.text.config import LanguageModelConfig
from hpsearch.trainers.text.language_model import generate as module
from hpsearch.trainers.text.language_model.files import SavedLanguageModel, new_language_model
from hpsearch.trainers.text.language_model.generate import generate, next_token_probabilities
from hpsearch.trainers.text.tokens.detokenize import detokenise
from hpsearch.trainers.text.tokens.tokenizer import SPECIALS, Tokenizer
from hpsearch.trainers.text.tokens.vocab import Vocab

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon"]
VOCAB = Vocab((*SPECIALS, *WORDS))
NEVER = -40.0  # a logit: once in 10^17 tokens


def make(backward=False, seed=0, tokenizer="whitespace"):
    """A model with random weights, large enough that the context matters."""
    config = LanguageModelConfig(emb=8, hidden=12, layers=2, backward=backward, seed=seed)
    model = new_language_model(config, len(VOCAB))
    with torch.no_grad():
        model.encoder.embedding.weight.mul_(30)
        model.decoder_bias[: len(SPECIALS)] = NEVER
    return SavedLanguageModel(model, VOCAB, config, tokenizer)


def without_context(logits, unk=NEVER):
    """A model that gives each word of WORDS the same logit whatever went before."""
    saved = make()
    with torch.no_grad():
        for parameter in saved.model.parameters():
            parameter.zero_()
        saved.model.decoder_bias[: len(SPECIALS)] = NEVER
        saved.model.decoder_bias[0] = unk
        saved.model.decoder_bias[len(SPECIALS) :] = torch.tensor(logits)
    return saved


def count(saved, tokens=4_000, **settings):
    """How often each of WORDS is written after the prompt."""
    text = generate(saved, "start", tokens=tokens, **settings)
    words = text.lower().split()
    assert words[0] == "start"
    assert len(words) == tokens + 1
    return np.array([words.count(word) for word in WORDS])


P = np.array([0.4, 0.3, 0.15, 0.1, 0.05])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.1, 2.0])
def test_tokens_are_drawn_with_p_to_the_power_of_one_over_the_temperature(temperature):
    expected = P ** (1 / temperature) / (P ** (1 / temperature)).sum()
    found = count(without_context(np.log(P)), temperature=temperature, min_p=0)
    assert chisquare(found, 4_000 * expected).pvalue > 1e-3


@pytest.mark.parametrize("temperature", [5e-324, 1e-3, 0.5, 1.0, 1.1, 100.0, 1e300])
def test_probabilities_are_exact_at_every_temperature(temperature):
    with np.errstate(under="ignore"):
        power = (P / P.max()) ** (1 / max(temperature, 1e-300))
    found = next_token_probabilities(
        torch.tensor([7.0, *np.log(P)]), temperature=temperature, min_p=0
    )
    assert found[0] == 0
    np.testing.assert_allclose(found[1:], power / power.sum(), rtol=1e-6, atol=1e-300)


def test_the_unknown_token_is_never_written_however_likely_it_is():
    saved = without_context(np.log(P), unk=12.0)
    text = generate(saved, "start", tokens=500, min_p=0)
    assert "xxunk" not in text
    assert chisquare(count(saved, min_p=0), 4_000 * P).pvalue > 1e-3


def test_what_is_less_likely_than_min_p_is_not_drawn_and_the_rest_keeps_its_ratios():
    found = count(without_context(np.log(P)), min_p=0.12)
    assert found[3:].tolist() == [0, 0]
    assert chisquare(found[:3], 4_000 * P[:3] / P[:3].sum()).pvalue > 1e-3


def test_where_all_are_less_likely_than_min_p_all_remain():
    found = count(without_context(np.log(P)), min_p=0.41)
    assert chisquare(found, 4_000 * P).pvalue > 1e-3


def written_greedily(saved, ids, tokens):
    """The most likely token each time, the whole text read anew each time."""
    for _ in range(tokens):
        read = torch.tensor(ids)[:, None]
        raw, _, _ = saved.model(read, saved.model.encoder.zero_state(1), None)
        logits = saved.model.logits(raw[-1, 0])
        logits[0] = -math.inf
        ids = [*ids, int(logits.argmax())]
    return [VOCAB.tokens[i] for i in ids]


@pytest.mark.parametrize("temperature", [1e-3, 1e-300, 5e-324])
@pytest.mark.parametrize("seed", range(2))
def test_near_temperature_zero_the_most_likely_token_is_written(temperature, seed, monkeypatch):
    monkeypatch.setattr(module, "_READ_AT_ONCE", 2)
    saved = make(seed=seed)
    ids = [VOCAB.ids[token] for token in ("xxbos", "beta", "beta", "gamma", "alpha")]
    expected = written_greedily(saved, ids, 30)
    assert len(set(expected[5:])) > 1
    text = generate(saved, "beta beta gamma alpha", tokens=30, temperature=temperature)
    assert text.split() == expected[1:]


def test_a_model_that_reads_backward_writes_what_comes_before_the_prompt():
    saved = make(backward=True)
    ids = [VOCAB.ids[token] for token in ("xxbos", "alpha", "gamma", "beta")]
    expected = written_greedily(saved, ids, 12)
    text = generate(saved, "beta gamma alpha", tokens=12, temperature=1e-3)
    assert text.split() == expected[:0:-1]
    assert text.endswith("beta gamma alpha")


def test_the_same_seed_writes_the_same_text_and_another_one_another():
    saved = make()
    texts = [generate(saved, "alpha", tokens=40, temperature=5, seed=seed) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_the_prompt_may_be_empty_or_unknown():
    assert len(generate(make(), "", tokens=3).split()) == 3
    assert generate(make(), "Zeta ETA", tokens=3).startswith("Zeta ETA ")
    assert len(generate(make(backward=True), "", tokens=3).split()) == 3


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tokens": 0}, "tokens is 0"),
        ({"temperature": 0.0}, "temperature is 0"),
        ({"temperature": -1.0}, "temperature is -1"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"temperature": math.inf}, "temperature is inf"),
        ({"min_p": -0.1}, "min_p is -0.1"),
        ({"min_p": 1.0}, "min_p is 1"),
        ({"min_p": math.nan}, "min_p is nan"),
    ],
)
def test_settings_out_of_range_are_refused(settings, words):
    with pytest.raises(InputError, match=words) as caught:
        generate(make(), "alpha", **settings)
    assert "\n" not in str(caught.value)


def test_a_model_that_diverged_is_named_so():
    saved = without_context([0.0, 0.0, math.nan, 0.0, 0.0])
    with pytest.raises(HpsearchError, match="not finite"):
        generate(saved, "alpha")


@pytest.mark.parametrize(
    "text",
    [
        "It's a well-known film, and I can't say I didn't like it!",
        'He said "it is great" (really).',
        '"Hello," he said. "I\'m here."',
        "I'm gonna see it; I cannot wait…",
        "So good!!!! Yes???",
        "This and/or that #1, 10/10 at 8:30",
        "Two\nlines\n\nMore",
        "The actors' work",
        "'Quoted' words",
        "It cost $5.50, or 20%.",
        "We'll see; they've come, she'd go, you're in.",
        "very very very bad",
        "USA and BBC",
        "Mr. Smith went to the U.S. in the 1990's.",
        "Film -- no, wait",
        "Let's go rock 'n' roll",
        "I saw The Thing. A masterpiece. I",
        "THE SCI-FI BEST! DON'T",
        "In 1999, 1,000 people and 10,000 dogs.",
        "I dont know [sic]",
        "E-mail us: 5-10 minutes.",
        "日本語です。とても",
    ],
)
def test_common_sentences_come_back_as_they_were(text):
    assert detokenise(Tokenizer("en").tokens(text)) == text


@pytest.mark.parametrize(
    ("tokenizer", "text"),
    [
        ("de", "Er sagte: „gut“. Übel ist's nicht."),
        ("fr", "L'amour, c'est bien."),
        ("zh", "我喜欢这部电影。"),
        ("whitespace", 'Well - it\'s (not) "so" and/or #1 , OK'),
    ],
)
def test_other_tokenizers_have_their_own_spaces(tokenizer, text):
    assert detokenise(Tokenizer(tokenizer).tokens(text), tokenizer) == text


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("xxmaj xxmaj", ""),
        ("xxrep", ""),
        ("xxrep 3", "3"),
        ("xxrep many a", "many a"),
        ("xxrep 0 a b", "0 a b"),
        ("xxwrep 999999999999 so good", "so " * 1000 + "good"),
        ("xxup xxbos xxmaj good xxeos xxbos xxpad bad", "Good\n\nbad"),
        ("xxfld 1 one xxfld 2 two", "one\ntwo"),
        ("xxmaj so g xxrep 3 o", "So gooo"),
        ("xxunk good", "good"),
        ("", ""),
    ],
)
def test_marks_that_a_model_may_write_anywhere_are_undone_or_left_out(tokens, text):
    assert detokenise(tokens.split(" ")) == text
