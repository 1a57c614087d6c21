"""One trial's training, and what is tried again: a full disk, a lost cache, too little memory."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna

from hpsearch.errors import HpsearchError
from hpsearch.search import models
from hpsearch.search.cohorts import trial_seed
from hpsearch.search.limits import free_memory
from hpsearch.training.contract import Prepared, Report, Trainer, TrainResult

if TYPE_CHECKING:
    from hpsearch.search.job import Job
    from hpsearch.search.objective import Bench

FULL = (errno.ENOSPC, errno.EDQUOT)
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
UNWRITABLE = "cannot be written to: a trial that is killed will start anew"
PAUSE_S = 1.0
PROBE = 1 << 20
"""So many bytes must fit before a training that met a full disk goes on ..."""
FULL_TIMES = 3
"""... and a trial that meets one so often is put back: what it writes is larger."""
BATCH = "bs"
"""What trainers call their batch size."""
HALVED = "hps_bs"
"""The trial's attribute with the batch size it was trained with where that was halved."""


class DiskFullError(HpsearchError):
    """The disk stayed full for longer than anybody waits; the trial is to be put back."""


@dataclass
class Attempt:
    """What the next try of a trial's training does otherwise than the first."""

    params: dict[str, Any] = field(default_factory=dict)
    prepared_again: bool = False
    writes: bool = True
    full: int = 0


def train(bench: Bench, trial: optuna.Trial, report: Report) -> TrainResult:
    """Train the trial's model, from its last checkpoint if there is one.

    A full disk is waited for, a cache that was deleted is made again, a read-only one is not
    written to, and a trial that ran out of memory is trained again with half of its batch if the
    job says so. Raises DiskFullError, and whatever else the training raises.
    """
    attempt = Attempt(halved(trial.user_attrs), writes=_writable(bench, trial))
    while True:
        try:
            return _train(bench, trial, report, attempt)
        except optuna.TrialPruned:
            raise
        except Exception as error:
            if not _mend(bench, trial, error, attempt):
                raise
            # The traceback keeps everything that the training had in memory.
            traceback.clear_frames(error.__traceback__)
        free_memory(bench.job.device)


def halved(user_attrs: Mapping[str, Any]) -> dict[str, Any]:
    """What a trial was trained with instead of its own parameters: half of its batch, or nothing.

    `user_attrs` are the trial's.
    """
    return {BATCH: user_attrs[HALVED]} if HALVED in user_attrs else {}


def seed_of(job: Job, trial: optuna.Trial) -> int:
    """The trial's own seed: that of its plan."""
    return int(trial.user_attrs.get("hps_seed", trial_seed(job.seed, trial.number)))


def checkpoint(bench: Bench, trial: optuna.Trial) -> Path | None:
    """The trial's folder for checkpoints, None if it cannot be written to."""
    return bench.job.checkpoint(trial.number) if _writable(bench, trial) else None


def _train(bench: Bench, trial: optuna.Trial, report: Report, attempt: Attempt) -> TrainResult:
    job = bench.job
    keep: dict[str, Any] = {}
    if getattr(bench.trainer, "KEEPS_BEST", False) and attempt.writes:
        keep = {"keep": models.trial_folder(job, trial.number)}
    with bench.guard.trial():
        return bench.trainer.train(
            job.settings,
            {**trial.params, **attempt.params},
            bench.prepared,
            seed=seed_of(job, trial),
            device=job.device,
            report=report,
            checkpoint=job.checkpoint(trial.number) if attempt.writes else None,
            **keep,
        )


def _mend(bench: Bench, trial: optuna.Trial, error: Exception, attempt: Attempt) -> bool:
    """Do something about the error, so that another attempt may succeed; False if nothing can."""
    if is_out_of_memory(error):
        return bench.job.halve_batch and _halve_batch(bench, trial, attempt)
    if has_errno(error, FULL):
        _wait_for_space(bench, trial, error, attempt)
        return True
    if has_errno(error, READ_ONLY) and attempt.writes:
        attempt.writes = False
        _note(bench, trial, "no-checkpoints", f"{_where()} {UNWRITABLE}")
        return True
    if any(isinstance(one, FileNotFoundError) for one in _chain(error)):
        return not attempt.prepared_again and _prepare_again(bench, trial, attempt)
    return False


