"""Which device a study's trials train on where there are a GPU and a processor: the faster one.

What is faster is measured with the study's own trainer, data and settings, and remembered under
HPSEARCH_HOME for this machine, these versions and these settings.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from hpsearch.core.console import say
from hpsearch.core.environment import cores, versions
from hpsearch.core.files import write_atomically
from hpsearch.core.home import DEVICE_SPEEDS, below
from hpsearch.core.words import duration
from hpsearch.errors import InputError
from hpsearch.search.speed.estimate import per_second
from hpsearch.search.speed.time_trials import DeviceSpeed, time_devices
from hpsearch.study.space import middle
from hpsearch.trainers.contract import Prepared, Trainer
from hpsearch.trainers.shared import speed

if TYPE_CHECKING:
    from hpsearch.search.plan.study_record import StudyRecord


def fastest(measured: Sequence[DeviceSpeed]) -> DeviceSpeed:
    """The device that does the most trials an hour. Raises InputError if all devices failed."""
    done = [one for one in measured if one.why is None]
    if not done:
        reasons = "; ".join(f"{one.device}: {one.why}" for one in measured)
        raise InputError(f"No device could train a trial of this study ({reasons}).")
    return max(done, key=lambda one: one.per_hour)


def describe(name: str, chosen: DeviceSpeed, measured: Sequence[DeviceSpeed], when: str) -> str:
    """One line with the figures of all devices."""

    def figures(one: DeviceSpeed) -> str:
        if one.why is not None:
            return f"{one.device} failed: {one.why}"
        workers = "1 worker" if one.workers == 1 else f"{one.workers} workers"
        trial = f"a trial {duration(one.seconds)}, {per_second(one.rate, one.unit)}"
        return f"{one.device} {one.per_hour:,.0f} trials an hour ({workers}, {trial})"

    others = [one for one in measured if one is not chosen]
    return (
        f"{name} trains on {chosen.device}, which is faster: {figures(chosen)}; "
        f"{', '.join(map(figures, others))}; measured {when}"
    )


def choose(
    name: str, key: Mapping[str, Any], measure: Callable[[], list[DeviceSpeed]], console: Console
) -> DeviceSpeed:
    """Choose the fastest device from the measurements that are stored under `key`.

    If there are none, this calls `measure` and stores its result. It prints the choice and the
    figures of all devices in one line.
    """
    path, when = _path(key), "now"
    measured = _read(path)
    if measured is None:
        measured = measure()
        today = datetime.now(UTC).date().isoformat()
        _write(path, {"measured": [asdict(one) for one in measured], "date": today, "key": key})
    else:
        when = f"on {json.loads(path.read_text('utf-8'))['date']}"
    chosen = fastest(measured)
    say(console, describe(name, chosen, measured, when))
    return chosen


def choose_for_run(
    record: StudyRecord,
    prepared: Prepared,
    gpus: Sequence[str],
    cpu_workers: int,
    console: Console,
) -> tuple[DeviceSpeed, dict[str, Any]]:
    """Choose between GPU and processor for a run's trials: (the device, the key of the choice).

    This measures one worker on the first of the `gpus`, where the data was prepared, and
    `cpu_workers` workers on the processor.
    """
    trainer, data_path = record.trainer, record.data_path
    params = middle(record.preset.distributions)
    settings = record.preset.settings
    workers_on = {gpus[0]: 1, "cpu": cpu_workers}
    key = key_of(trainer, settings, params, prepared.fingerprint, workers_on)
    asked = {
        "settings": settings, "params": params,
        "data": record.spec.data, "prepared_on": gpus[0],
        "data_path": None if data_path is None else str(data_path.absolute()),
    }  # fmt: skip

    def measure() -> list[DeviceSpeed]:
        one, processor = time_devices(workers_on, trainer.__name__, asked)
        return [replace(one, workers=len(gpus)), processor]

    return choose(record.name, key, measure, console), key


def choose_for_one(
    name: str,
    trainer: Trainer,
    settings: Mapping[str, Any],
    params: Mapping[str, Any],
    prepared: Prepared,
    console: Console,
) -> str:
    """The device for a single training, in this process, with all of its threads on a processor."""
    workers_on = {"cuda": 1, "cpu": 1}

    def measure() -> list[DeviceSpeed]:
        return [_on(device, trainer, settings, params, prepared) for device in workers_on]

    key = {**key_of(trainer, settings, params, prepared.fingerprint, workers_on), "alone": True}
    return choose(name, key, measure, console).device


def _on(
    device: str,
    trainer: Trainer,
    settings: Mapping[str, Any],
    params: Mapping[str, Any],
    prepared: Prepared,
) -> DeviceSpeed:
    try:
        found = speed.measure(trainer, settings, params, prepared, device=device)
    except Exception as error:
        return DeviceSpeed(device, 1, why=f"{type(error).__name__}: {error}")
    return DeviceSpeed(device, 1, found.seconds, found.rate, found.unit)


def key_of(
    trainer: Trainer,
    settings: Mapping[str, Any],
    params: Mapping[str, Any],
    fingerprint: str,
    workers_on: Mapping[str, int],
) -> dict[str, Any]:
    """All that a measurement depends on. If any of it changes, the devices are measured again."""
    return {
        "machine": {"cpu": _processor(), "cores": cores(), "gpu": _gpus()},
        "versions": {name: versions().get(name) for name in ("hpsearch", "torch")},
        "trainer": _code(trainer),
        "settings": {**settings, "params": params},
        "data": fingerprint,
        "workers": dict(workers_on),
    }


def note_gain(key: Mapping[str, Any], device: str, gain: float) -> None:
    """Remember how much more trials get done where several share the GPU, for the next choice."""
    path = _path(key)
    if (measured := _read(path)) is None:
        return
    content = json.loads(path.read_text("utf-8"))
    kind = device.partition(":")[0]
    content["measured"] = [
        {**asdict(one), "gain": gain} if one.device.partition(":")[0] == kind else asdict(one)
        for one in measured
    ]
    _write(path, content)


def _path(key: Mapping[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()
    return below(DEVICE_SPEEDS, f"{digest[:20]}.json")


def _read(path: Path) -> list[DeviceSpeed] | None:
    """What was measured; None where nothing was, or a device failed, which may be mended since."""
    try:
        content = json.loads(path.read_text("utf-8"))
        found = [DeviceSpeed(**one) for one in content["measured"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if all(one.why is None for one in found) else None


def _write(path: Path, content: Mapping[str, Any]) -> None:
    with contextlib.suppress(OSError):  # it is measured again
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(content, indent=1, default=str))


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def _code(trainer: Trainer) -> str:
    """A digest of the trainer's own modules and of those that all trainers share, wherever they
    lie."""
    root = Path(speed.__file__).parents[1]
    kind = speed.place_of(trainer).relative_to(root).parts[0]
    folders = [root / kind, root / "shared", root / "step"]
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
