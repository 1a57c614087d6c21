"""Training never waits for the device within an epoch.

On the meta device tensors have shapes and no values: whatever asks for a value fails, as it would
wait on a GPU. A whole epoch must reach its last step there; only then is the mean loss asked for.
"""

import numpy as np
import pytest
import torch

from hpsearch.text import classifier_run, language_model_run
from hpsearch.text.batches import Documents
from hpsearch.text.classifier_run import ClassifierRun
from hpsearch.text.config import ClassifierConfig, LanguageModelConfig
from hpsearch.text.language_model import new_language_model
from hpsearch.text.language_model_run import LanguageModelRun
from hpsearch.training.fields import parse_config
from hpsearch.training.param_groups import make_adam
from hpsearch.training.stages import Epoch

ASKS = r"item\(\) cannot be called on meta tensors"


class MetaMasks:
    """Masks without a generator: the meta device has none."""

    def __init__(self, seed, device):
        pass

    def draw(self, shape, p, like):
        return torch.empty(shape, dtype=like.dtype, device="meta")


def make_plain_adam(groups, wd):
    optimiser = make_adam(groups, wd)
    for group in optimiser.param_groups:
        group["fused"] = False  # of which there is none for the meta device
    return optimiser


@pytest.fixture(autouse=True)
def meta(monkeypatch):
    for module in (classifier_run, language_model_run):
        monkeypatch.setattr(module, "Masks", MetaMasks)
        monkeypatch.setattr(module, "make_adam", make_plain_adam)


def steps_before_a_value_is_asked_for(run, stages):
    run.start_stage(stages[-1])
    seen = []
    with pytest.raises(RuntimeError, match=ASKS):
        run.train_epoch(Epoch(stages[-1], 0, 1, 1), lambda *done: seen.append(done[0]))
    return seen


def test_language_model():
    config = LanguageModelConfig(emb=8, hidden=12, layers=2, bs=4, seq_len=5, epochs=1)
    docs = Documents(np.arange(200, dtype=np.int32) % 40, np.array([0, 60, 200]))
    run = LanguageModelRun(
        config, new_language_model(config, 40), docs, device="meta", precision="float32"
    )
    stages = language_model_run.plan_stages(config, len(run.groups))
    assert steps_before_a_value_is_asked_for(run, stages) == list(range(1, 11))


def test_classifier(prepared):
    config = parse_config(
        ClassifierConfig, {"language_model": {}, "bs": 16, "seq_len": 8, "precision": "float32"}
    )
    folder = prepared.language_models[0].folder
    run = ClassifierRun(config, prepared.texts, folder, seed=0, device="meta")
    stages = classifier_run.plan_stages(config, run.n_groups)
    assert steps_before_a_value_is_asked_for(run, stages) == list(range(1, 11))
