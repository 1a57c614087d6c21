"""A table of 10 million rows and 20 columns: how long it takes to train on, and in how much memory.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_large_table.py [--rows 10000000]

Nine categorical columns (texts of 2 to 2,000 values and whole numbers), ten continuous ones, some
with gaps and long tails, and a target of two classes, made from a seed as Parquet. A process of its
own reads, prepares and trains one epoch of the network at batch size 512. Exits with 1 if its
resident memory exceeds 8 GB at any time, or if the network does not learn.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hpsearch.trainers.contract import PrepareSetup, TrialSetup

LIMIT = 8.0  # GB
GROUP = 500_000
N_TEXTS = (2, 5, 20, 100, 300, 2000)


def write(path, n):
    """The table, a row group at a time."""
    rng, writer = np.random.default_rng(0), None
    for start in range(0, n, GROUP):
        size = min(GROUP, n - start)
        columns, signal = {}, np.zeros(size)
        for i, n_values in enumerate(N_TEXTS):
            codes = (rng.random(size) ** 2 * n_values).astype(np.int32)
            words = pa.array([f"value {k}" for k in range(n_values)])
            columns[f"text{i}"] = pa.DictionaryArray.from_arrays(codes, words).cast(pa.string())
            signal += np.sin(codes)
        for i in range(3):
            codes = rng.integers(0, 12, size)
            columns[f"whole{i}"] = codes
            signal += codes == i
        for i in range(10):
            numbers = rng.normal(size=size)
            signal += numbers * (i < 3)
            numbers = np.exp(2 * numbers) if i % 3 == 0 else numbers
            gaps = rng.random(size) < 0.05 * (i % 2)
            columns[f"number{i}"] = pa.array(numbers, mask=gaps)
        columns["left"] = np.where(signal + rng.logistic(size=size) > 2, "yes", "no")
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


def resident():
    """(now, at most so far), GB."""
    now = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return now / 1e9, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def use(path):
    """Train on the table; told stage by stage."""
    from hpsearch.trainers.tabular import train as trainer

    began, last = time.perf_counter(), 0.0

    def told(stage):
        nonlocal last
        seconds = time.perf_counter() - began
        now, most = resident()
        print(
            f"{stage}: {seconds - last:.0f} s; resident {now:.2f} GB, at most {most:.2f}",
            flush=True,
        )
        last = seconds

    data = {"path": str(path), "target": "left", "split": {"share": 0.1}}
    for stage in ("read, encode, keep", "read again from the cache"):
        prepared = trainer.prepare(data, {}, PrepareSetup(data_path=None, device="cpu", say=print))
        told(stage)
    result = trainer.train(
        {}, {"bs": 512}, prepared, TrialSetup(seed=0, device="cpu", report=lambda _: None)
    )
    told("train one epoch and measure")
    rate = len(prepared.parts["train"]) / result.seconds
    common = np.bincount(prepared.parts["valid"].targets).max() / len(prepared.parts["valid"])
    print(prepared.summary)
    print(
        f"{rate:,.0f} rows/s; accuracy {result.metrics['accuracy']:.4f} (always one: {common:.4f})"
    )
    sys.exit(bool(resident()[1] > LIMIT or result.metrics["accuracy"] < common + 0.1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--use", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.use:
        use(asked.use)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        began = time.perf_counter()
        write(path, asked.rows)
        size = path.stat().st_size / 1e9
        print(f"{asked.rows:,} rows written in {time.perf_counter() - began:.0f} s: {size:.2f} GB")
        command = [sys.executable, __file__, "--use", path]
        environment = {**os.environ, "HPSEARCH_HOME": str(Path(folder) / "home")}
        sys.exit(subprocess.run(command, env=environment, check=False).returncode)


if __name__ == "__main__":
    main()
