"""What the search costs beside the training, next to plain Optuna; and what a second worker brings.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_search.py overhead [--trials 200] [URL ...]
    OMP_NUM_THREADS=1 python tests/benchmarks/bench_search.py workers [--trials 100]

`overhead`: the same instant trials (a formula, three epochs) once through `hpsearch run` with one
worker and once through Optuna's `optimize`, with the same TPE sampler, median pruner, storage and
reports; hpsearch also writes its own rows. Both in turns, the median of three rounds each. Default
URLs: a new SQLite file in the temporary folder, and the PostgreSQL of the tests. `workers`: trials
of a fixed second each, with one worker and with two. Exits with 1 if hpsearch takes more than 1.2
times as long as Optuna, or two workers more than 0.55 times as long as one.
"""

import argparse
import io
import os
import statistics
import sys
import tempfile
import time
import uuid
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import optuna
import sqlalchemy as sa
from calls import run
from fake_study import TRAINER, FakePreset, FakeSpec
from rich.console import Console

from hpsearch.search.samplers.by_name import make_pruner, make_sampler
from hpsearch.store import Store
from hpsearch.store.server.open import GRACE_S, HEARTBEAT_S

POSTGRES = "postgresql+psycopg://postgres@127.0.0.1:5432"
EPOCHS = 3


def make_spec(folder, **settings):
    (folder / "hps_fake_trainer.py").write_text(TRAINER)
    sys.path.insert(0, str(folder))
    os.environ.update(HPSEARCH_HOME=str(folder / "home"), HPSEARCH_DEVICE="cpu")
    settings = {"epochs": EPOCHS, "no_checkpoint": True, "journal": os.devnull, **settings}
    return FakeSpec(FakePreset(settings=settings))


def ours(spec, url, trials, workers=1, pruner="median"):
    """Seconds for the trials through hpsearch."""
    search = {"design_share": 0.0, "pruner": pruner}
    options = {"search": search, "storage": url, "workers": workers}
    options["console"] = Console(file=io.StringIO())
    began = time.perf_counter()
    run(spec, trials=trials, **options)
    return time.perf_counter() - began


def plain(spec, url, trials):
    """Seconds for the same through Optuna alone."""
    import hps_fake_trainer

    space = spec.preset.distributions
    storage = optuna.storages.RDBStorage(
        url, heartbeat_interval=HEARTBEAT_S, grace_period=GRACE_S,
        engine_kwargs={"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {},
    )  # fmt: skip
    sampler = make_sampler("tpe", seed=0, study_seed=0, fixed={})
    began = time.perf_counter()
    study = optuna.create_study(
        storage=storage, direction="maximize", sampler=sampler, pruner=make_pruner("median")
    )

    def objective(trial):
        params = {name: trial._suggest(name, one) for name, one in space.items()}
        for epoch in range(1, EPOCHS + 1):
            trial.report(hps_fake_trainer.score(params, trial.number, epoch, EPOCHS), epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return hps_fake_trainer.score(params, trial.number, 1, 1)

    study.optimize(objective, n_trials=trials)
    seconds = time.perf_counter() - began
    storage.engine.dispose()
    return seconds


def new_database(base, folder, name):
    """The URL of a new database beside `base` ("sqlite": a file in the folder)."""
    if base == "sqlite":
        return f"sqlite:///{folder / name}.db"
    engine = sa.create_engine(first(base), isolation_level="AUTOCOMMIT")
    database = f"hpsearch_bench_{uuid.uuid4().hex[:8]}"
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {database}")
    engine.dispose()
    return f"{base}/{database}"


def first(base):
    """The URL of the database that a server always has."""
    return f"{base}/{'postgres' if base.startswith('postgres') else 'mysql'}"


def drop(base, url):
    if base != "sqlite":
        engine = sa.create_engine(first(base), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            force = " WITH (FORCE)" if base.startswith("postgres") else ""
            connection.exec_driver_sql(f"DROP DATABASE {url.rsplit('/', 1)[1]}{force}")
        engine.dispose()


def overhead(options, folder):
    good = True
    for base in options.urls or ["sqlite", POSTGRES]:
        times = {"hpsearch": [], "Optuna": []}
        for turn in range(options.rounds):
            for who, call in (("hpsearch", ours), ("Optuna", plain)):
                url = new_database(base, folder, f"{who}-{turn}")
                Store.open(url).close()  # making the tables is no trial's cost
                times[who].append(call(make_spec(folder), url, options.trials))
                drop(base, url)
        mine, theirs = (1000 * statistics.median(t) / options.trials for t in times.values())
        good &= mine <= 1.2 * theirs
        print(
            f"{base.split('+')[0]}: hpsearch {mine:.1f} ms a trial, Optuna {theirs:.1f}: "
            f"{mine / theirs:.2f} times (wanted: 1.2)",
            flush=True,
        )
    return good


def workers(options, folder):
    spec = make_spec(folder, sleep=1 / EPOCHS)
    one, two = (
        ours(spec, f"sqlite:///{folder / str(n)}.db", options.trials, workers=n, pruner="none")
        for n in (1, 2)
    )
    print(f"{options.trials} trials of 1 s: one worker {one:.1f} s, two {two:.1f} s: "
          f"{two / one:.3f} (wanted: 0.55)")  # fmt: skip
    return two <= 0.55 * one


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["overhead", "workers"])
    parser.add_argument("urls", nargs="*", help="sqlite, or a server's URL without a database")
    parser.add_argument("--trials", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    options.trials = options.trials or {"overhead": 200, "workers": 100}[options.what]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    measure = {"overhead": overhead, "workers": workers}[options.what]
    with tempfile.TemporaryDirectory() as folder:
        good = measure(options, Path(folder))
    sys.exit(not good)


if __name__ == "__main__":
    main()
