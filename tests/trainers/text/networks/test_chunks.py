"""All chunks read side by side: the loss and every gradient of the chunks read in turn."""

from functools import partial

import numpy as np
import pytest
import torch
from processors import needs_bfloat16

from hpsearch.trainers.step.dropout_masks import Masks
from hpsearch.trainers.step.param_groups import freeze_to
from hpsearch.trainers.text.batches import DocumentBatches, Documents
from hpsearch.trainers.text.networks import chunks
from hpsearch.trainers.text.networks.awd_lstm import AWDLSTM, Dropouts
from hpsearch.trainers.text.networks.classifier import TextClassifier
from hpsearch.trainers.text.networks.lstm import read_layer

pytestmark = pytest.mark.processor

SEQ_LEN, MAX_LEN = 6, 20
LENGTHS = [41, 40, 26, 25, 24, 20, 19, 13, 12, 7, 6, 5, 1]
"""Twice as long as what is pooled; to the token at a chunk's edge; a single token."""
DROPOUTS = Dropouts(0.3, 0.2, 0.4, 0.1, 0.3)
NONE = Dropouts(0, 0, 0, 0, 0)


def new_model(drop, layers=3):
    encoder = AWDLSTM(60, 8, 12, layers, drop)
    encoder.init_weights(torch.Generator().manual_seed(1))
    with torch.no_grad():
        encoder.embedding.weight.mul_(15)  # as large as training makes them
    drop_mult = 0 if drop == NONE else 0.5
    model = TextClassifier(
        encoder, 3, lin_ftrs=5, drop_mult=drop_mult, seq_len=SEQ_LEN, max_len=MAX_LEN
    )
    model.head.init_weights(torch.Generator().manual_seed(2))
    return model.double().train()


def batch(lengths):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = np.random.default_rng(0).integers(2, 60, offsets[-1]).astype(np.int32)
    tokens, lengths = DocumentBatches(Documents(ids, offsets)).pad(np.arange(len(lengths)))
    return tokens, lengths, torch.arange(len(lengths)) % 3


def whole_chunks(tokens, n_chunks):
    """The tokens and padding of any kind up to `n_chunks` whole chunks."""
    n = n_chunks * SEQ_LEN - len(tokens)
    return torch.cat([tokens, torch.randint(2, 60, (n, tokens.shape[1]))])