def _halve_batch(bench: Bench, trial: optuna.Trial, attempt: Attempt) -> bool:
    params: Mapping[str, Any] = {**bench.job.settings, **trial.params}
    size = params.get(BATCH)
    if attempt.params or not isinstance(size, int) or size < 2:
        return False
    attempt.params = {BATCH: size // 2}
    store = bench.store
    with bench.stop.shielded():
        shutil.rmtree(bench.job.checkpoint(trial.number), ignore_errors=True)
        store.patiently(
            lambda: store.optuna.set_trial_user_attr(trial._trial_id, HALVED, size // 2)
        )
    message = (
        f"trial {trial.number} ran out of memory with a batch of {size}; again with {size // 2}"
    )
    _note(bench, trial, "batch-halved", message)
    return True


def _prepare_again(bench: Bench, trial: optuna.Trial, attempt: Attempt) -> bool:
    attempt.prepared_again = True
    message = f"trial {trial.number} misses a file of the cache; preparing the data again"
    _note(bench, trial, "cache-rebuilt", message)
    bench.prepared = prepare_silently(bench.job, bench.trainer)
    return True


def prepare_silently(job: Job, trainer: Trainer) -> Prepared:
    """What all trials share, as a worker makes or loads it: its parent has told of it already."""
    return trainer.prepare(
        job.data,
        job.settings,
        data_path=job.path,
        device=job.device,
        progress=lambda what, done, total: None,
        say=lambda sentence: None,
    )


def _wait_for_space(bench: Bench, trial: optuna.Trial, error: Exception, attempt: Attempt) -> None:
    """Until there is some; raises DiskFullError once the store's patience is over."""
    attempt.full += 1
    _note(bench, trial, "disk-full", f"{_where()} is on a full disk; waiting for space")
    deadline = time.monotonic() + bench.store.patience_s
    while attempt.full <= FULL_TIMES and time.monotonic() < deadline:
        time.sleep(PAUSE_S)
        if _has_space(bench.job.checkpoint(trial.number)):
            return
    raise DiskFullError(
        f"{_where()} is on a full disk; no finished trial is lost: "
        "free some space, then run the same command again."
    ) from error


def _has_space(folder: Path) -> bool:
    probe = folder / f"probe.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(bytes(PROBE))
    except OSError as error:
        return not has_errno(error, FULL)
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
    return True


def _writable(bench: Bench, trial: optuna.Trial) -> bool:
    """Whether the trial can have a folder for its checkpoints, made here."""
    try:
        bench.job.checkpoint(trial.number).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if has_errno(error, READ_ONLY):
            _note(bench, trial, "no-checkpoints", f"{_where()} {UNWRITABLE}")
            return False
        if not has_errno(error, FULL):
            raise
    return True


def _where() -> str:
    from hpsearch.data import home

    return f"The cache folder {home()}"


def _note(bench: Bench, trial: optuna.Trial, kind: str, message: str) -> None:
    with bench.stop.shielded():
        bench.note(kind, message, trial._trial_id)


def is_out_of_memory(error: BaseException) -> bool:
    """Of the machine or of the GPU, as the libraries say it."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate" in text


def has_errno(error: BaseException, numbers: tuple[int, ...]) -> bool:
    """Whether the error, or one that it came from, is the system's of one of these numbers."""
    # safetensors has no exception for it, only Rust's words.
    words = tuple(f"(os error {number})" for number in numbers)
    return any(
        (isinstance(one, OSError) and one.errno in numbers)
        or any(word in str(one) for word in words)
        for one in _chain(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__ or one.__context__
