"""How long a trial takes: each kind of its work is timed for a moment, then extrapolated."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from hpsearch.trainers.contract import Trainer

clock = time.perf_counter
"""The clock that work is timed with: wall time, which is what a user waits for."""
BURST_S = 0.03
"""Pieces of work that take less are timed several at a time: the clock is too coarse for one, and
waiting for a GPU takes time itself."""

LONG_S = 2.0
"""A piece that takes longer counts even if it is one of the first, which otherwise do not."""
MOST_PIECES = 1024
"""At most so many pieces are timed at once."""


@dataclass(frozen=True)
class Speed:
    """The measured speed of one trial on one device.

    Attributes:
        unit: What training is counted in: "tokens", "rows" ...
        rate: Units a second while the trial trains.
        units: All units of the training.
        seconds: The time of the whole trial, with its measurements on held-out data.
        memory: The most bytes of a GPU that the trial had, None on a processor.
    """

    unit: str
    rate: float
    units: float
    seconds: float
    memory: int | None = None


@dataclass(frozen=True)
class Work:
    """The amount of a trial's training: `units` of a `unit` such as "rows", in all `epochs`."""

    unit: str
    units: float
    epochs: int


@dataclass(frozen=True)
class Part:
    """One kind of work of a trial.

    Attributes:
        do: do(n) does n pieces of the work and returns their size, in units of the part's choice.
        total: The size of this work in a whole trial, in the same units.
        trains: Whether it is training; otherwise it is a measurement on held-out data.
        warm_up: So many pieces are done before the clock starts. The first pieces are slower:
            memory is allocated, kernels are chosen, graphs are recorded.
    """

    do: Callable[[int], float]
    total: float
    trains: bool = True
    warm_up: int = 1


class Measurable(Protocol):
    """A module that times a trainer's trials: a trainer names its own as SPEED."""

    __file__: str

    def work(
        self,
        settings: Mapping[str, Any],
        params: Mapping[str, Any],
        data: Any,  # noqa: ANN401 (what this trainer's own prepare returned)
    ) -> Work:
        """The amount of the training of a trial with these parameters."""

    def parts(
        self,
        settings: Mapping[str, Any],
        params: Mapping[str, Any],
        data: Any,  # noqa: ANN401
        *,
        device: str,
    ) -> list[Part]:
        """The work of such a trial, on a new model that is thrown away.

        The first part is the one that needs the most memory on a GPU.
        """


def is_measurable(trainer: Trainer) -> bool:
    """Whether the trainer names a module that times its trials."""
    return trainer.SPEED is not None


def place_of(trainer: Trainer) -> Path:
    """The file of the module that times the trainer's trials."""
    return Path(_measurable(trainer).__file__)


def work(
    trainer: Trainer,
    settings: Mapping[str, Any],
    params: Mapping[str, Any],
    data: Any,  # noqa: ANN401
) -> Work:
    """The amount of the training of a trial with these parameters."""
    return _measurable(trainer).work(settings, params, data)


def _measurable(trainer: Trainer) -> Measurable:
    if trainer.SPEED is None:
        raise ValueError(f"{trainer.__name__} names no module that times its trials")
    # Imported only now: it needs torch, and the trainer needs none of it.
    return cast(Measurable, importlib.import_module(trainer.SPEED))


def measure(
    trainer: Trainer,
    settings: Mapping[str, Any],
    params: Mapping[str, Any],
    data: Any,  # noqa: ANN401
    *,
    device: str,
    seconds: float = 1.0,
    enough: float = 0.0,
) -> Speed:
    """Time a trial: train on prepared data for a while, and throw the model away.

    No trace is left, neither in files nor in the state of a random generator.

    Args:
        data: What the trainer's `prepare` returned.
        seconds: About how long to train.
        enough: Stop as soon as it is known that a whole trial takes less than so many seconds.

    Raises:
        Exception: Whatever building and training the model raise.
    """
    module = _measurable(trainer)
    return measure_work(
        module.work(settings, params, data),
        lambda: module.parts(settings, params, data, device=device),
        device=device,
        seconds=seconds,
        enough=enough,
    )


def measure_work(
    whole: Work,
    make_parts: Callable[[], list[Part]],
    *,
    device: str,
    seconds: float = 1.0,
    enough: float = 0.0,
) -> Speed:
    """Time a training that is no trial: its amount is `whole`, its parts are what `make_parts`
    returns. See `measure` for the rest."""
    from hpsearch.trainers.shared.lr_finder import restored

    _wait_for(device)
    with restored([]), _peak_memory(device) as peak:
        began = clock()
        parts = make_parts()
        _wait_for(device)
        set_up = clock() - began
        spent = time_parts(parts, seconds=seconds, enough=enough, wait=lambda: _wait_for(device))
        memory = peak()
    training = sum(took for part, took in zip(parts, spent, strict=True) if part.trains)
    rate = whole.units / training if training else 0.0
    return Speed(whole.unit, rate, whole.units, set_up + sum(spent), memory)


def time_parts(
    parts: Sequence[Part],
    *,
    seconds: float,
    enough: float = 0.0,
    wait: Callable[[], None] = lambda: None,
) -> list[float]:
    """Time the parts, one after the other.

    A part's first pieces do not count, unless one takes LONG_S or longer. Each part is timed for
    its share of the `seconds`, or until it is known to take less than its share of `enough`.

    Returns:
        The seconds that a whole trial spends on each part.
    """
    found = []
    for part in parts:
        timing, began = _Timing(part, part.warm_up), clock()
        share, little = seconds / len(parts), enough / len(parts)
        while not timing.settled or (clock() - began < share and timing.seconds >= little):
            timing.time(wait)
        found.append(timing.seconds)
    return found


@dataclass
class _Timing:
    """The timing of one part of the work.

    Work of the size `done` took `spent` seconds. The next `cold` pieces do not count. A burst is a
    number of `pieces` that are timed together. This number grows until a burst is long enough to
    be timed well; then the timing is `settled`.
    """

    part: Part
    cold: int
    pieces: int = 1
    done: float = 0.0
    spent: float = 0.0
    settled: bool = False

    def time(self, wait: Callable[[], None]) -> None:
        began = clock()
        done = self.part.do(self.pieces)
        wait()
        took = clock() - began
        if self.cold and took < LONG_S:
            self.cold -= 1
            return
        # Each burst has a fixed cost beside its work. A long burst spreads this cost over many
        # pieces, so the earlier, short bursts are dropped.
        kept = (self.done, self.spent) if self.settled else (0.0, 0.0)
        self.done, self.spent = kept[0] + done, kept[1] + took
        self.settled = self.settled or took >= BURST_S or self.pieces >= MOST_PIECES
        if not self.settled:
            self.pieces *= min(8, int(BURST_S / max(took, 1e-6)) + 1)

    @property
    def seconds(self) -> float:
        """The seconds of the part in a whole trial."""
        return self.part.total * self.spent / self.done if self.done else 0.0


def _wait_for(device: str) -> None:
    """Wait until a GPU has done what was queued for it."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)


@contextmanager
def _peak_memory(device: str) -> Iterator[Callable[[], int | None]]:
    """Gives a function that returns the most bytes of the GPU that the process has held since the
    block began, None on a processor."""
    if not device.startswith("cuda"):
        yield lambda: None
        return
    import torch

    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    yield lambda: int(torch.cuda.max_memory_reserved(device))
