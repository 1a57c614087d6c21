"""Training never waits for the device within an epoch.

On the meta device tensors have shapes and no values: whatever asks for a value fails, as it would
wait on a GPU. A whole epoch must reach its last step there; only then is the mean loss asked for.
"""

import numpy as np
import pytest
import torch

from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.shared.stages import Epoch
from hpsearch.trainers.step import optimiser
from hpsearch.trainers.text.batches import Documents
from hpsearch.trainers.text.classifier import fit
from hpsearch.trainers.text.classifier.fit import ClassifierFit
from hpsearch.trainers.text.config import ClassifierConfig, LanguageModelConfig
from hpsearch.trainers.text.language_model import fit as language_model_fit
from hpsearch.trainers.text.language_model.files import new_language_model
from hpsearch.trainers.text.language_model.fit import LanguageModelFit
from hpsearch.trainers.text.networks import chunks

ASKS = r"item\(\) cannot be called on meta tensors"


class MetaMasks:
    """Masks without a generator: the meta device has none."""

    generator = None

    def __init__(self, seed, device):
        pass

    def restart(self, seed):
        pass

    def draw(self, shape, p, like):
        return torch.empty(shape, dtype=like.dtype, device="meta")


@pytest.fixture(autouse=True)
def meta(monkeypatch):
    for module in (fit, language_model_fit):
        monkeypatch.setattr(module, "Masks", MetaMasks)
    monkeypatch.setattr(optimiser, "_update", lambda *_: None)


def steps_before_a_value_is_asked_for(run, stages):
    run.start_stage(stages[-1])
    seen = []
    with pytest.raises(RuntimeError, match=ASKS):
        run.train_epoch(Epoch(stages[-1], 0, 1, 1), lambda *done: seen.append(done[0]))
    return seen


def test_language_model():
    config = LanguageModelConfig(emb=8, hidden=12, layers=2, bs=4, seq_len=5, epochs=1)
    docs = Documents(np.arange(200, dtype=np.int32) % 40, np.array([0, 60, 200]))
    run = LanguageModelFit(
        config, new_language_model(config, 40), docs, device="meta", precision="float32"
    )
    stages = language_model_fit.plan_stages(config, len(run.groups))
    assert steps_before_a_value_is_asked_for(run, stages) == list(range(1, 11))


@pytest.mark.parametrize("side_by_side", [False, True])
def test_classifier(prepared, monkeypatch, side_by_side):
    monkeypatch.setattr(chunks, "pays_on", lambda device: side_by_side)
    config = parse_config(
        ClassifierConfig, {"language_model": {}, "bs": 16, "seq_len": 8, "precision": "float32"}
    )
    folder = prepared.language_models[0].folder
    run = ClassifierFit(config, prepared.texts, folder, seed=0, device="meta")
    stages = fit.plan_stages(config, run.n_groups)
    assert steps_before_a_value_is_asked_for(run, stages) == list(range(1, 11))
