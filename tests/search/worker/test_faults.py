"""What a trial meets: limits, too little memory, a full disk, a cache that is read-only or gone."""

import contextlib
import shutil
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
from calls import run
from optuna.distributions import IntDistribution
from optuna.trial import TrialState

from hpsearch.errors import HpsearchError, InputError
from hpsearch.search.job import Limits
from hpsearch.search.worker.attempts import has_errno, is_out_of_memory
from hpsearch.search.worker.limits import Guard
from hpsearch.search.worker.signals import Stopper
from hpsearch.store import Store


def reasons(study):
    return [trial.user_attrs.get("hps_failure") for trial in study.trials]


def kinds(storage):
    with Store.open(storage) as store:
        return [event["kind"] for event in store.events()]


def test_a_trial_that_takes_too_long_fails_and_the_others_go_on(spec, storage, console):
    spec = spec.but(bad="slow", bad_above=0.4)  # the baseline, at x = 0.5, would sleep 30 s
    began = time.monotonic()
    study = run(
        spec,
        trials=3,
        limits=Limits(seconds=1.0),
        search={"design_share": 0},
        storage=storage,
        console=console,
    )
    assert time.monotonic() - began < 20
    assert reasons(study)[0] == "took longer than the 1 s of --trial-timeout"
    for trial in study.trials:
        assert (trial.state == TrialState.FAIL) == (trial.params["x"] >= 0.4)


def test_a_trial_that_takes_too_much_memory_fails(spec, storage, console):
    spec = spec.but(bad="greedy", bad_above=0.4)
    limit = 500_000_000  # a worker without it needs a fifth of that
    study = run(
        spec, trials=2, workers=2, limits=Limits(memory=limit), search={"design_share": 1},
        storage=storage, console=console,
    )  # fmt: skip
    assert reasons(study)[0].startswith("out of memory: its worker used ")
    assert study.trials[1].state == TrialState.COMPLETE


def test_the_memory_limit_is_the_gpus_too_while_the_worker_works(monkeypatch):
    """A GPU of 16 GB stands in: torch is told the share of it, and gets all back in the end."""
    import torch

    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."))
    told = []
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda index: SimpleNamespace(total_memory=16e9)
    )
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda *given: told.append(given)
    )
    for device, memory in (("cuda:1", 4_000_000_000), ("cuda", 32_000_000_000), ("cpu", 1 << 40)):
        with Guard(Stopper(), Limits(memory=memory), device):
            pass
    with Guard(Stopper(), Limits(seconds=60), "cuda"):
        pass
    assert told == [(0.25, 1), (1.0, 1), (1.0, 0), (1.0, 0)]


@pytest.mark.parametrize("limits", [Limits(seconds=0.0), Limits(memory=0)])
def test_impossible_limits_are_refused(spec, storage, console, limits, tmp_path):
    with pytest.raises(InputError, match="is not possible"):
        run(spec, trials=1, limits=limits, storage=storage, console=console)
    assert not (tmp_path / "store.db").exists()


def test_a_limit_never_cuts_the_bookkeeping():
    done = []
    with Stopper() as stop:

        def shielded():
            with stop.shielded():
                threading.Timer(0.1, stop.interrupt, [InputError("late")]).start()
                time.sleep(0.3)
                done.append("whole")

        with pytest.raises(InputError, match="late"):
            shielded()
        assert done == ["whole"]
        threading.Timer(0.1, stop.interrupt, [InputError("at once")]).start()
        began = time.monotonic()
        with pytest.raises(InputError, match="at once"):
            time.sleep(30)
        assert time.monotonic() - began < 15


def with_batch(spec):
    space = {**spec.preset.distributions, "bs": IntDistribution(8, 40)}
    defaults = {**spec.preset.defaults, "bs": 32}
    return replace(spec, preset=replace(spec.preset, distributions=space, defaults=defaults))


@pytest.mark.parametrize("halve", [False, True])
def test_out_of_memory_halves_the_batch_once_if_asked(spec, storage, console, halve):
    spec = with_batch(spec.but(bad="large batch"))
    study = run(
        spec, trials=6, limits=Limits(halve_batch=halve), search={"design_share": 1},
        storage=storage, console=console,
    )  # fmt: skip
    for trial in study.trials:
        fits = trial.params["bs"] // (2 if halve else 1) <= 16
        if not fits or (not halve and trial.params["bs"] > 16):
            assert trial.user_attrs["hps_failure"] == "out of memory"
        else:
            assert trial.state == TrialState.COMPLETE
            assert len(trial.intermediate_values) == 3
    halved_batch = {t.number for t in study.trials if "hps_bs" in t.user_attrs}
    assert halved_batch == {t.number for t in study.trials if halve and t.params["bs"] > 16}
    assert study.trials[0].user_attrs.get("hps_bs") == (16 if halve else None)
    assert (study.trials[0].state == TrialState.COMPLETE) == halve
    assert ("trial 0 ran out of memory with a batch of 32" in console.file.getvalue()) == halve


