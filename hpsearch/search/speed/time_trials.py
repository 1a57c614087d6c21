"""Trials timed in processes as many as workers would be: what they get done side by side.

`python -m hpsearch.search.speed.time_trials` is one of these processes: see `main`.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from hpsearch.core import own_code
from hpsearch.search.processes import Process, launch, stopping
from hpsearch.trainers.contract import PrepareSetup, Trainer
from hpsearch.trainers.shared import speed

MEASURE_S = 1.0
MODULE = "hpsearch.search.speed.time_trials"


@dataclass(frozen=True)
class DeviceSpeed:
    """How fast so many `workers` train on a device at the same time.

    A trial takes each worker `seconds`; the worker trains on `rate` of the `unit` a second. `gain`
    says how many times more trials get done where several share a GPU. `why` says what failed.
    """

    device: str
    workers: int
    seconds: float = 0.0
    rate: float = 0.0
    unit: str = ""
    gain: float = 1.0
    why: str | None = None

    @property
    def per_hour(self) -> float:
        """Trials."""
        return self.workers * self.gain * 3600 / self.seconds if self.seconds else 0.0


def time_devices(
    workers_on: Mapping[str, int], trainer: str, asked: Mapping[str, Any]
) -> list[DeviceSpeed]:
    """Time a trial on each device with its number of workers, one device after the other.

    `trainer` is the module, `asked` what `main` reads: settings, params, data, data_path, and the
    device that the data was `prepared_on`, so that it is in the cache.
    """
    processes: dict[str, list[Process]] = {}
    with stopping() as all_of_them:
        for device, workers in workers_on.items():  # all start at once, to import side by side
            processes[device] = [launch(i, workers, MODULE) for i in range(workers)]
            all_of_them += processes[device]
            for process in processes[device]:
                process.send_trainer(trainer)
                process.send(json.dumps({**asked, "device": device}))
        ready = {device: [one.read_line() for one in each] for device, each in processes.items()}
        return [_together(device, processes[device], ready[device]) for device in workers_on]


def _together(
    device: str, processes: list[Process], ready: Sequence[Mapping[str, Any]]
) -> DeviceSpeed:
    failed = next((one["error"] for one in ready if "error" in one), None)
    if failed is not None:
        return DeviceSpeed(device, len(processes), why=failed)
    for process in processes:
        process.send("go")
    found = [process.read_line() for process in processes]
    failed = next((one["error"] for one in found if "error" in one), None)
    if failed is not None:
        return DeviceSpeed(device, len(processes), why=failed)
    mean = {key: sum(one[key] for one in found) / len(found) for key in ("seconds", "rate")}
    return DeviceSpeed(device, len(processes), mean["seconds"], mean["rate"], found[0]["unit"])


def main() -> int:
    """Prepare the data, say so, wait for a line, measure, and write the Speed.

    The first line of standard input is that of `Process.send_trainer`. The second says what is to
    be prepared, the third starts the measurement. Each answer is a line of JSON.
    """
    answer = os.dup(1)
    os.dup2(2, 1)

    def say(content: Mapping[str, Any]) -> None:
        os.write(answer, json.dumps(content).encode() + b"\n")

    told, asked = (json.loads(sys.stdin.readline() or "{}") for _ in range(2))
    if not asked:
        return 0
    try:
        own_code.allow_all(told["own_code"])
        path = None if asked["data_path"] is None else Path(asked["data_path"])
        trainer = cast(Trainer, importlib.import_module(told["trainer"]))
        data = trainer.prepare(
            asked["data"], asked["settings"], PrepareSetup(path, asked["prepared_on"])
        )
        say({"ready": True})
        if sys.stdin.readline():
            found = speed.measure(
                trainer, asked["settings"], asked["params"], data, device=asked["device"],
                seconds=MEASURE_S,
            )  # fmt: skip
            say(asdict(found))
    except Exception as error:
        say({"error": f"{type(error).__name__}: {error}"})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
