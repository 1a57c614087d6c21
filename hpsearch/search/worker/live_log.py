"""Epochs as they happen in TensorBoard, MLflow or Weights & Biases, beside the store.

Off unless a run asks for it (`[search] log`, `--log`). Each program is told by its own environment
variables where its server is; without any, all of them write into the current folder. What goes
wrong there ends no trial: it is said once, and the trial goes on without that log.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from hpsearch.extras import require
from hpsearch.trainers.contract import EpochRecord

MODULES = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb"}
TENSORBOARD_FOLDER = "runs"  # where `tensorboard --logdir runs` and PyTorch look
Params = Mapping[str, Any]


class TrialLog(Protocol):
    """One trial in one of the programs."""

    def epoch(self, step: int, numbers: Mapping[str, float]) -> None: ...
    def end(self, state: str, metrics: Mapping[str, float]) -> None: ...


class LiveLogs:
    """One trial in all programs that the run asks for."""

    def __init__(self, programs: Sequence[str], study: str, number: int, params: Params) -> None:
        self._logs: dict[str, TrialLog] = {}
        for name in programs:
            self._try(name, partial(MAKERS[name], study, number, params))

    def epoch(self, record: EpochRecord) -> None:
        losses = {"train_loss": record.train_loss, "valid_loss": record.valid_loss}
        numbers = {f"{record.stage}/{key}": one for key, one in losses.items()}
        numbers |= {key: float(one) for key, one in record.metrics.items()}
        numbers |= {"lr": record.lrs[-1]} if record.lrs else {}
        for name, log in list(self._logs.items()):
            self._try(name, partial(log.epoch, record.epoch, numbers))

    def end(self, state: str, metrics: Mapping[str, float]) -> None:
        for name, log in list(self._logs.items()):
            self._try(name, partial(log.end, state, metrics))

    def _try(self, name: str, call: Callable[[], Any]) -> None:
        """Whatever a program raises: its log ends here, not the trial."""
        try:
            made = call()
        except Exception as error:
            self._logs.pop(name, None)
            why = " ".join(str(error).split())[:200]
            logging.getLogger("hpsearch").warning("%s logs no more of this trial: %s", name, why)
        else:
            if name not in self._logs:
                self._logs[name] = made


class _TensorBoard:
    def __init__(self, study: str, number: int, params: Params) -> None:
        program: Any = import_module("tensorboard.summary")  # which has no types
        folder = re.sub(r"[^\w-]", "_", study)  # no name leads out of the folder
        self._writer = program.Writer(str(Path(TENSORBOARD_FOLDER) / folder / f"trial-{number}"))
        for name, value in params.items():
            if isinstance(value, int | float):
                self._writer.add_scalar(f"params/{name}", float(value), 0)

    def epoch(self, step: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def end(self, state: str, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(f"final/{name}", float(value), 0)
        self._writer.close()


class _MLflow:
    """Through the client, not `mlflow.start_run`: trials of several threads do not share a run."""

    def __init__(self, study: str, number: int, params: Params) -> None:
        from mlflow import MlflowClient

        self._client = MlflowClient()
        found = self._client.get_experiment_by_name(study)
        key = self._client.create_experiment(study) if found is None else found.experiment_id
        self._run = self._client.create_run(key, run_name=f"trial {number}").info.run_id
        for name, value in params.items():
            self._client.log_param(self._run, name, value)

    def epoch(self, step: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self._client.log_metric(self._run, name, value, step=step)

    def end(self, state: str, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            self._client.log_metric(self._run, f"final/{name}", float(value))
        done = {"complete": "FINISHED", "pruned": "KILLED"}.get(state, "FAILED")
        self._client.set_terminated(self._run, done)


class _Wandb:
    def __init__(self, study: str, number: int, params: Params) -> None:
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "hpsearch"), group=study,
            name=f"{study} {number}", config=dict(params), reinit="create_new",
            settings=wandb.Settings(silent=True),  # the run's own lines are on the screen
        )  # fmt: skip

    def epoch(self, step: int, numbers: Mapping[str, float]) -> None:
        self._run.log(dict(numbers), step=step)

    def end(self, state: str, metrics: Mapping[str, float]) -> None:
        self._run.summary.update({f"final/{name}": value for name, value in metrics.items()})
        self._run.summary["state"] = state
        self._run.finish(exit_code=0 if state in ("complete", "pruned") else 1)


MAKERS: dict[str, Callable[[str, int, Params], TrialLog]] = {
    "tensorboard": _TensorBoard, "mlflow": _MLflow, "wandb": _Wandb,
}  # fmt: skip


def check_installed(programs: Sequence[str]) -> None:
    """Raise MissingExtraError, before a run begins, for a program that is not installed."""
    for name in programs:
        require(MODULES[name])
