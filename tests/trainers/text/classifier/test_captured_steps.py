"""A classifier trained as on a GPU, its chunks side by side and its steps replayed, is the one that
plain steps make to the bit; and without dropout the one that reads its chunks in turn."""

from collections import Counter

import numpy as np
import pytest
import torch
from graph_tape import Tape
from processors import needs_bfloat16

from hpsearch.trainers.contract import TrialSetup
from hpsearch.trainers.shared.stages import Epoch
from hpsearch.trainers.step.cuda_graph import CapturedStep
from hpsearch.trainers.text.batches import DocumentBatches, Documents
from hpsearch.trainers.text.classifier import fit
from hpsearch.trainers.text.classifier import train as trainer
from hpsearch.trainers.text.classifier.fit import ClassifierFit, plan_stages
from hpsearch.trainers.text.config import ClassifierConfig
from hpsearch.trainers.text.networks import chunks

from ..conftest import PARAMS, SETTINGS

pytestmark = pytest.mark.processor

CONTENT = {**SETTINGS, **PARAMS, "bs": 24, "precision": "float32"}


@pytest.fixture
def side_by_side(monkeypatch):
    monkeypatch.setattr(chunks, "pays_on", lambda device: True)


@pytest.fixture
def tape(monkeypatch, side_by_side):
    tape = Tape()
    monkeypatch.setattr(
        fit,
        "CapturedStep",
        lambda step, **options: CapturedStep(step, recorder=tape, **{**options, "warm": 1}),
    )
    monkeypatch.setattr(fit, "RECORDED_STEPS", 0)
    return tape


def train(prepared, *, report=None, checkpoint=None, keep=None, **params):
    records = []
    trainer.train(
        CONTENT,
        params,
        prepared,
        TrialSetup(
            seed=3, device="cpu", report=report or records.append, checkpoint=checkpoint, keep=keep
        ),
    )
    return [(r.stage, r.train_loss, r.valid_loss, r.metrics, r.lrs) for r in records]


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=needs_bfloat16)])
def test_replayed_steps_are_plain_ones(prepared, tape, monkeypatch, precision):
    more = {"precision": precision}
    replayed = train(prepared, **more)
    assert tape.recorded >= 4  # a graph for every stage and bucket
    assert tape.replayed > tape.recorded
    monkeypatch.undo()
    monkeypatch.setattr(chunks, "pays_on", lambda device: True)
    assert train(prepared, **more) == replayed


def test_a_killed_trial_resumes_to_the_same_end(prepared, tape, tmp_path):
    uninterrupted = train(prepared, epochs=2)

    def kill(record):
        if record.epoch == 7:  # between two epochs of the last stage
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(prepared, epochs=2, report=kill, checkpoint=tmp_path)
    assert train(prepared, epochs=2, checkpoint=tmp_path) == uninterrupted


def test_without_dropout_it_is_the_training_that_reads_in_turn(prepared, monkeypatch):
    in_turn = train(prepared, drop_mult=0.0)
    monkeypatch.setattr(chunks, "pays_on", lambda device: True)
    beside = train(prepared, drop_mult=0.0)
    assert [one[0] for one in beside] == ["head", "rnn1", "rnn0", "all", "all"]
    for one, two in zip(in_turn, beside, strict=True):
        assert one[1:3] == pytest.approx(two[1:3], rel=1e-3)
    assert in_turn[0][1] == pytest.approx(beside[0][1], rel=1e-5)


def test_few_steps_are_not_recorded_and_stages_leave_no_graph_behind(prepared, tape, monkeypatch):
    monkeypatch.setattr(fit, "RECORDED_STEPS", 200)
    train(prepared)
    assert (tape.ran, tape.recorded) == (0, 0)


def new_run(prepared, docs, labels, **params):
    """A run over documents of other lengths than the corpus has."""
    config = ClassifierConfig(**{**CONTENT, "seq_len": 4, "max_len": 8, **params})
    folder = prepared.language_models[0].folder
    run = ClassifierFit(config, prepared.texts, folder, seed=0, device="cpu")
    run.train, run.labels = DocumentBatches(docs), torch.from_numpy(labels)
    return run


def test_documents_longer_than_the_longest_bucket_are_read_in_turn(prepared, tape, monkeypatch):
    rng = np.random.default_rng(0)
    lengths = np.concatenate([rng.integers(1, 30, 95), [200]])
    ids = rng.integers(2, 20, lengths.sum()).astype(np.int32)
    docs = Documents(ids, np.cumsum([0, *lengths]))
    run = new_run(prepared, docs, rng.integers(0, 2, 96))
    seen = Counter()
    for name in ("forward", "forward_side_by_side"):
        plain = getattr(run.model, name)

        def spy(tokens, *args, name=name, plain=plain):
            seen[name, len(tokens)] += 1
            return plain(tokens, *args)

        monkeypatch.setattr(run.model, name, spy)
    stage = plan_stages(run.config, run.n_groups)[-1]
    run.start_stage(stage)
    loss, _ = run.train_epoch(Epoch(stage, 0, 1, 1), lambda *_: None)
    assert np.isfinite(loss)
    assert seen["forward", 200] == 1  # 50 chunks
    padded = {n for name, n in seen if name == "forward_side_by_side"}
    assert padded <= {4 * n for n in chunks.BUCKETS}
    assert sum(seen.values()) == 4


@pytest.mark.parametrize(("n", "expected"), [(1, 1), (72, 1), (73, 2), (500, 8), (2880, 40)])
def test_a_batch_is_padded_to_the_next_bucket(n, expected):
    assert chunks.bucket(n, 72) == expected


def test_beyond_the_last_bucket_there_is_none():
    assert chunks.bucket(2881, 72) is None