def gradients(model, read, tokens, lengths, labels, dtype=torch.float64):
    """Loss with penalty and, by name, the gradient of every weight."""
    model.zero_grad()
    masks = None if model.encoder.drop == NONE else Masks(5, torch.device("cpu"))
    logits, penalty = read(tokens, lengths, masks, dtype)
    loss = torch.nn.functional.cross_entropy(logits, labels) + penalty
    loss.backward()
    return loss.item(), {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def assert_equal(one, two, tolerance=1e-12):
    """Losses, and gradients beside the largest of all, agree to the tolerance."""
    assert one[0] == pytest.approx(two[0], rel=tolerance)
    assert one[1].keys() == two[1].keys()
    largest = max(grad.abs().max().item() for grad in one[1].values())
    for name, grad in one[1].items():
        assert (grad - two[1][name]).abs().max().item() <= tolerance * largest, name


def reads(monkeypatch):
    """Documents of each call of a layer, and whether it was with gradient."""
    calls = []

    def spy(x, *args):
        calls.append((x.shape[1], torch.is_grad_enabled()))
        return read_layer(x, *args)

    monkeypatch.setattr(chunks, "read_layer", spy)
    return calls


def both(model, lengths, n_chunks, **more):
    """The gradients in turn and side by side."""
    tokens, lengths, labels = batch(lengths)
    padded = whole_chunks(tokens, n_chunks)
    in_turn = gradients(model, model.forward, padded, lengths, labels, **more)
    at_once = gradients(model, model.forward_side_by_side, padded, lengths, labels, **more)
    return in_turn, at_once


@pytest.mark.parametrize("freeze", [0, -2, -3, -4, -1], ids=str)
@pytest.mark.parametrize("drop", [NONE, DROPOUTS], ids=["no dropout", "dropout"])
def test_loss_and_gradients_are_those_of_chunks_in_turn(drop, freeze):
    model = new_model(drop)
    freeze_to(model.layer_groups(), freeze)
    in_turn, side_by_side = both(model, LENGTHS, 7)
    assert_equal(in_turn, side_by_side)
    learns = {name for name in in_turn[1] if name.startswith("encoder")}
    assert len(learns) == {0: 13, -2: 4, -3: 8, -4: 12, -1: 0}[freeze]


@pytest.mark.parametrize("lengths", [[5, 3, 2], [6, 6], [18, 18, 18]], ids=str)
def test_a_single_chunk_and_documents_without_padding_too(lengths):
    assert_equal(*both(new_model(DROPOUTS), lengths, -(-lengths[0] // SEQ_LEN)))


def test_the_penalty_is_equal_and_counts_changes_across_the_chunks_edges():
    model = new_model(NONE)
    model.alpha, model.beta = 0, 1
    tokens, lengths, _ = batch(LENGTHS)
    padded = whole_chunks(tokens, 7)
    _, in_turn = model(padded, lengths, None, torch.float64)
    _, side_by_side = model.forward_side_by_side(padded, lengths, None, torch.float64)
    assert side_by_side.item() == pytest.approx(in_turn.item(), rel=1e-12)
    model.seq_len = 42  # one chunk has no edges
    _, whole = model(padded, lengths, None, torch.float64)
    assert side_by_side.item() == pytest.approx(whole.item(), rel=1e-12)


def test_chunks_of_padding_change_nothing():
    # Without dropout: masks for more chunks are other masks.
    model = new_model(NONE)
    _, expected = both(model, LENGTHS, 7)
    for n_chunks in (8, 12):
        _, padded = both(model, LENGTHS, n_chunks)
        assert_equal(expected, padded)


@pytest.mark.parametrize("freeze", [0, -3], ids=str)
@pytest.mark.parametrize("n_groups", [2, 7])
def test_groups_of_chunks_that_fit_into_memory_change_nothing(monkeypatch, n_groups, freeze):
    model = new_model(DROPOUTS)
    freeze_to(model.layer_groups(), freeze)
    in_turn, expected = both(model, LENGTHS, 7)
    rows = SEQ_LEN * len(LENGTHS)
    thawed = {0: 0, -3: 1}[freeze]
    of_one = chunks._bytes_of_a_chunk(model.encoder, thawed, rows, torch.float64)
    size = -(-7 // n_groups)
    with_less = partial(chunks.read_side_by_side, max_bytes=size * of_one)
    monkeypatch.setattr("hpsearch.trainers.text.networks.classifier.read_side_by_side", with_less)
    calls = reads(monkeypatch)
    tokens, lengths, labels = batch(LENGTHS)
    padded = whole_chunks(tokens, 7)
    in_groups = gradients(model, model.forward_side_by_side, padded, lengths, labels)
    n_thawed = 3 - thawed
    assert len([1 for *_, grad in calls if grad]) == 2 * n_groups * n_thawed  # and by the backward
    assert_equal(in_groups, expected)
    assert_equal(in_groups, in_turn)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float32, 1e-6), pytest.param(torch.bfloat16, 2**-7, marks=needs_bfloat16)],
)
def test_in_lower_precision_too_but_for_its_rounding(dtype, tolerance):
    model = new_model(DROPOUTS).float()
    # Batch norm blows rounding errors up: what a shift of all outputs does, it takes out again.
    model.head = torch.nn.Linear(24, 3)
    model.head.forward = lambda pooled, masks: torch.nn.functional.linear(pooled, model.head.weight)
    assert_equal(*both(model, LENGTHS, 7, dtype=dtype), tolerance=tolerance)


@pytest.mark.parametrize(("freeze", "n_frozen"), [(-1, 3), (-2, 2), (-3, 1), (-4, 0), (0, 0)])
def test_only_what_is_thawed_is_read_twice(monkeypatch, freeze, n_frozen):
    model = new_model(DROPOUTS, layers=3)
    freeze_to(model.layer_groups(), freeze)
    calls = reads(monkeypatch)
    tokens, lengths, labels = batch(LENGTHS)
    gradients(model, model.forward_side_by_side, whole_chunks(tokens, 7), lengths, labels)
    n = len(LENGTHS)
    # How the last chunk ends is of no interest before it is read with its gradient.
    frozen, thawed = [(n, False)] * 7, [(n, False)] * 6
    assert calls == frozen * n_frozen + thawed * (3 - n_frozen) + [(7 * n, True)] * (3 - n_frozen)
