"""Studies that lose their workers, their database and their network, over and over.

    python tests/benchmarks/bench_faults.py kills --kills 60        # SQLite and PostgreSQL
    python tests/benchmarks/bench_faults.py restarts --times 5      # PostgreSQL and MariaDB
    python tests/benchmarks/bench_faults.py network --seconds 30    # to PostgreSQL and to MariaDB

The servers are this program's own, on free ports, with their files in a temporary folder (it must
be run by root, and needs the programs of both servers). The trainer is the tests' fake trainer,
with checkpoints. Exits with 1 unless every study ends complete: no trial is lost, none is counted
twice, every value is that of the formula (which an uninterrupted run gives), every epoch has one
row, and `hpsearch doctor` finds nothing.
"""

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fake_study import TRAINER, FakePreset, FakeSpec
from optuna.trial import TrialState
from outages import MariaDB, Network, Postgres
from run_processes import entries, launch, wait_until

from hpsearch.core.environment import cores
from hpsearch.store import Store
from hpsearch.store.doctor import examine

EPOCHS = 4


def make_spec(folder, sleep):
    (folder / "modules").mkdir()
    (folder / "modules" / "hps_fake_trainer.py").write_text(TRAINER)
    sys.path.insert(0, str(folder / "modules"))
    os.environ.update(HPSEARCH_HOME=str(folder / "home"), HPSEARCH_DEVICE="cpu")
    settings = {"epochs": EPOCHS, "journal": str(folder / "journal"), "sleep": sleep}
    return FakeSpec(FakePreset(settings=settings))


def kill_workers(spec, head, kills, rng):
    """SIGKILL to a random worker at a random moment after each end of a trial, `kills` times."""
    dead = []
    while len(dead) < kills:
        assert head.poll() is None, "the run ended before all kills: raise --trials"
        done = len(entries(spec, "end"))
        wait_until(lambda done=done: len(entries(spec, "end")) > done, "the next trial", 120)
        time.sleep(rng.uniform(0.0, 1.0))
        alive = {entry["pid"] for entry in entries(spec)} - {*dead, head.pid}
        alive = [pid for pid in alive if Path(f"/proc/{pid}").exists()]
        if alive:
            dead.append(rng.choice(alive))
            with contextlib.suppress(ProcessLookupError):
                os.kill(dead[-1], signal.SIGKILL)
    return len(dead)


def check(spec, storage, trials):
    """What is wrong with the finished study, in sentences."""
    import hps_fake_trainer

    wrong = []
    with Store.open(storage) as store:
        (summary,) = store.studies()
        if summary.counts != {"complete": trials}:
            wrong.append(f"trials by state: {summary.counts}")
        rows = store.trials("fake-quick")
        if len(rows) != trials:
            wrong.append(f"{len(rows)} rows of hps_trial")
        epochs = [(row["number"], row["epoch"]) for row in store.epochs("fake-quick")]
        if sorted(epochs) != [(n, e) for n in range(trials) for e in range(1, EPOCHS + 1)]:
            wrong.append(f"{len(epochs)} rows of hps_epoch, {len(set(epochs))} different")
        wrong += [f"doctor: {one.what}: {one.text}" for one in examine(store) if not one.fine]
        import optuna

        study = optuna.load_study(study_name="fake-quick", storage=store.optuna)
        for trial in study.get_trials(states=[TrialState.COMPLETE]):
            seed = trial.user_attrs["hps_seed"]
            if trial.value != hps_fake_trainer.score(trial.params, seed, 1, 1):
                wrong.append(f"trial {trial.number} has another value than uninterrupted")
            if sorted(trial.intermediate_values) != list(range(1, EPOCHS + 1)):
                wrong.append(f"trial {trial.number} reported {sorted(trial.intermediate_values)}")
        kinds = [event["kind"] for event in store.events()]
    return wrong, {kind: kinds.count(kind) for kind in ("worker-crashed", "trial-requeued")}


def study_under(name, storage, folder, *, trials, workers, sleep, trouble):
    """Run a study while `trouble(spec, head)` goes on; whether it ended as it should."""
    spec = make_spec(folder, sleep)
    began = time.monotonic()
    head = launch(spec, trials=trials, workers=workers, search={"design_share": 1}, storage=storage)
    output = []
    reader = threading.Thread(target=lambda: output.extend(head.communicate()), daemon=True)
    reader.start()
    wait_until(lambda: len(entries(spec)) >= workers, "the first trials", 120)
    what = trouble(spec, head)
    reader.join()
    seconds = time.monotonic() - began
    wrong, events = check(spec, storage, trials) if head.returncode == 0 else (output, {})
    resumed = sum(entry["start"] > 1 for entry in entries(spec))
    print(
        f"{name}: {what}; {trials} trials, {workers} workers, {seconds:.0f} s, "
        f"{resumed} went on from a checkpoint, {events}: {wrong or 'as it should'}",
        flush=True,
    )
    sys.path.remove(str(folder / "modules"))
    sys.modules.pop("hps_fake_trainer", None)
    return not wrong


def kills(options):
    rng = random.Random(options.seed)

    def trouble(spec, head):
        return f"{kill_workers(spec, head, options.kills, rng)} workers killed"

    good = []
    for name in options.stores or ["sqlite", "postgresql"]:
        with temporary() as folder, server(name) as place:
            storage = f"sqlite:///{folder / 'store.db'}" if place is None else place.url
            good.append(
                study_under(
                    name, storage, folder, trials=options.trials, workers=2, sleep=0.1,
                    trouble=trouble,
                )
            )  # fmt: skip
    return good


def restarts(options):
    good = []
    for name in options.stores or ["postgresql", "mariadb"]:
        with temporary() as folder, server(name) as place:

            def trouble(spec, head, place=place):
                for _ in range(options.times):
                    done = len(entries(spec, "end"))
                    wait_until(
                        lambda done=done: len(entries(spec, "end")) > done + 4, "trials", 120
                    )
                    place.stop()
                    time.sleep(2)
                    place.start()
                return f"server restarted {options.times} times"

            good.append(
                study_under(
                    name, place.url, folder, trials=options.trials // 4, workers=4, sleep=0.2,
                    trouble=trouble,
                )
            )  # fmt: skip
    return good


def network(options):
    good = []
    for name in options.stores or ["postgresql", "mariadb"]:
        with temporary() as folder, server(name) as place, Network(place.port) as way:

            def trouble(spec, head, way=way):
                way.cut(options.seconds)
                return f"network cut for {options.seconds} s"

            storage = place.url.replace(f":{place.port}/", f":{way.port}/")
            good.append(
                study_under(
                    name, storage, folder, trials=options.trials // 10, workers=4, sleep=0.2,
                    trouble=trouble,
                )
            )  # fmt: skip
    return good


@contextlib.contextmanager
def temporary():
    with tempfile.TemporaryDirectory(prefix="hpsearch-faults-") as folder:
        yield Path(folder)


def server(name):
    made = {"sqlite": contextlib.nullcontext, "postgresql": Postgres, "mariadb": MariaDB}
    return made[name]()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["kills", "restarts", "network"])
    parser.add_argument("stores", nargs="*", help="sqlite, postgresql, mariadb")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--trials", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"{cores()} cores, {time.strftime('%Y-%m-%d %H:%M')}")
    good = {"kills": kills, "restarts": restarts, "network": network}[options.what](options)
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
