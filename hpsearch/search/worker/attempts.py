"""One trial's training, and what is tried again: a full disk, a lost cache, too little memory."""

from __future__ import annotations

import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna

from hpsearch.core.home import DISK_FULL, READ_ONLY, home, is_writable, remove
from hpsearch.errors import HpsearchError
from hpsearch.search.plan.cohorts import trial_seed
from hpsearch.search.speed.gpu_sharing import GpuFullError
from hpsearch.search.worker.limits import free_memory
from hpsearch.store.tables import attributes
from hpsearch.study.trainers import is_own
from hpsearch.trainers.contract import (
    Note,
    Prepared,
    PrepareSetup,
    Report,
    Trainer,
    TrainResult,
    TrialSetup,
)

if TYPE_CHECKING:
    from hpsearch.search.job import Job
    from hpsearch.search.worker.bench import Bench

UNWRITABLE = "cannot be written to: a trial that is killed will start anew"
PAUSE_S = 1.0
PROBE = 1 << 20
"""So many bytes must fit before a training that met a full disk goes on ..."""
MOST_DISK_FULL = 3
"""... and a trial that meets one so often is put back: what it writes is larger."""
BATCH = "bs"
"""What trainers call their batch size."""


class DiskFullError(HpsearchError):
    """The disk stayed full for longer than anybody waits; the trial is to be put back."""


@dataclass
class Attempt:
    """How the next attempt at a trial's training differs from the first.

    `params` replace the trial's own. `prepared_again` is set once the data was prepared a second
    time. Where `writes` is false no checkpoints are kept. `full` counts how often the disk was
    full.
    """

    params: dict[str, Any] = field(default_factory=dict)
    prepared_again: bool = False
    writes: bool = True
    full: int = 0


def train(bench: Bench, trial: optuna.Trial, report: Report) -> TrainResult:
    """Train the trial's model, from its last checkpoint if there is one.

    On a full disk the worker waits for space. If files of the cache are gone it prepares the data
    again. If the cache is read-only it keeps no checkpoints. If the trial runs out of memory, and
    the job allows it, it trains the trial once more with half of the batch. Raises DiskFullError,
    and whatever else the training raises.
    """
    attempt = Attempt(halved_batch(trial.user_attrs), writes=_writable(bench, trial))
    while True:
        try:
            return _train(bench, trial, report, attempt)
        except optuna.TrialPruned:
            raise
        except Exception as error:
            if not _recover(bench, trial, error, attempt):
                raise
            release(error)
        free_memory(bench.job.device)


def release(error: BaseException) -> None:
    """Free the memory of a training that failed: the traceback of its error still refers to it."""
    for one in _chain(error):
        traceback.clear_frames(one.__traceback__)


def halved_batch(user_attrs: Mapping[str, Any]) -> dict[str, Any]:
    """The batch size that replaced the trial's own because of its memory; empty if none did.

    `user_attrs` are the trial's.
    """
    return {BATCH: user_attrs[attributes.BATCH_SIZE]} if attributes.BATCH_SIZE in user_attrs else {}


def seed_of(job: Job, trial: optuna.Trial) -> int:
    """The trial's own seed: that of its plan."""
    return int(trial.user_attrs.get(attributes.SEED, trial_seed(job.seed, trial.number)))


def checkpoint(bench: Bench, trial: optuna.Trial) -> Path | None:
    """The trial's folder for checkpoints, None if it cannot be written to."""
    return bench.job.checkpoint(trial.number) if _writable(bench, trial) else None


def noter(bench: Bench, trial: optuna.Trial) -> Note:
    """What gives the trial an attribute, which is written when the trial ends.

    It raises ValueError for a name that hpsearch's own attributes may have.
    """

    def note(key: str, value: Any) -> None:  # noqa: ANN401 (anything that JSON can hold)
        if key.startswith(attributes.PREFIX):
            raise ValueError(f"the attribute {key!r}: such names are hpsearch's own")
        bench.storage.write_with_end(trial._trial_id, {key: value})

    return note


