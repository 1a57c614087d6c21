"""Batches hold every token once, shifted, sorted and padded as defined."""

import numpy as np
import pytest
import torch

from hpsearch.errors import HpsearchError
from hpsearch.trainers.text.batches import (
    DocumentBatches,
    Documents,
    by_length,
    count_stream_batches,
    stream_batches,
    training_order,
)


def documents(lengths, first=10):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Documents(np.arange(first, first + offsets[-1], dtype=np.int32), offsets)


def test_the_stream_is_cut_into_rows_and_the_target_is_one_token_ahead():
    pairs = list(stream_batches(documents([7, 3, 11]), bs=2, seq_len=4))
    inputs = torch.cat([x for x, _ in pairs])
    targets = torch.cat([y for _, y in pairs])
    assert inputs[:, 0].tolist() == list(range(10, 20))
    assert inputs[:, 1].tolist() == list(range(20, 30))
    assert torch.equal(targets, inputs + 1)
    assert [len(x) for x, _ in pairs] == [4, 4, 2]
    assert len(pairs) == count_stream_batches(21, 2, 4)


def test_too_little_text_for_the_streams_is_one_sentence():
    with pytest.raises(HpsearchError, match="too few for 64 parallel streams"):
        list(stream_batches(documents([5]), bs=64, seq_len=4))


def test_of_longer_documents_the_last_tokens_are_left():
    cut = documents([2, 5, 0, 3]).last(3)
    assert cut.ids.tolist() == [10, 11, 14, 15, 16, 17, 18, 19]
    assert cut.offsets.tolist() == [0, 2, 5, 5, 8]
    assert len(documents([]).last(3)) == 0


def test_documents_are_taken_in_the_order_asked_for():
    docs = documents([2, 3, 1])
    taken = docs.take(np.array([2, 0, 0]))
    assert taken.ids.tolist() == [15, 10, 11, 10, 11]
    assert taken.lengths.tolist() == [1, 2, 2]
    assert len(docs.take(np.array([], dtype=np.int64))) == 0


@pytest.mark.parametrize(("n", "bs"), [(1, 4), (7, 3), (97, 8), (1000, 16)])
def test_an_epoch_holds_every_document_once_and_the_longest_comes_first(n, bs):
    lengths = np.random.default_rng(n).integers(1, 500, n)
    batches = training_order(lengths, bs, np.random.default_rng(0))
    assert sorted(np.concatenate(batches).tolist()) == list(range(n))
    assert lengths.max() == lengths[batches[0]].max()
    assert all((np.diff(lengths[batch]) <= 0).all() for batch in batches[:-1])
    if n > 1:
        assert min(map(len, batches)) > 1  # batch norm cannot train on one document


def test_a_last_document_that_joins_a_batch_takes_its_place_by_length():
    # 201 documents: one more than a mega-batch of 50 * 4, so the last may be longer than the rest.
    lengths = np.random.default_rng(0).integers(1, 100, 201)
    for seed in range(20):
        batches = training_order(lengths, 4, np.random.default_rng(seed))
        assert all((np.diff(lengths[batch]) <= 0).all() for batch in batches)


def test_documents_of_similar_length_share_a_batch():
    lengths = np.random.default_rng(0).integers(1, 1000, 800)
    batches = training_order(lengths, 16, np.random.default_rng(0))
    padded = sum(lengths[batch].max() * len(batch) for batch in batches)
    assert padded < 1.05 * lengths.sum()


def test_prediction_batches_run_from_long_to_short():
    batches = by_length(np.array([3, 9, 5, 1, 7]), 2)
    assert [batch.tolist() for batch in batches] == [[1, 4], [2, 0], [3]]


def test_padding_stands_at_the_end():
    tokens, lengths = DocumentBatches(documents([1, 3])).pad(np.array([1, 0]))
    assert tokens.t().tolist() == [[11, 12, 13], [10, 1, 1]]
    assert lengths.tolist() == [3, 1]


def test_batches_from_one_flat_tensor_are_the_documents_in_the_order_asked_for():
    docs = documents(np.random.default_rng(0).integers(1, 40, 30))
    batches = DocumentBatches(docs)
    for which in (np.array([29, 3, 17]), np.array([29]), np.arange(30)):
        tokens, lengths = batches.pad(which)
        assert tokens.shape == (docs.lengths[which].max(), len(which))
        assert lengths.tolist() == docs.lengths[which].tolist()
        for column, doc in enumerate(which):
            of_doc = docs.ids[docs.offsets[doc] : docs.offsets[doc + 1]]
            assert tokens[: len(of_doc), column].tolist() == of_doc.tolist()
            assert (tokens[len(of_doc) :, column] == 1).all()
