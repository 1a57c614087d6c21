"""bfloat16 is refused where the processor would emulate it, before anything is read."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from tiny_corpus import CLASSIFIER_TOML

from hpsearch.errors import InputError
from hpsearch.trainers.contract import PrepareSetup, TrialSetup
from hpsearch.trainers.shared import device
from hpsearch.trainers.text.classifier import saved as saved_classifier
from hpsearch.trainers.text.classifier import train
from hpsearch.trainers.text.classifier.saved import load_classifier
from hpsearch.trainers.text.language_model import train as language_model_train

from .conftest import PARAMS, SETTINGS

pytestmark = pytest.mark.processor

WITHOUT_AVX512 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}


@pytest.fixture
def _without_bfloat16(monkeypatch):
    monkeypatch.setattr(device, "multiplies_bfloat16", lambda: False)


@pytest.mark.parametrize("trainer", [train, language_model_train])
@pytest.mark.usefixtures("_without_bfloat16")
def test_both_trainers_refuse_it_before_they_look_for_the_texts(trainer):
    def prepare(precision):
        trainer.prepare(
            {"path": "nowhere.csv"},
            {"precision": precision},
            PrepareSetup(data_path=None, device="cpu"),
        )

    with pytest.raises(InputError, match='"bfloat16" needs a GPU or a processor'):
        prepare("bfloat16")
    with pytest.raises(InputError, match=r"nowhere\.csv"):
        prepare("auto")


def test_a_command_says_so_in_one_sentence_without_avx512(tmp_path):
    text = CLASSIFIER_TOML.replace("[settings]\n", '[settings]\nprecision = "bfloat16"\n', 1)
    (tmp_path / "study.toml").write_text(text)
    command = [sys.executable, "-m", "hpsearch", "run", "study.toml", "--trials", "1"]
    environment = os.environ | WITHOUT_AVX512 | {"HPSEARCH_HOME": str(tmp_path / "home")}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.startswith('Error: precision = "bfloat16" needs')
    assert len(run.stderr.splitlines()) == 1


def test_what_was_trained_in_it_elsewhere_still_predicts(prepared, tmp_path, monkeypatch):
    train.train(
        SETTINGS,
        PARAMS | {"precision": "float32"},
        prepared,
        TrialSetup(seed=0, device="cpu", report=lambda _: None, keep=tmp_path),
    )
    saved = load_classifier(tmp_path)
    low = replace(saved, config=replace(saved.config, precision="bfloat16"))
    for module in (device, saved_classifier):
        monkeypatch.setattr(module, "multiplies_bfloat16", lambda: False)
    docs = prepared.texts.parts["valid"]
    assert np.array_equal(low.predict_documents(docs), saved.predict_documents(docs))
