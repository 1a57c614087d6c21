"""The AWD-LSTM against torch's own LSTM, and its dropouts against their definitions."""

import pytest
import torch
from torch import nn

from hpsearch.text.awd_lstm import AWDLSTM, Dropouts, LanguageModel, LSTMLayer, Masks

NONE = Dropouts(0, 0, 0, 0, 0)


def encoder(drop=NONE, n_tokens=50, emb=8, hidden=12, layers=3):
    model = AWDLSTM(n_tokens, emb, hidden, layers, drop)
    model.init_weights(torch.Generator().manual_seed(0))
    return model


def masks(seed=0):
    return Masks(seed, torch.device("cpu"))


def test_a_layer_is_torchs_lstm():
    peer = nn.LSTM(5, 7)
    layer = LSTMLayer(5, 7)
    layer.load_state_dict({k.removesuffix("_l0"): v for k, v in peer.state_dict().items()})
    x, state = torch.randn(11, 3, 5), (torch.randn(1, 3, 7), torch.randn(1, 3, 7))
    expected, (h, c) = peer(x, state)
    got, got_state = layer(x, state, layer.weight_hh)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(got_state, (h, c), rtol=1e-5, atol=1e-6)


def test_a_document_in_chunks_equals_it_in_one_piece():
    model = encoder()
    tokens = torch.randint(0, 50, (30, 2))
    whole, _ = model(tokens, model.zero_state(2), None)
    state, parts = model.zero_state(2), []
    for chunk in tokens.split(7):
        out, state = model(chunk, state, None)
        parts.append(out)
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-5, atol=1e-6)


def test_a_mask_zeroes_its_share_and_keeps_the_mean():
    mask = masks().draw((1000, 1000), 0.3, torch.empty(0))
    kept = (mask > 0).float().mean().item()
    # A million draws: the standard error of a share is below 0.0005.
    assert kept == pytest.approx(0.7, abs=0.003)
    assert mask[mask > 0].unique().item() == pytest.approx(1 / 0.7, rel=2**-16)
    assert mask.mean().item() == pytest.approx(1, abs=0.005)


def test_input_dropout_is_the_same_at_all_time_steps_and_differs_between_documents():
    model = encoder(Dropouts(0.5, 0, 0, 0, 0), emb=64)
    tokens = torch.full((9, 4), 3)
    embedded = model._embed(tokens, masks())
    assert torch.equal(embedded[0], embedded[8])
    assert not torch.equal(embedded[0, 0], embedded[0, 1])
    assert (embedded == 0).float().mean().item() == pytest.approx(0.5, abs=0.12)


def test_embedding_dropout_removes_whole_words_everywhere():
    model = encoder(Dropouts(0, 0, 0, 0.5, 0), n_tokens=1000)
    tokens = torch.arange(1000).repeat(2, 1).t()
    embedded = model._embed(tokens, masks())
    gone = (embedded == 0).all(-1)
    assert torch.equal(gone[:, 0], gone[:, 1])
    assert torch.equal(gone, (embedded == 0).any(-1))
    assert gone[:, 0].float().mean().item() == pytest.approx(0.5, abs=0.06)


def test_weight_drop_zeroes_its_share_of_the_hidden_matrix_and_nothing_else(monkeypatch):
    model = encoder(Dropouts(0, 0, 0.5, 0, 0), hidden=64)
    seen = []
    forward = LSTMLayer.forward

    def spy(self, x, state, weight):
        seen.append((self, weight.detach()))
        return forward(self, x, state, weight)

    monkeypatch.setattr(LSTMLayer, "forward", spy)
    model(torch.randint(0, 50, (3, 2)), model.zero_state(2), masks())
    assert len(seen) == 3
    layer, weight = seen[1]
    assert (weight == 0).float().mean().item() == pytest.approx(0.5, abs=0.02)
    kept = weight != 0
    torch.testing.assert_close(weight[kept], 2 * layer.weight_hh.detach()[kept])


def test_without_masks_nothing_is_dropped():
    dropping, plain = encoder(Dropouts(0.5, 0.5, 0.5, 0.5, 0.5)), encoder()
    tokens = torch.randint(0, 50, (5, 2))
    got, _ = dropping(tokens, dropping.zero_state(2), None)
    expected, _ = plain(tokens, plain.zero_state(2), None)
    assert torch.equal(got, expected)


def test_the_seed_decides_the_masks():
    model = encoder(Dropouts(0.5, 0.5, 0.5, 0.5, 0.5))
    tokens = torch.randint(0, 50, (5, 2))
    one, two, other = (model(tokens, model.zero_state(2), masks(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_the_decoder_is_tied_to_the_embedding():
    model = LanguageModel(encoder())
    _, dropped, _ = model(torch.randint(0, 50, (4, 2)), model.encoder.zero_state(2), None)
    logits = model.logits(dropped)
    assert logits.shape == (4, 2, 50)
    logits.sum().backward()
    assert model.encoder.embedding.weight.grad is not None
    names = [name for name, _ in model.named_parameters()]
    assert sum("embedding" in name or "decoder" in name for name in names) == 2


def test_the_language_model_has_four_groups_the_last_holding_embedding_and_decoder():
    model = LanguageModel(encoder())
    groups = model.layer_groups()
    assert len(groups) == 4
    shapes = sorted(tuple(p.shape) for p in groups[-1].parameters())
    assert shapes == [(50,), (50, 8)]
    grouped = {id(p) for group in groups for p in group.parameters()}
    assert grouped == {id(p) for p in model.parameters()}


def test_drop_mult_scales_every_dropout():
    assert Dropouts(0.4, 0.3, 0.5, 0.05, 0.4).times(0.5) == Dropouts(0.2, 0.15, 0.25, 0.025, 0.2)
