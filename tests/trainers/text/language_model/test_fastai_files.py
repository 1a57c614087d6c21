"""fast.ai's files, written here in their exact format: read right, or refused."""

import io
import pickle
import tarfile
from pathlib import Path

import pytest
import torch
from torch import nn

from hpsearch.errors import InputError
from hpsearch.trainers.text.config import LanguageModelConfig
from hpsearch.trainers.text.language_model.files import new_language_model
from hpsearch.trainers.text.language_model.pretrained import load_pretrained, remap
from hpsearch.trainers.text.tokens.tokenizer import SPECIALS
from hpsearch.trainers.text.tokens.vocab import Vocab

WORDS = ["the", ",", "and", "film", "café"]
TOKENS = [*SPECIALS, *WORDS]
EMB, HIDDEN = 8, 12


def fastai_state(n_tokens=14, emb=EMB, hidden=HIDDEN, layers=3, seed=0, duplicate=False):
    """A state dict with the names and shapes of fastai's `get_language_model(AWD_LSTM, ...)`."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator) * 0.3

    embedding = draw(n_tokens, emb)
    state = {"0.encoder.weight": embedding, "0.encoder_dp.emb.weight": embedding}
    for i in range(layers):
        n_in = emb if i == 0 else hidden
        n_out = emb if i == layers - 1 else hidden
        state[f"0.rnns.{i}.weight_hh_l0_raw"] = draw(4 * n_out, n_out)
        state[f"0.rnns.{i}.module.weight_ih_l0"] = draw(4 * n_out, n_in)
        if duplicate:  # what weight drop left of the raw matrix in its last step
            state[f"0.rnns.{i}.module.weight_hh_l0"] = torch.zeros(4 * n_out, n_out)
        state[f"0.rnns.{i}.module.bias_ih_l0"] = draw(4 * n_out)
        state[f"0.rnns.{i}.module.bias_hh_l0"] = draw(4 * n_out)
    return state | {"1.decoder.weight": embedding, "1.decoder.bias": draw(n_tokens)}


def torch_bytes(state, old=False):
    """`old` is the format of torch before 1.6, which the published files have."""
    file = io.BytesIO()
    torch.save(state, file, _use_new_zipfile_serialization=not old)
    return file.getvalue()


def write_folder(folder, state=None, tokens=TOKENS, backward=False, old=False):
    folder.mkdir(parents=True, exist_ok=True)
    name = "lstm_bwd.pth" if backward else "lstm_fwd.pth"
    (folder / name).write_bytes(torch_bytes(fastai_state() if state is None else state, old))
    (folder / "itos_wt103.pkl").write_bytes(pickle.dumps(tokens))
    return folder


def write_tgz(path, folder, prefix="wt103-fwd/"):
    with tarfile.open(path, "w:gz") as archive:
        for file in sorted(folder.iterdir()):
            archive.add(file, arcname=prefix + file.name)
    return path


def reference(state, tokens):
    """Logits (T, B, V) by torch's own modules."""
    x = nn.functional.embedding(tokens, state["0.encoder.weight"])
    layers = sum(key.endswith("_raw") for key in state)
    for i in range(layers):
        weight_ih = state[f"0.rnns.{i}.module.weight_ih_l0"]
        lstm = nn.LSTM(weight_ih.shape[1], weight_ih.shape[0] // 4)
        lstm.load_state_dict(
            {
                "weight_ih_l0": weight_ih,
                "weight_hh_l0": state[f"0.rnns.{i}.weight_hh_l0_raw"],
                "bias_ih_l0": state[f"0.rnns.{i}.module.bias_ih_l0"],
                "bias_hh_l0": state[f"0.rnns.{i}.module.bias_hh_l0"],
            }
        )
        x, _ = lstm(x)
    return x @ state["1.decoder.weight"].t() + state["1.decoder.bias"]


def logits(found, tokens):
    emb, hidden, layers = found.sizes
    config = LanguageModelConfig(emb=emb, hidden=hidden, layers=layers)
    model = new_language_model(config, len(found.vocab))
    model.load_state_dict(found.weights)
    raw, _, _ = model(tokens, model.encoder.zero_state(tokens.shape[1]), None)
    return model.logits(raw)


def refused(name, *words, backward=False):
    with pytest.raises(InputError) as caught:
        load_pretrained(str(name), backward=backward)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert str(word) in message
    return message


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("duplicate", [False, True])
def test_the_model_computes_what_torchs_own_lstm_computes(tmp_path, packed, old, duplicate):
    state = fastai_state(duplicate=duplicate)
    place = write_folder(tmp_path / "model", state, old=old)
    if packed:
        place = write_tgz(tmp_path / "model.tgz", place)
    found = load_pretrained(str(place))
    assert found.sizes == (EMB, HIDDEN, 3)
    assert found.vocab.tokens == tuple(TOKENS)
    assert (found.tokenizer, found.backward) == ("en", False)
    tokens = torch.randint(0, len(TOKENS), (30, 4), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(logits(found, tokens), reference(state, tokens), rtol=0, atol=1e-5)


@pytest.mark.parametrize("hidden", [1150, 1152])
def test_both_published_sizes_are_read(tmp_path, hidden):
    state = fastai_state(emb=400, hidden=hidden)
    found = load_pretrained(str(write_folder(tmp_path / "model", state)))
    assert found.sizes == (400, hidden, 3)
    tokens = torch.randint(0, len(TOKENS), (5, 2), generator=torch.Generator().manual_seed(1))
    expected = reference(state, tokens)
    torch.testing.assert_close(logits(found, tokens), expected, rtol=1e-5, atol=1e-4)


def test_a_model_saved_by_fastais_learner_is_read_half_precision_too(tmp_path):
    state = {key: value.half() for key, value in fastai_state().items()}
    wrapped = {"model": state, "opt": {"hypers": [{"lr": 0.1}], "state": [torch.zeros(3)]}}
    found = load_pretrained(str(write_folder(tmp_path / "model", wrapped)))
    assert torch.equal(found.weights["decoder_bias"], state["1.decoder.bias"].float())
    assert {value.dtype for value in found.weights.values()} == {torch.float32}


def test_each_direction_is_read_from_its_own_file(tmp_path):
    one, other = fastai_state(seed=1), fastai_state(seed=2)
    write_folder(tmp_path / "pair", one)
    place = write_folder(tmp_path / "pair", other, backward=True)
    for folder in (place, write_tgz(tmp_path / "pair.tgz", place, prefix="./")):
        for backward, state in ((False, one), (True, other)):
            found = load_pretrained(str(folder), backward=backward)
            assert found.backward == backward
            assert torch.equal(found.weights["decoder_bias"], state["1.decoder.bias"])


def test_the_other_direction_is_not_taken_for_the_one_asked_for(tmp_path):
    forward = write_folder(tmp_path / "fwd")
    refused(forward, "no lstm_bwd.pth but lstm_fwd.pth", "reads the other way", backward=True)
    packed = write_tgz(tmp_path / "fwd.tgz", forward)
    refused(packed, "no lstm_bwd.pth but lstm_fwd.pth", "reads the other way", backward=True)


def test_special_tokens_move_to_the_front_and_fillers_and_doubles_go(tmp_path):
    """fastai 1: another order, no xxeos, the vocabulary filled up to a multiple of 8."""
    tokens = ["xxunk", "xxpad", "xxbos", "xxfld", "xxmaj", "xxup", "xxrep", "xxwrep"]
    tokens += ["the", ",", "the", "film", "xxfake", "xxfake", "xxfake", "xxfake"]
    state = fastai_state(len(tokens))
    found = load_pretrained(str(write_folder(tmp_path / "model", state, tokens)))
    assert found.vocab.tokens == (*SPECIALS, "the", ",", "film")
    rows = found.weights["encoder.embedding.weight"]
    for token in found.vocab.tokens:
        mean = state["0.encoder.weight"].mean(0)
        old = state["0.encoder.weight"][tokens.index(token)] if token in tokens else mean
        assert torch.equal(rows[found.vocab.ids[token]], old), token
    bias = found.weights["decoder_bias"][found.vocab.ids["xxeos"]]
    assert bias == pytest.approx(state["1.decoder.bias"].mean())


def test_another_vocabulary_gets_the_rows_of_its_tokens_and_the_mean_for_new_ones(tmp_path):
    state = fastai_state()
    found = load_pretrained(str(write_folder(tmp_path / "model", state)))
    vocab = Vocab((*SPECIALS, "film", "unheard", "the"))
    weights = remap(found, vocab)
    rows, bias = weights["encoder.embedding.weight"], weights["decoder_bias"]
    assert rows.shape == (12, EMB)
    assert torch.equal(rows[9], state["0.encoder.weight"][TOKENS.index("film")])
    assert torch.equal(rows[11], state["0.encoder.weight"][TOKENS.index("the")])
    torch.testing.assert_close(rows[10], state["0.encoder.weight"].mean(0))
    torch.testing.assert_close(bias[10], state["1.decoder.bias"].mean())
    assert bias[9] == state["1.decoder.bias"][TOKENS.index("film")]
    for name in weights:
        if "rnns" in name:
            assert torch.equal(weights[name], found.weights[name])
    same = remap(found, found.vocab)
    assert all(torch.equal(same[name], value) for name, value in found.weights.items())


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


@pytest.mark.parametrize("old", [False, True])
def test_code_in_either_file_is_refused_and_does_not_run(tmp_path, old):
    ran = tmp_path / "ran"
    for i, state in enumerate((Touch(ran), fastai_state() | {"extra": Touch(ran)}, [Touch(ran)])):
        place = write_folder(tmp_path / f"weights{i}", state, old=old)
        refused(place, "lstm_fwd.pth in", "which is no tensor and was not run")
        refused(write_tgz(tmp_path / f"weights{i}.tgz", place), "lstm_fwd.pth in", "not run")
    place = write_folder(tmp_path / "tokens", tokens=[*TOKENS[:-1], Touch(ran)])
    refused(place, "itos_wt103.pkl in", "more than strings")
    assert not ran.exists()
    pickle.loads((place / "itos_wt103.pkl").read_bytes())  # the attack is a real one
    assert ran.exists()


def changed(changes):
    state = fastai_state() | changes
    return {key: value for key, value in state.items() if value is not None}


HH, BIAS, TIED = "0.rnns.1.weight_hh_l0_raw", "1.decoder.bias", "1.decoder.weight"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (changed({HH: None}), "0.rnns.1.weight_hh_l0_raw is missing"),
        (changed({BIAS: None}), "1.decoder.bias is missing"),
        (changed({HH: torch.zeros(44, 11)}), "0.rnns.1.weight_hh_l0_raw is 44 x 11 and not 48"),
        (changed({BIAS: torch.zeros(13)}), "1.decoder.bias is 13 and not 14"),
        (changed({TIED: torch.zeros(14, 8)}), "should be tied"),
        (changed({"extra": torch.zeros(3)}), "extra does not belong there"),
        (changed({"0.encoder.weight": torch.zeros(14)}), "tied"),
        (changed({HH: torch.full((48, 12), float("nan"))}), "not finite"),
        (changed({HH: torch.zeros(48, 12, dtype=torch.int64)}), "of type torch.int64"),
        (changed({HH: torch.zeros(1).expand(48, 12)}), "claims more numbers than it has"),
        (changed({HH: torch.zeros(48, 12).to_sparse()}), "is no tensor"),
        (changed({HH: torch.zeros(48, 12, device="meta")}), "is no tensor"),
        (changed({HH: 3}), "is no tensor"),
        ({}, "is missing"),
        ({0: torch.zeros(3)}, "no named tensors"),
        ([torch.zeros(3)], "no named tensors"),
        (torch.zeros(3), "no named tensors"),
        (fastai_state(layers=9), "does not belong there"),
    ],
)
def test_weights_that_are_no_awd_lstm_are_refused(tmp_path, state, words):
    refused(write_folder(tmp_path / "model", state), "lstm_fwd.pth in", words, tmp_path)


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (TOKENS[:-1], "13 tokens, but the weights have 14 rows"),
        ([t.replace("xxunk", "_unk_") for t in TOKENS], "lacks the token xxunk"),
        (dict.fromkeys(TOKENS), "more than strings"),
        ([*TOKENS[:-1], 7], "more than strings"),
    ],
)
def test_tokens_that_do_not_fit_are_refused(tmp_path, tokens, words):
    refused(write_folder(tmp_path / "model", tokens=tokens), "itos_wt103.pkl in", words)


@pytest.mark.parametrize("name", ["lstm_fwd.pth", "itos_wt103.pkl"])
@pytest.mark.parametrize("old", [False, True])
def test_a_file_that_is_missing_or_cut_short_is_named(tmp_path, name, old):
    place = write_folder(tmp_path / "model", old=old)
    content = (place / name).read_bytes()
    for length in (0, 1, 100, len(content) // 2, len(content) - 8):
        (place / name).write_bytes(content[:length])
        refused(place, f"{name} in {place} was refused", "get it again")
    (place / name).unlink()
    refused(place, f"{place} holds no {name}")
