"""Search overhead on a store: instant trials through several workers, beside plain Optuna's.

    python tests/benchmarks/bench_store.py throughput [--trials 2000 --workers 8]     # SQLite
    python tests/benchmarks/bench_store.py soak [--trials 20000 --workers 4]          # PostgreSQL

Both draw the same space with the same sampler (random) and report one value a trial. hpsearch runs
its own workers; plain Optuna runs as many processes that call `Study.optimize` on the same kind of
database, as its manual says. Trials are timed by their stamps in the database, from the first start
to the last end, so that neither pays for starting Python. Exit status 1: an error of a locked
database, a lower throughput than plain Optuna's, or, in the soak, a time per trial over the last
tenth above 1.5 times that over the first tenth, or a worker's memory that grew by more than a tenth
over the last half. Beside the time stands what the workers took of the processors for a trial, for
a machine that others use as well. The soak takes its PostgreSQL from HPSEARCH_TEST_POSTGRES.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

import numpy as np
import optuna
import sqlalchemy as sa
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent))
os.environ["HPSEARCH_DEVICE"] = "cpu"

from calls import run
from instant_trainer import InstantSpec

from hpsearch.store.tables.optuna_tables import TRIALS

POSTGRES = os.environ.get("HPSEARCH_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432")
PLAIN = """
import sys
import optuna
optuna.logging.set_verbosity(optuna.logging.WARNING)
sampler = optuna.samplers.RandomSampler(seed=int(sys.argv[3]))
study = optuna.load_study(study_name="plain", storage=sys.argv[1], sampler=sampler,
                          pruner=optuna.pruners.NopPruner())
def objective(trial):
    value = trial.suggest_float("x", -1, 1) ** 2 + trial.suggest_float("lr", 1e-4, 1e-1, log=True)
    value += trial.suggest_int("depth", 1, 8)
    trial.suggest_categorical("kind", ["a", "b"])
    trial.report(value, 1)
    return value
study.optimize(objective, n_trials=int(sys.argv[2]))
"""


@dataclass
class Measured:
    """`seconds` a trial over the whole, `early` and `late` over the first and last tenth of the
    trials by the time of their end; `memory` (samples, 3): time, MiB of the largest worker, and
    processor seconds of all; `processor`: those a trial, over the first and the last tenth."""

    finished: int
    seconds: float
    early: float
    late: float
    errors: int
    memory: np.ndarray
    processor: tuple[float, float]


@contextmanager
def memory_of_children():
    """A list that fills every half second with the time, the MiB of the largest child process, and
    the processor seconds of all children so far."""
    samples, used, stop = [], {}, threading.Event()

    def watch():
        while not stop.wait(0.5):
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            sizes = []
            for pid in children:
                try:
                    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                    spent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
                except (OSError, IndexError):
                    continue
                sizes.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
                used[pid] = sum(map(int, spent)) / os.sysconf("SC_CLK_TCK")
            if sizes:
                samples.append((time.time(), max(sizes), sum(used.values())))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()


def ours(url: str, trials: int, workers: int) -> Measured:
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    console = Console(file=io.StringIO(), width=200)
    search = {"sampler": "random", "pruner": "none"}
    with tempfile.TemporaryDirectory() as home, memory_of_children() as memory:
        os.environ["HPSEARCH_HOME"] = home
        run(
            InstantSpec(), trials=trials, workers=workers, storage=url, search=search,
            console=console,
        )  # fmt: skip
    errors = console.file.getvalue().count("locked")
    return measured(url, memory, errors)


def plain(url: str, trials: int, workers: int) -> Measured:
    optuna.create_study(storage=url, study_name="plain")
    command = [sys.executable, "-c", PLAIN, url, str(trials // workers)]
    with memory_of_children() as memory:
        processes = [
            subprocess.Popen([*command, str(i)], stderr=subprocess.PIPE) for i in range(workers)
        ]
        texts = [process.communicate()[1].decode() for process in processes]
    return measured(url, memory, sum("database is locked" in text for text in texts))


def measured(url: str, memory: list[tuple[float, float, float]], errors: int) -> Measured:
    engine = sa.create_engine(url)
    done = sa.select(TRIALS.c.datetime_start, TRIALS.c.datetime_complete).where(
        TRIALS.c.datetime_complete.is_not(None)
    )
    with engine.connect() as connection:
        rows = connection.execute(done).all()
    engine.dispose()
    ends = np.sort([row.datetime_complete.timestamp() for row in rows])
    start = min(row.datetime_start.timestamp() for row in rows)
    tenth = max(len(ends) // 10, 1)
    samples = np.array(memory)
    ends_utc = [row.datetime_complete.replace(tzinfo=UTC).timestamp() for row in rows]
    moments = np.sort(ends_utc)[[0, tenth, -1 - tenth, -1]]
    spent = np.diff(np.interp(moments, samples[:, 0], samples[:, 2]))[[0, 2]] / tenth
    return Measured(
        finished=len(ends),
        seconds=(ends[-1] - start) / len(ends),
        early=(ends[tenth] - start) / tenth,
        late=(ends[-1] - ends[-1 - tenth]) / tenth,
        errors=errors,
        memory=samples,
        processor=(float(spent[0]), float(spent[1])),
    )


@contextmanager
def postgres():
    """The URL of a database that is dropped again."""
    name = f"hpsearch_bench_{uuid.uuid4().hex[:8]}"
    engine = sa.create_engine(
        f"{POSTGRES}/postgres", isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool
    )
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield f"{POSTGRES}/{name}"
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def sqlite():
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{folder}/store.db"


def show(name: str, one: Measured) -> None:
    growth = memory_growth(one)
    print(
        f"{name:<13} {one.finished:>6} trials {1 / one.seconds:6.1f}/s "
        f"{1000 * one.early:6.1f} -> {1000 * one.late:6.1f} ms (x{one.late / one.early:.2f}), "
        f"processor {1000 * one.processor[0]:.1f} -> {1000 * one.processor[1]:.1f}  "
        f"memory {one.memory[:, 1].max():.0f} MiB, last half {growth:+.1%}  "
        f"locked {one.errors}",
        flush=True,
    )


def memory_growth(one: Measured) -> float:
    """How much the largest worker grew from the middle of the run to its end."""
    sizes = one.memory[:, 1]
    middle = sizes[len(sizes) // 2]
    # The workers leave one by one at the end: the largest of the last samples counts.
    return float(sizes[-max(len(sizes) // 10, 1) :].max() / middle - 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["throughput", "soak"])
    parser.add_argument("--trials", type=int)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--only", choices=["ours", "plain"])
    options = parser.parse_args()
    soak = options.what == "soak"
    trials = options.trials or (20_000 if soak else 2_000)
    workers = options.workers or (4 if soak else 8)
    kind = postgres if soak else sqlite
    results = {}
    for name, work in (("hpsearch", ours), ("plain Optuna", plain)):
        if options.only and options.only != {"hpsearch": "ours"}.get(name, "plain"):
            continue
        with kind() as url:
            results[name] = work(url, trials, workers)
        show(name, results[name])
    if options.only:
        return 0
    own, peer = results["hpsearch"], results["plain Optuna"]
    fine = own.errors == 0 and own.finished == trials and own.seconds <= peer.seconds
    if soak:
        fine &= own.late <= 1.5 * own.early and memory_growth(own) <= 0.1
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
