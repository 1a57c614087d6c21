"""Padding and chunks change no prediction; pooling is what the paper says."""

import numpy as np
import pytest
import torch

from hpsearch.trainers.step.param_groups import freeze_to
from hpsearch.trainers.text.batches import DocumentBatches, Documents
from hpsearch.trainers.text.networks.awd_lstm import AWDLSTM, Dropouts
from hpsearch.trainers.text.networks.classifier import TextClassifier

pytestmark = pytest.mark.processor


@pytest.fixture
def model():
    encoder = AWDLSTM(60, 8, 12, 2, Dropouts(0, 0, 0, 0, 0))
    encoder.init_weights(torch.Generator().manual_seed(1))
    model = TextClassifier(encoder, 3, lin_ftrs=5, drop_mult=0, seq_len=6, max_len=10)
    model.head.init_weights(torch.Generator().manual_seed(2))
    return model.eval()


@pytest.fixture
def docs():
    lengths = [25, 24, 13, 12, 6, 5, 1]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = np.random.default_rng(0).integers(2, 60, offsets[-1]).astype(np.int32)
    return Documents(ids, offsets)


def predict(model, docs, which, dtype=torch.float32):
    return model(*DocumentBatches(docs).pad(which), None, dtype)[0]


def test_a_document_alone_and_beside_longer_ones_gets_the_same_prediction(model, docs):
    together = predict(model, docs, np.arange(7))
    alone = torch.cat([predict(model, docs, np.array([i])) for i in range(7)])
    assert (together - alone).abs().max().item() < 1e-5


def test_in_bfloat16_too_but_for_its_rounding(model, docs):
    together = predict(model, docs, np.arange(7), torch.bfloat16)
    alone = torch.cat([predict(model, docs, np.array([i]), torch.bfloat16) for i in range(7)])
    # bfloat16 has 8 bits: two orders of summation may differ in the last of them.
    assert (together - alone).abs().max().item() < 2**-8 * together.abs().max().item()


def test_a_document_in_chunks_equals_it_in_one_piece(model, docs):
    in_chunks = predict(model, docs, np.arange(7))
    model.seq_len = 100
    assert (predict(model, docs, np.arange(7)) - in_chunks).abs().max().item() < 1e-5


def test_nothing_waits_for_the_device(model, docs):
    # On the device "meta" there are no values: to ask for one is an error, as it would be a wait.
    tokens, lengths = DocumentBatches(docs).pad(np.arange(7))
    model.to("meta").train()
    logits, penalty = model(tokens.to("meta"), lengths, None)
    (logits.sum() + penalty).backward()
    assert logits.shape == (7, 3)


def test_a_frozen_encoder_builds_no_graph(model, docs):
    freeze_to(model.layer_groups(), -1)
    made = []
    model.encoder.rnns[-1].register_forward_hook(
        lambda _, __, out: made.append(out[0].requires_grad)
    )
    logits, penalty = model.train()(*DocumentBatches(docs).pad(np.arange(7)), None)
    assert not any(made)
    assert penalty == 0
    logits.sum().backward()
    assert all(p.grad is None for p in model.encoder.parameters())
    assert model.head.linear1.weight.grad is not None


def test_what_stands_in_the_padding_does_not_matter(model, docs):
    tokens, lengths = DocumentBatches(docs).pad(np.arange(7))
    expected, _ = model(tokens, lengths, None)
    noise = torch.randint(2, 60, tokens.shape)
    inside = torch.arange(len(tokens))[:, None] < lengths
    got, _ = model(torch.where(inside, tokens, noise), lengths, None)
    assert torch.equal(got, expected)


def test_pools_are_last_max_and_mean_of_the_last_max_len_outputs(model, docs):
    tokens, lengths = DocumentBatches(docs).pad(np.arange(7))
    seen = []
    model.head.register_forward_pre_hook(lambda head, inputs: seen.append(inputs[0]))
    model(tokens, lengths, None)
    (pooled,) = seen
    for i, length in enumerate(lengths.tolist()):
        whole, _ = model.encoder(tokens[:length, i : i + 1], model.encoder.zero_state(1), None)
        tail = whole[-10:, 0]
        expected = torch.cat([tail[-1], tail.amax(0), tail.mean(0)])
        torch.testing.assert_close(pooled[i], expected, rtol=1e-5, atol=1e-6)


def test_the_head_has_the_published_shape(model):
    head = [tuple(p.shape) for p in model.head.parameters()]
    assert head == [(24,), (24,), (5, 24), (5,), (5,), (3, 5)]


def test_the_groups_are_embedding_layers_and_head(model):
    groups = model.layer_groups()
    assert len(groups) == 4
    grouped = [id(p) for group in groups for p in group.parameters()]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())


def test_the_penalty_is_that_of_the_outputs_that_are_pooled(model, docs):
    tokens, lengths = DocumentBatches(docs).pad(np.arange(7))
    squares, changes = [], []
    for i, length in enumerate(lengths.tolist()):
        whole, _ = model.encoder(tokens[:length, i : i + 1], model.encoder.zero_state(1), None)
        tail = whole[-10:, 0]
        squares.append(tail.pow(2).flatten())
        changes.append((tail[1:] - tail[:-1]).pow(2).flatten())
    expected = 2 * torch.cat(squares).mean() + torch.cat(changes).mean()
    model.train()
    _, penalty = model(tokens, lengths, None)
    torch.testing.assert_close(penalty, expected, rtol=1e-4, atol=1e-7)
    model.eval()
    assert model(tokens, lengths, None)[1] == 0


def test_only_the_chunks_that_are_pooled_keep_their_graph(model):
    docs = Documents(np.full(400, 5, dtype=np.int32), np.array([0, 400], dtype=np.int64))
    kept = []
    model.encoder.rnns[-1].register_forward_hook(
        lambda _, __, out: kept.append(out[0].requires_grad)
    )
    logits, _ = model(*DocumentBatches(docs).pad(np.array([0])), None)
    assert len(kept) == 67  # chunks of 6
    assert kept[-2:] == [True, True]  # the last 10 tokens
    assert not any(kept[:-3])
    logits.sum().backward()
    assert all(p.grad is not None for p in model.encoder.parameters())
