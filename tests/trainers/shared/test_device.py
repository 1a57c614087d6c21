"""What is asked of CUDA's libraries before they start."""

import os
import subprocess
import sys

import pytest
import torch

from hpsearch.trainers.shared.device import resolve_precision

ASKED = """
import os
import hpsearch.trainers.text.language_model.train
import torch
cudnn = torch.backends.cudnn
print(os.environ.get("CUBLAS_WORKSPACE_CONFIG"), cudnn.deterministic, cudnn.allow_tf32)
"""


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({}, ":4096:8 True False"),
        ({"CUBLAS_WORKSPACE_CONFIG": ":16:8"}, ":16:8 True False"),
        ({"HPSEARCH_DETERMINISTIC": "0"}, "None False False"),
    ],
)
def test_one_result_for_a_seed_unless_it_is_switched_off(given, asked):
    kept = {k: v for k, v in os.environ.items() if k != "CUBLAS_WORKSPACE_CONFIG"}
    command = [sys.executable, "-c", ASKED]
    found = subprocess.run(command, env=kept | given, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == asked


@pytest.mark.parametrize(
    ("native", "cudnn", "dtype"),
    [
        (True, 91300, torch.bfloat16),
        (True, 91002, torch.float32),
        (False, 91500, torch.float32),
        (True, None, torch.float32),
    ],
)
def test_a_gpu_computes_in_bfloat16_where_it_and_its_lstm_can(monkeypatch, native, cudnn, dtype):
    def supported(including_emulation=True):
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: cudnn)
    assert resolve_precision("auto", "cuda:1") == dtype
