"""A GPU without room, by a stand-in: trials fail alone, and what they had in memory is given back.

The stand-in's blocks are held by the trainer's frames, as tensors are, and it has room for one
training: what a failed one still holds is not there for the next.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from calls import run
from optuna.distributions import IntDistribution
from optuna.trial import TrialState
from tiny_table import write_table

from hpsearch.cli import app
from hpsearch.search.engines import WorkerPool
from hpsearch.search.job import Limits
from hpsearch.store import Store
from hpsearch.trainers.contract import EpochRecord, TrainResult

run_module = sys.modules["hpsearch.search.run"]
OUT = "CUDA out of memory. Tried to allocate 2.00 GiB.\nSee documentation for Memory Management"
ROOM = 24


@dataclass
class Gpu:
    used: int = 0
    emptied: int = 0
    fractions: list = field(default_factory=list)
    stacks: list = field(default_factory=list)

    def allocate(self, size):
        if self.used + size > ROOM:
            raise torch.OutOfMemoryError(OUT)
        return Block(self, size)

    def empty_cache(self):
        self.emptied += 1


class Block:
    def __init__(self, gpu, size):
        self.gpu, self.size = gpu, size
        gpu.used += size

    def __del__(self):
        self.gpu.used -= self.size


class SmallGpuTrainer:
    """Takes `bs` of the GPU for its model in the first epoch, and a third more in the second."""

    __name__ = "small_gpu_trainer"
    KEEPS_BEST = False
    SPEED = ASSESS = train_side_by_side = lr_test = missing_pretrained = None

    def __init__(self, gpu, prepared):
        self.gpu, self.prepared = gpu, prepared

    def prepare(self, data, settings, setup):
        return self.prepared

    def train(self, settings, params, data, setup):
        assert setup.device == "cuda:0"
        model = [self.gpu.allocate(params["bs"])]
        for epoch in (1, 2):
            model.append(self.gpu.allocate(params["bs"] // 3 * (epoch - 1)))
            setup.report(EpochRecord("main", epoch, 2, 1.0, 0.5, {"score": 0.5}, (0.1,), 0.0))
        return TrainResult({"score": params["x"]}, 2, 0.5)


class StackTrainer(SmallGpuTrainer):
    """As the tabular one: several at a time."""

    def train_side_by_side(self, settings, members, data):
        self.gpu.stacks.append([member.params["bs"] for member in members])
        models = []
        for place, member in enumerate(members):
            models.append(self.gpu.allocate(member.params["bs"]))
            record = EpochRecord("main", 1, 1, 1.0, 0.5, {"score": 0.5}, (0.1,), 0.0)
            member.setup.report(record)
            yield place, TrainResult({"score": member.params["x"]}, 1, 0.5)


@pytest.fixture
def kind():
    return "sqlite"


@pytest.fixture
def gpu(monkeypatch):
    gpu = Gpu()
    monkeypatch.setattr(torch.cuda, "empty_cache", gpu.empty_cache)
    total = SimpleNamespace(total_memory=16_000_000_000)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: total)
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda *one: gpu.fractions.append(one)
    )
    monkeypatch.setattr(run_module, "choose_pool", lambda *_: WorkerPool(1, ("cuda:0",)))
    return gpu


def study_of(spec, gpu, kind):
    import hps_fake_trainer

    trainer = kind(gpu, hps_fake_trainer.Prepared("here", "0" * 64))

    class Spec(type(spec)):
        def trainer_module(self):
            return trainer

    space = {**spec.preset.distributions, "bs": IntDistribution(6, 30)}
    defaults = {**spec.preset.defaults, "bs": 21}
    preset = replace(spec.preset, distributions=space, defaults=defaults)
    return Spec(preset, search=spec.search)


def test_a_trial_without_room_fails_and_leaves_the_next_its_memory(spec, storage, console, gpu):
    spec = study_of(spec, gpu, SmallGpuTrainer)
    study = run(spec, trials=8, search={"design_share": 1}, storage=storage, console=console)
    fits = [trial.params["bs"] + trial.params["bs"] // 3 <= ROOM for trial in study.trials]
    assert {*fits} == {True, False}
    assert [trial.state == TrialState.COMPLETE for trial in study.trials] == fits
    reasons = {trial.user_attrs.get("hps_failure") for trial in study.trials}
    assert reasons == {None, "out of memory: CUDA out of memory. Tried to allocate 2.00 GiB."}
    assert gpu.used == 0
    assert gpu.emptied == fits.count(False)


def test_half_the_batch_is_tried_where_it_was_asked_for(spec, storage, console, gpu):
    spec = study_of(spec, gpu, SmallGpuTrainer)
    limits = Limits(halve_batch=True, memory=4_000_000_000)
    study = run(
        spec, trials=6, limits=limits, search={"design_share": 1}, storage=storage, console=console
    )
    large = [trial.params["bs"] + trial.params["bs"] // 3 > ROOM for trial in study.trials]
    assert any(large)
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
    assert [trial.user_attrs.get("hps_bs") for trial in study.trials] == [
        trial.params["bs"] // 2 if one else None
        for trial, one in zip(study.trials, large, strict=True)
    ]
    assert gpu.fractions == [(0.25, 0), (1.0, 0)]


def test_members_of_a_stack_without_room_train_alone(spec, storage, console, gpu):
    spec = study_of(spec, gpu, StackTrainer)
    study = run(spec, trials=6, search={"design_share": 1}, storage=storage, console=console)
    assert len(gpu.stacks[0]) == 6
    fits = [trial.params["bs"] + trial.params["bs"] // 3 <= ROOM for trial in study.trials]
    states = [trial.state == TrialState.COMPLETE for trial in study.trials]
    assert states[1:] == fits[1:]  # the first had its result before the second had no room
    with Store.open(storage) as store:
        (event,) = [one for one in store.events() if one["kind"] == "trained-alone"]
    assert "could not train together: out of memory: CUDA out of memory" in event["message"]
    assert gpu.used == 0


@pytest.mark.parametrize("text", [OUT, "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling x"])
def test_train_says_what_to_do_where_a_gpu_has_no_room(tmp_path, monkeypatch, capsys, text):
    def train(*_, **__):
        raise torch.OutOfMemoryError(text)

    write_table(tmp_path)
    monkeypatch.setattr("hpsearch.trainers.tabular.trainer.train", train)
    arguments = ["train", str(tmp_path / "study.toml"), "--output", str(tmp_path / "model")]
    monkeypatch.setattr(sys, "argv", ["hpsearch", *arguments])
    with pytest.raises(SystemExit) as exit_of:
        app.main()
    assert exit_of.value.code == 1
    assert " ".join(capsys.readouterr().err.split()) == (
        "Error: The GPU has not enough memory: end other programs that use it, train with a "
        "smaller batch (--set bs=16), or compute without it (HPSEARCH_DEVICE=cpu)."
    )


def test_a_prediction_takes_as_many_texts_at_a_time_as_there_is_room_for(monkeypatch):
    from hpsearch.trainers.text.batches import Documents
    from hpsearch.trainers.text.classifier import saved
    from hpsearch.trainers.text.config import ClassifierConfig
    from hpsearch.trainers.text.networks.awd_lstm import AWDLSTM, Dropouts

    encoder = AWDLSTM(30, 8, 8, 1, Dropouts(0, 0, 0, 0, 0))
    model = saved.build_classifier(ClassifierConfig(), encoder, 2)
    generator = np.random.default_rng(0)
    docs = Documents(generator.integers(2, 30, size=400), np.arange(0, 401, 10))
    expected = saved.predict_documents(model, docs, "cpu", torch.float32)
    sizes, forward = [], type(model).forward

    def small(self, tokens, *rest):
        sizes.append(tokens.shape[1])
        if tokens.shape[1] > 7:
            raise torch.OutOfMemoryError(OUT)
        return forward(self, tokens, *rest)

    monkeypatch.setattr(type(model), "forward", small)
    found = saved.predict_documents(model, docs, "cpu", torch.float32)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert sizes[0] > 7
