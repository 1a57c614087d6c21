"""The AWD-LSTM against torch's own LSTM, and its dropouts against their definitions."""

import pytest
import torch
from torch import nn

from hpsearch.trainers.step.dropout_masks import Masks
from hpsearch.trainers.text.networks.awd_lstm import AWDLSTM, Dropouts, LanguageModel, LSTMLayer

pytestmark = pytest.mark.processor

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


@pytest.mark.parametrize("p", [0.0, 0.01, 0.3, 0.5, 0.95])
def test_a_mask_zeroes_its_share_and_keeps_the_mean(p):
    mask = masks().draw((1000, 1000), p, torch.empty(0))
    # A million draws: within five standard errors, and the 16 bits that p is rounded to.
    near = 5 * (p * (1 - p) / 1e6) ** 0.5 + 1e-5
    assert (mask == 0).float().mean().item() == pytest.approx(p, abs=near)
    assert mask.max().item() == pytest.approx(1 / (1 - p), rel=2e-4)
    assert mask[mask > 0].unique().numel() == 1
    assert mask.mean().item() == pytest.approx(1, abs=near / (1 - p) + 1e-5)


def test_neighbours_in_a_mask_are_independent():
    # Four of them come from one draw of 64 bits: any two agree with probability 1/2.
    mask = masks().draw((400_000,), 0.5, torch.empty(0)) > 0
    for distance in (1, 2, 3, 4, 5, 1000):
        same = (mask[distance:] == mask[:-distance]).float().mean().item()
        assert same == pytest.approx(0.5, abs=0.004)


def test_a_mask_has_type_and_shape_asked_for():
    mask = masks().draw((3, 5, 7), 0.5, torch.empty(0, dtype=torch.bfloat16))
    assert mask.shape == (3, 5, 7)
    assert mask.dtype == torch.bfloat16


def embed(model, tokens):
    """tokens (T, B), read as one chunk, with dropout -> (T, B, E)."""
    dropout = model.draw_dropout(masks(), 1, tokens.shape[1], torch.float32)
    return model.embed(tokens[:, None], dropout)[:, 0]


def test_input_dropout_is_the_same_at_all_time_steps_and_differs_between_documents():
    model = encoder(Dropouts(0.5, 0, 0, 0, 0), emb=64)
    tokens = torch.full((9, 4), 3)
    embedded = embed(model, tokens)
    assert torch.equal(embedded[0], embedded[8])
    assert not torch.equal(embedded[0, 0], embedded[0, 1])
    assert (embedded == 0).float().mean().item() == pytest.approx(0.5, abs=0.12)


def test_embedding_dropout_removes_whole_words_everywhere():
    model = encoder(Dropouts(0, 0, 0, 0.5, 0), n_tokens=1000)
    tokens = torch.arange(1000).repeat(2, 1).t()
    embedded = embed(model, tokens)
    gone = (embedded == 0).all(-1)
    assert torch.equal(gone[:, 0], gone[:, 1])
    assert torch.equal(gone, (embedded == 0).any(-1))
    assert gone[:, 0].float().mean().item() == pytest.approx(0.5, abs=0.06)


def test_weight_drop_zeroes_its_share_of_the_hidden_matrix_and_nothing_else(monkeypatch):
    model = encoder(Dropouts(0, 0, 0.5, 0, 0), hidden=64)
    seen = []
    forward = LSTMLayer.forward

    def spy(self, x, state, weight, dtype):
        seen.append((self, weight.detach()))
        return forward(self, x, state, weight, dtype)

    monkeypatch.setattr(LSTMLayer, "forward", spy)
    model(torch.randint(0, 50, (3, 2)), model.zero_state(2), masks())
    assert len(seen) == 3
    layer, weight = seen[1]
    assert (weight == 0).float().mean().item() == pytest.approx(0.5, abs=0.02)
    kept = weight != 0
    torch.testing.assert_close(weight[kept], 2 * layer.weight_hh.detach()[kept])


def test_weight_drop_leaves_the_first_step_alone_and_changes_from_call_to_call():
    # From a state of zeros the hidden-to-hidden matrix has nothing to multiply: what differs at
    # the first step would be dropped elsewhere.
    dropping, plain = encoder(Dropouts(0, 0, 0.5, 0, 0)), encoder()
    tokens = torch.randint(0, 50, (3, 2))
    expected, _ = plain(tokens, plain.zero_state(2), None)
    source = masks()
    one, two = (dropping(tokens, dropping.zero_state(2), source)[0] for _ in range(2))
    assert torch.equal(one[0], expected[0])
    assert torch.equal(two[0], expected[0])
    assert not torch.equal(one[1], expected[1])
    assert not torch.equal(one[1], two[1])


def dropped_share(before, after, p):
    """Checks one mask for all steps on (T, B, width); returns the share that it zeroes."""
    mask = after / before
    assert torch.allclose(mask, mask[:1].expand_as(mask), atol=1e-4)
    assert not torch.equal(mask[0, 0], mask[0, 1])  # documents have their own
    kept = mask[mask > 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - p)), rtol=1e-3, atol=0)
    return (mask[0] == 0).float().mean().item()


def test_hidden_dropout_follows_every_layer_but_the_last():
    model = encoder(Dropouts(0, 0.3, 0, 0, 0), emb=300, hidden=500)
    inputs, outputs = [], []
    for rnn in model.rnns:
        rnn.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
        rnn.register_forward_hook(lambda _, __, made: outputs.append(made[0]))
    with torch.no_grad():
        out, _ = model(torch.randint(0, 50, (4, 8)), model.zero_state(8), masks())
    for before, after in ((outputs[0], inputs[1]), (outputs[1], inputs[2])):
        # 4,000 draws: the standard error is .007.
        assert dropped_share(before, after, 0.3) == pytest.approx(0.3, abs=0.035)
    assert torch.equal(out, outputs[2])


def test_output_dropout_is_the_language_models_own():
    model = LanguageModel(encoder(Dropouts(0, 0, 0, 0, 0.4), emb=300))
    with torch.no_grad():
        raw, dropped, _ = model(torch.randint(0, 50, (4, 8)), model.encoder.zero_state(8), masks())
    assert dropped_share(raw, dropped, 0.4) == pytest.approx(0.4, abs=0.05)


def test_the_state_is_carried_and_gives_no_gradient():
    model = encoder()
    tokens = torch.randint(0, 50, (6, 2))
    _, state = model(tokens, model.zero_state(2), None)
    assert not any(part.requires_grad for layer in state for part in layer)
    assert all((h != 0).any() for h, _ in state)


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
