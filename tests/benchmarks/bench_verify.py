"""Whole verifications, from the proposing study to the verdict, over and over on a known truth.

    OMP_NUM_THREADS=1 .venv/bin/python tests/benchmarks/bench_verify.py [--studies 60]

The trainer is the tests' formula with noise that no two runs share. In every study 40 trials
propose; then three contrasts are verified: x = 0.3 against 0.8, a large gain, and x = 0.3 against
0.45, a small one, as planned; and depth 2 against 6, worth nothing, in 12 pairs. Prints how often
each was confirmed, refuted and left open, the mean number of pairs, and how often the interval held
the truth. Exits with 1 if more than one in ten of the contrasts without a gain is confirmed (the
test's level is one in twenty), or intervals cover less than 85%.
"""

from __future__ import annotations

import argparse
import collections
import io
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))
from calls import run, verify
from fake_study import TRAINER, FakePreset, FakeSpec

from hpsearch.errors import InputError

NOISE = 0.03
CONTRASTS = {
    "large gain": ({"param": "x", "value": 0.3, "against": 0.8}, 0.25),
    "small gain": ({"param": "x", "value": 0.3, "against": 0.45}, 0.0225),
    "no gain": ({"param": "depth", "value": 2, "against": 6, "pairs": 12}, 0.0),
}


def one_study(folder, seed):
    """The verifications of one study: by contrast."""
    settings = {"epochs": 1, "journal": str(folder / "journal"), "noise": NOISE}
    spec = FakeSpec(FakePreset(settings=settings), name=f"s{seed}")
    quiet = {"storage": f"sqlite:///{folder / 'store.db'}", "console": Console(file=io.StringIO())}
    run(spec, trials=40, seed=seed, **quiet)
    found = {}
    for name, (contrast, _) in CONTRASTS.items():
        try:
            found[name] = verify(spec, **contrast, **quiet)
        except InputError:  # it would take more than a hundred pairs
            found[name] = None
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--studies", type=int, default=60)
    args = parser.parse_args()
    found = collections.defaultdict(list)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as text:
        folder = Path(text)
        (folder / "hps_fake_trainer.py").write_text(TRAINER)
        sys.path.insert(0, text)
        os.environ |= {"HPSEARCH_HOME": f"{text}/home", "HPSEARCH_DEVICE": "cpu"}
        for seed in range(args.studies):
            for name, done in one_study(folder, seed).items():
                found[name].append(done)
    failed = False
    for name, (_, truth) in CONTRASTS.items():
        made = [one for one in found[name] if one is not None]
        if not made:
            continue
        verdicts = collections.Counter(one.verdict for one in made)
        covered = np.mean([one.low <= truth <= one.high for one in made])
        pairs = np.mean([one.plan.pairs for one in made])
        planned = np.mean([one.plan.power for one in made])
        print(
            f"{name}: {dict(verdicts)}, {len(found[name]) - len(made)} not planned, {pairs:.1f} "
            f"pairs, planned power {planned:.2f}, 90% intervals cover {covered:.0%}"
        )
        failed |= covered < 0.85 or (truth == 0 and verdicts["confirmed"] > 0.1 * len(made))
    sys.exit(failed)


if __name__ == "__main__":
    main()
