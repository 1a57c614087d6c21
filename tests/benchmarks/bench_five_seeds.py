"""Is the classifier as accurate as fastai 2.8.12's, and in bfloat16 as accurate as in float32?

    PYTHONPATH=.venv/lib/python3.11/site-packages:/tmp/peers/lib/python3.11/site-packages:. \
        HPSEARCH_DATA=../shared/data OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive \
        /tmp/peers/bin/python tests/benchmarks/bench_five_seeds.py

(bench_fastai_parity.py says how to make /tmp/peers.) The small language model that hpsearch ships,
trained on unlabelled reviews, gives all classifiers their encoder. The lesson's recipe (2e-2 for
the head, 1e-2, 5e-3, then 1e-3 twice, a factor of 2.6 between groups, drop_mult .5) with `--epochs`
epochs a stage, twice as many in the last; 1,000 training and 1,000 held-out IMDb reviews, seeds 0
to 4. Exits with 1 if our mean accuracy is more than one standard error of the difference below
fastai's, or bfloat16's below float32's.
"""

import argparse
import math
import statistics
import sys
import time
from pathlib import Path

import fastai_peer as peer
import numpy as np
import torch
from fastai_cases import Reviews, classifier_config, fastai_classifier

from hpsearch.trainers.contract import TrialSetup
from hpsearch.trainers.shared.device import keep_freed_memory
from hpsearch.trainers.text.classifier.fit import plan_stages
from hpsearch.trainers.text.classifier.train import train_classifier
from hpsearch.trainers.text.language_model.files import load_language_model
from hpsearch.trainers.text.language_model.pretrained import SHIPPED

N_TRAIN, N_VALID = 1000, 1000


def ours(texts, folder, config, seed):
    result = train_classifier(
        config, texts, [folder], TrialSetup(seed=seed, device="cpu", report=lambda _: None)
    )
    return result.metrics["accuracy"]


def theirs(reviews, texts, saved, config, seed):
    """fastai's Learner through the same stages."""
    np.random.seed(seed)  # its loader draws from here
    sizes = saved.config.sizes
    classifier = fastai_classifier(reviews, saved.model, sizes, config.drop_mult, seed)
    (train, valid) = (
        peer.documents_loader(texts.parts[name], texts.labels[name], config.bs, shuffle=shuffle)
        for name, shuffle in (("train", True), ("valid", False))
    )
    learner = peer.learner(classifier, train, valid, peer.awd_lstm_clas_split)
    n_groups = sizes[2] + 2
    for stage in plan_stages(config, n_groups):
        highest = stage.lrs[-1]
        rates = slice(highest / config.lr_decay ** (n_groups - 1), highest)
        peer.fit(learner, rates, stage.freeze_to, stage.epochs)
    with learner.no_bar():
        probabilities, targets = learner.get_preds(dl=valid)
    return (probabilities.argmax(1) == targets).float().mean().item()


def verdict(name, high, low):
    """Whether the mean of `high` is not below that of `low` by more than one standard error."""
    difference = statistics.mean(high) - statistics.mean(low)
    error = math.sqrt((statistics.variance(high) + statistics.variance(low)) / len(high))
    good = difference >= -error
    print(f"{name}: {difference:+.4f}, standard error {error:.4f}: {'yes' if good else 'NO'}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=1, help="epochs a stage")
    parser.add_argument("--language-model", type=Path, default=SHIPPED / "imdb-unsup")
    args = parser.parse_args()
    keep_freed_memory()
    saved = load_language_model(args.language_model)
    reviews = Reviews(N_TRAIN + N_VALID, vocab=saved.vocab)
    texts = reviews.split(np.arange(N_TRAIN), np.arange(N_TRAIN, N_TRAIN + N_VALID))
    results = {"fastai": [], "ours, float32": [], "ours, bfloat16": []}
    for seed in range(args.seeds):
        for name, kept in results.items():
            started = time.perf_counter()
            if name == "fastai":
                config = classifier_config("float32", epochs=args.epochs)
                kept.append(theirs(reviews, texts, saved, config, seed))
            else:
                config = classifier_config(name.split()[-1], epochs=args.epochs)
                kept.append(ours(texts, args.language_model, config, seed))
            seconds = time.perf_counter() - started
            print(f"seed {seed}, {name:14} accuracy {kept[-1]:.4f} in {seconds:.0f} s", flush=True)
    for name, kept in results.items():
        error = statistics.stdev(kept) / math.sqrt(len(kept))
        print(f"{name:14} mean accuracy {statistics.mean(kept):.4f}, standard error {error:.4f}")
    held = [
        verdict("ours above fastai", results["ours, float32"], results["fastai"]),
        verdict("bfloat16 above fastai", results["ours, bfloat16"], results["fastai"]),
        verdict("bfloat16 above float32", results["ours, bfloat16"], results["ours, float32"]),
    ]
    print(f"{torch.get_num_threads()} thread(s)")
    sys.exit(not all(held))


if __name__ == "__main__":
    main()