def _train(bench: Bench, trial: optuna.Trial, report: Report, attempt: Attempt) -> TrainResult:
    job = bench.job
    keeps = bench.trainer.KEEPS_BEST and attempt.writes
    setup = TrialSetup(
        seed=seed_of(job, trial),
        device=job.device,
        report=report,
        checkpoint=job.checkpoint(trial.number) if attempt.writes else None,
        keep=job.model(trial.number) if keeps else None,
        number=trial.number,
        objectives=tuple(job.objectives),
        note=noter(bench, trial),
    )
    params = {**trial.params, **attempt.params}
    with bench.guard.trial():
        return bench.trainer.train(job.settings, params, bench.prepared, setup)


def _recover(bench: Bench, trial: optuna.Trial, error: Exception, attempt: Attempt) -> bool:
    """Remove the cause of the error, so that another attempt may succeed. Returns False if nothing
    can be done."""
    if is_out_of_memory(error):
        if bench.sharing.is_shared:
            message = f"trial {trial.number} ran out of memory beside others; there are fewer now"
            _note(bench, trial, "gpu-crowded", message)
            raise GpuFullError(message) from error
        return bench.job.halve_batch and _halve_batch(bench, trial, attempt)
    if has_errno(error, DISK_FULL):
        _wait_for_space(bench, trial, error, attempt)
        return True
    if has_errno(error, READ_ONLY) and attempt.writes:
        attempt.writes = False
        _note(bench, trial, "no-checkpoints", f"{_where()} {UNWRITABLE}")
        return True
    of_cache = not is_own(bench.trainer.__name__)  # one's own code has no files there
    if of_cache and any(isinstance(one, FileNotFoundError) for one in _chain(error)):
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
        remove(bench.job.checkpoint(trial.number))
        store.retry(bench.storage.set_now, trial._trial_id, attributes.BATCH_SIZE, size // 2)
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
    return trainer.prepare(job.data, job.settings, PrepareSetup(job.path, job.device))


def _wait_for_space(bench: Bench, trial: optuna.Trial, error: Exception, attempt: Attempt) -> None:
    """Wait until the disk has space. Raises DiskFullError after as long as the store retries, or
    if the disk was full more than MOST_DISK_FULL times."""
    attempt.full += 1
    _note(bench, trial, "disk-full", f"{_where()} is on a full disk; waiting for space")
    deadline = time.monotonic() + bench.store.retry_s
    while attempt.full <= MOST_DISK_FULL and time.monotonic() < deadline:
        time.sleep(PAUSE_S)
        if _has_space(bench.job.checkpoint(trial.number)):
            return
    raise DiskFullError(
        f"{_where()} is on a full disk; no finished trial is lost: "
        "free some space, then run the same command again."
    ) from error


def _has_space(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, buffering=0) as probe:
            probe.write(bytes(PROBE))
    except OSError as error:
        return not has_errno(error, DISK_FULL)
    return True


def _writable(bench: Bench, trial: optuna.Trial) -> bool:
    """Whether the trial can have a folder for its checkpoints, made here."""
    try:
        writable = is_writable(bench.job.checkpoint(trial.number))
    except OSError as error:
        if not has_errno(error, DISK_FULL):
            raise
        return True
    if not writable:
        _note(bench, trial, "no-checkpoints", f"{_where()} {UNWRITABLE}")
    return writable


def _where() -> str:
    return f"The cache folder {home()}"


def _note(bench: Bench, trial: optuna.Trial, kind: str, message: str) -> None:
    with bench.stop.shielded():
        bench.note(kind, message, trial._trial_id)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error says, in any library's words, that the machine or the GPU lacks memory."""
    text = str(error).lower()
    words = ("out of memory", "can't allocate", "_status_alloc_failed")  # the last are CUDA's
    return isinstance(error, MemoryError) or any(one in text for one in words)


def has_errno(error: BaseException, numbers: tuple[int, ...]) -> bool:
    """Whether the error, or an error that caused it, is a system error with one of the numbers."""
    # safetensors raises no OSError; its message holds Rust's words for the system error.
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