@contextmanager
def small_disk(folder, size):
    """A file system of its own; needs the right to mount one, as root has."""
    folder.mkdir(exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True
    )
    if made.returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder):
    """Write a file until nothing more fits."""
    with (folder / "filling").open("wb", buffering=0) as file:
        for size in (1 << 16, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


def test_a_full_disk_is_waited_for(spec, tmp_path, console, monkeypatch):
    """Checkpoints of 200 KB and the database on a disk of 6 MB that somebody else fills."""
    with small_disk(tmp_path / "disk", "6m") as disk:
        monkeypatch.setenv("HPSEARCH_HOME", str(disk / "home"))
        storage = f"sqlite:///{disk / 'store.db'}"
        spec = spec.but(sleep=0.2, checkpoint_bytes=200_000)

        def trouble():
            while len(spec.journal) < 3:
                time.sleep(0.02)
            fill(disk)
            time.sleep(3)
            (disk / "filling").unlink()

        thread = threading.Thread(target=trouble)
        thread.start()
        study = run(
            spec, trials=4, workers=2, search={"design_share": 1}, storage=storage, console=console
        )
        thread.join()
        assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 4
        with Store.open(storage) as store:
            assert store.table_counts()["hps_epoch"] == 12
            with store.engine.connect() as connection:
                assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        values = [trial.value for trial in study.trials]
        study._storage._backend.engine.dispose()
    whole = run(
        spec.but(sleep=0, checkpoint_bytes=0), trials=4, search={"design_share": 1},
        storage=f"sqlite:///{tmp_path}/whole.db", console=console,
    )  # fmt: skip
    assert values == [trial.value for trial in whole.trials]


def test_a_disk_that_stays_full_puts_the_trial_back(spec, tmp_path, storage, console, monkeypatch):
    monkeypatch.setattr("hpsearch.store.store.RETRY_S", 1.5)
    with small_disk(tmp_path / "disk", "3m") as disk:
        monkeypatch.setenv("HPSEARCH_HOME", str(disk / "home"))
        spec = spec.but(checkpoint_bytes=100_000)
        disk.joinpath("home").mkdir()
        fill(disk)
        with pytest.raises(HpsearchError, match=r"is on a full disk; no finished trial is lost"):
            run(spec, trials=3, storage=storage, console=console)
        assert "is on a full disk; waiting for space" in console.file.getvalue()
        with Store.open(storage) as store:
            assert store.studies()[0].counts == {"waiting": 3}
        (disk / "filling").unlink()
        study = run(spec, trials=3, storage=storage, console=console)
        assert len([t for t in study.trials if t.state.is_finished()]) == 3


def test_a_read_only_cache_only_costs_the_checkpoints(
    spec, tmp_path, storage, console, monkeypatch
):
    with small_disk(tmp_path / "disk", "3m") as disk:
        monkeypatch.setenv("HPSEARCH_HOME", str(disk))
        spec = spec.but(cached=True)
        run(spec, trials=1, storage=storage, console=console)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        study = run(spec, trials=3, workers=2, storage=storage, console=console)
    assert len([t for t in study.trials if t.state == TrialState.COMPLETE]) == 4
    text = console.file.getvalue()
    assert text.count("cannot be written to: a trial that is killed will start anew") == 1


def test_a_cache_deleted_underfoot_is_made_again(spec, tmp_path, storage, console):
    spec = spec.but(cached=True, sleep=0.2)

    def delete():
        while len([entry for entry in spec.journal if entry["what"] == "train"]) < 3:
            time.sleep(0.02)
        shutil.rmtree(tmp_path / "home", ignore_errors=True)

    thread = threading.Thread(target=delete)
    thread.start()
    study = run(
        spec, trials=6, workers=2, search={"design_share": 1}, storage=storage, console=console
    )
    thread.join()
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 6
    assert len([entry for entry in spec.journal if entry["what"] == "build"]) == 2
    assert "cache-rebuilt" in kinds(storage)
    whole = run(
        spec.but(cached=False, sleep=0), trials=6, search={"design_share": 1},
        storage=f"sqlite:///{tmp_path}/whole.db", console=console,
    )  # fmt: skip
    assert [t.value for t in study.trials] == [t.value for t in whole.trials]


def test_errors_of_the_system_are_found_behind_others():
    error = HpsearchError("the cache cannot be written")
    error.__cause__ = OSError(28, "No space left on device")
    assert has_errno(error, (28,))
    assert not has_errno(error, (30,))
    assert has_errno(RuntimeError("I/O error: No space left on device (os error 28)"), (28,))
    assert not has_errno(RuntimeError("(os error 280)"), (28,))


def test_signals_are_as_before_after_a_run(spec, storage, console):
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    run(spec, trials=1, limits=Limits(seconds=60), storage=storage, console=console)
    after = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    assert after == before
