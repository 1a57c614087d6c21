"""What one trial of `imdb-clas --preset quick` costs and reaches at other sizes of the preset.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_quick.py 200/300/300 160/400/300

each is last tokens/training reviews/held-out reviews, 0 tokens for whole reviews. Seconds are the
processor's.
With ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 as on a processor
without AVX-512. Each size takes half a minute to two.
"""

import argparse
import os
import tempfile
import time

os.environ.setdefault("HPSEARCH_HOME", tempfile.mkdtemp(prefix="bench-quick-"))

import torch

from hpsearch.trainers.contract import PrepareSetup, TrialSetup
from hpsearch.trainers.text.classifier import train as train_classifier

PARAMS = {
    "lr": 0.01335, "lr_decay": 1.904, "drop_mult": 0.447, "moms": "0.8/0.7", "wd": 0.00077,
    "bs": 21, "pct_start": 0.387, "unfreeze": False, "epochs": 1,
}  # fmt: skip
SEED = 2


def measure(tokens, train, valid):
    settings = {
        "max_tokens": tokens, "train_reviews": train, "valid_reviews": valid,
        "language_model": {"pretrained": "imdb-unsup", "epochs": 0},
    }  # fmt: skip
    data = train_classifier.prepare(
        {"source": "imdb"}, settings, PrepareSetup(data_path=None, device="cpu")
    )
    records, began = [], time.process_time()
    train_classifier.train(
        settings, PARAMS, data, TrialSetup(seed=SEED, device="cpu", report=records.append)
    )
    seconds = time.process_time() - began
    sizes = [int(data.texts.parts[part].lengths.sum()) for part in ("train", "valid")]
    print(
        f"{tokens}/{train}/{valid}: {sizes[0]:,} and {sizes[1]:,} tokens, {data.precision}, "
        f"{seconds:.1f} processor s, accuracy {records[-1].metrics['accuracy']:.3f}",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="+")
    torch.set_num_threads(1)
    for size in parser.parse_args().sizes:
        measure(*map(int, size.split("/")))
