"""Resident memory over 50 successive trials in one process, of ratings and of a table.

    HPSEARCH_DATA=../shared/data OMP_NUM_THREADS=1 python tests/benchmarks/bench_memory.py

Trials of the studies `movielens` and `adult` with their defaults (models of other sizes would need
other memory), one seed after the other, two epochs each, so that checkpoints are written. Exits
with 1 if the memory after any trial from the 11th on is more than 5% above that after the 10th.
"""

import os
import sys
import tempfile
from pathlib import Path

from hpsearch.study.spec import load_spec
from hpsearch.trainers.contract import PrepareSetup, TrialSetup

TRIALS, WARM, ALLOWED = 50, 10, 1.05


def resident():
    """MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def memory_of(name):
    """MB after each trial."""
    spec = load_spec(name)
    preset, trainer = spec.resolve("cpu"), spec.trainer_module()
    prepared = trainer.prepare(
        spec.data, preset.settings, PrepareSetup(data_path=None, device="cpu", say=print),
    )  # fmt: skip
    params = {**preset.defaults, "epochs": 2}
    found = []
    for seed in range(TRIALS):
        with tempfile.TemporaryDirectory() as folder:
            trainer.train(
                preset.settings,
                params,
                prepared,
                TrialSetup(seed=seed, device="cpu", report=lambda _: None, checkpoint=Path(folder)),
            )
        found.append(resident())
    return found


def main():
    held = True
    for name in ("movielens", "adult"):
        found = memory_of(name)
        warm = found[WARM - 1]
        held &= max(found[WARM:]) <= ALLOWED * warm
        print(
            f"{name}: {found[0]:.0f} MB after the first trial, {warm:.0f} after the {WARM}th, "
            f"{found[-1]:.0f} after the {TRIALS}th, {max(found):.0f} at most: "
            f"{found[-1] / warm - 1:+.1%}"
        )
    sys.exit(not held)


if __name__ == "__main__":
    main()
