"""A language model trained in replayed steps is the one that plain steps make, to the bit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from graph_tape import Tape
from processors import needs_bfloat16

from hpsearch.trainers.contract import TrialSetup
from hpsearch.trainers.shared.lr_finder import restored
from hpsearch.trainers.step.cuda_graph import CapturedStep
from hpsearch.trainers.text.batches import Documents
from hpsearch.trainers.text.config import LanguageModelConfig
from hpsearch.trainers.text.language_model import files, fit
from hpsearch.trainers.text.language_model.files import new_language_model
from hpsearch.trainers.text.language_model.fit import (
    LanguageModelFit,
    plan_stages,
    train_language_model,
)

pytestmark = pytest.mark.processor

CONFIG = LanguageModelConfig(
    emb=8, hidden=12, layers=2, bs=4, seq_len=5, frozen_epochs=1, epochs=2, lr=0.02, lr_decay=2.6,
    drop_mult=1.0, clip=0.2,
)  # fmt: skip


def texts(n, seed):
    ids = np.random.default_rng(seed).integers(2, 40, n).astype(np.int32)
    return Documents(ids, np.array([0, n // 3, n]))


READ, HELD_OUT = texts(4 * 5 * 9 + 12, 0), texts(4 * 5 * 6 + 7, 1)  # both with a shorter last batch


@pytest.fixture
def tape(monkeypatch):
    tape = Tape()

    def captured(step, **options):
        return CapturedStep(step, recorder=tape, **options)

    monkeypatch.setattr(fit, "CapturedStep", captured)
    monkeypatch.setattr(files, "CapturedStep", captured)
    return tape


def train(config=CONFIG, precision="float32", **options):
    records = []
    model = train_language_model(
        config,
        new_language_model(config, 40),
        READ,
        HELD_OUT,
        TrialSetup(seed=0, device="cpu", report=records.append, **options),
        precision=precision,
    )
    facts = [(r.train_loss, r.valid_loss, r.metrics, r.lrs) for r in records]
    return [p.detach() for p in model.parameters()], facts


@pytest.fixture(scope="module")
def plain():
    return train()


def same(one, two):
    return one[1] == two[1] and all(map(torch.equal, one[0], two[0]))


def test_training_and_validation(plain, tape):
    assert same(train(), plain)
    # Two stages and three validations were each recorded once, after two ordinary steps.
    assert tape.recorded == 2 + 3
    assert tape.replayed == (9 - 2) + (2 * 9 - 2) + 3 * (6 - 2)
    assert len({lrs for *_, lrs in plain[1]}) == 3


@needs_bfloat16
def test_in_bfloat16_and_without_clipping(tape, monkeypatch):
    config = replace(CONFIG, clip=0.0, frozen_epochs=0)
    found = train(config, "bfloat16")
    assert tape.replayed
    monkeypatch.undo()
    assert same(found, train(config, "bfloat16"))


def test_a_training_that_was_interrupted_goes_on(plain, tape, tmp_path):
    class KilledError(Exception):
        pass

    def report(record):
        if record.epoch == 2:
            raise KilledError

    with pytest.raises(KilledError):
        train_language_model(
            CONFIG,
            new_language_model(CONFIG, 40),
            READ,
            HELD_OUT,
            TrialSetup(seed=0, device="cpu", report=report, checkpoint=tmp_path),
            precision="float32",
        )
    assert same(train(checkpoint=tmp_path), plain)


def test_a_range_test_sees_its_rates_and_leaves_no_trace(tape, monkeypatch):
    def losses():
        run = LanguageModelFit(
            CONFIG, new_language_model(CONFIG, 40), READ, device="cpu", precision="float32"
        )
        run.start_stage(plan_stages(CONFIG, len(run.groups))[-1])
        run.start_stream(3)
        x, y = (torch.arange(20).view(5, 4) + i for i in (2, 3))
        seen = []
        for _ in range(2):
            with restored([run.model], [run.optimiser], [run.masks.generator]):
                for i in range(6):
                    run.lrs = (10.0 ** (i - 5),) * len(run.groups)
                    seen.append(run.step(x, y, 0).item())
                run.start_stream(3)
        return seen

    replayed = losses()
    assert tape.replayed
    monkeypatch.undo()
    assert losses() == replayed
    assert replayed[:6] == replayed[6:]
    assert len(set(replayed)) == 6
