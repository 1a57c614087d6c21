"""What a person sees of a run: a live display on a terminal, one line a trial elsewhere.

It only reads the store, so it shows the trials of every worker, wherever that is.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpsearch.store import Store, reading
from hpsearch.store.opening import HEARTBEAT_S, why
from hpsearch.store.patience import OutOfReachError
from hpsearch.store.progress import Ended, Running, last_event, new_events, newly_ended, running

POLL_S = 0.5
LOOKING_SHARE = 0.05
"""Of the time at most so much is spent on looking."""
SHOWN_PARAMS = 4
TOLD = (
    "worker-crashed", "trial-requeued", "disk-full", "no-checkpoints", "cache-rebuilt",
    "batch-halved",
)  # fmt: skip
"""The kinds of events that are for people."""
WORDS = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@dataclass(frozen=True)
class Shown:
    """Which run is shown, and in what terms."""

    run_id: int
    study_id: int
    name: str
    metric: str
    direction: StudyDirection
    trials: int


@dataclass
class Snapshot:
    """The run at one moment."""

    counts: dict[TrialState, int] = field(default_factory=dict)
    best: tuple[float, int] | None = None
    running: list[Running] = field(default_factory=list)

    @property
    def finished(self) -> int:
        return sum(self.counts.get(state, 0) for state in WORDS)

    @property
    def done(self) -> float:
        """Finished trials, and the finished parts of the running ones."""
        parts = [one.epoch / one.epochs for one in self.running if one.epoch and one.epochs]
        return self.finished + sum(parts)


class Display:
    """While entered, shows the run; a thread asks the store, so a training is not disturbed.

    With `from_now` trials that ended before are counted, but not announced.
    """

    def __init__(
        self, store: Store, shown: Shown, console: Console, *, from_now: bool = False
    ) -> None:
        self._store = store
        self._shown = shown
        self._console = console
        self._snapshot = Snapshot()
        self._started = time.monotonic()
        self._seen_at = self._started
        self._known: set[int] = set()
        self._latest: datetime | None = None
        self._best: float | None = None
        self._silent = from_now
        self._last_event = 0
        self._told: set[str] = set()
        self._trouble = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="hpsearch-display", daemon=True)
        self._live: Live | None = None

    def __enter__(self) -> Display:
        tell_waits(self._store, self._console)
        self._last_event = self._store.patiently(lambda: last_event(self._store.engine))
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._render,
                console=self._console,
                refresh_per_second=4,
                transient=True,
            )
            self._live.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._poll()
        if self._live is not None:
            self._live.stop()

    def _follow(self) -> None:
        pause = POLL_S
        while not self._stop.wait(pause):
            began = time.monotonic()
            self._poll()
            # With ten thousands of trials a look is work for the database, which has its own to do.
            pause = max(POLL_S, (time.monotonic() - began) / LOOKING_SHARE)
        with contextlib.suppress(Exception):
            self._store.optuna.remove_session()

    def _poll(self) -> None:
        engine, shown = self._store.engine, self._shown
        try:
            counts = reading.states(engine, shown.study_id, shown.run_id)
            snapshot = Snapshot(counts, self._snapshot.best, running(engine, shown.run_id))
            if snapshot.finished != len(self._known):
                for ended in newly_ended(engine, shown.run_id, self._latest, self._known):
                    self._known.add(ended.trial_id)
                    self._latest = max(self._latest or ended.ended_at, ended.ended_at)
                    self._announce(ended)
                self._silent = False
                snapshot.best = reading.best(engine, shown.study_id, shown.direction)
            self._tell_events()
            self._snapshot, self._trouble = snapshot, ""
            if time.monotonic() - self._seen_at > HEARTBEAT_S:
                self._seen_at = time.monotonic()
                self._store.touch_run(shown.run_id)
        except Exception:  # the display must never end a run
            self._trouble = "the store does not answer; waiting for it"

    def _tell_events(self) -> None:
        """What happened to workers and trials since the last look, each sentence once."""
        for event_id, message in new_events(
            self._store.engine, self._shown.run_id, self._last_event, TOLD
        ):
            self._last_event = event_id
            if message not in self._told:
                self._told.add(message)
                self._console.print(Text(message), soft_wrap=True, highlight=False)

    def _announce(self, ended: Ended) -> None:
        """A line for a finished trial; above a live display only for the better and the failed."""
        better = ended.state == TrialState.COMPLETE and self._is_better(ended.value)
        if better:
            self._best = ended.value
        if self._silent:
            return
        if self._live is None or better or ended.state == TrialState.FAIL:
            self._console.print(
                Text(describe_trial(ended, self._shown.metric)), soft_wrap=True, highlight=False
            )

    def _is_better(self, value: float | None) -> bool:
        if value is None:
            return False
        if self._best is None:
            return True
        if self._shown.direction == StudyDirection.MAXIMIZE:
            return value > self._best
        return value < self._best

    def _render(self) -> RenderableType:
        shown, now = self._shown, self._snapshot
        top = Table.grid(padding=(0, 2))
        top.add_row(
            f"[bold]{escape(shown.name)}[/]",
            ProgressBar(total=shown.trials, completed=now.done, width=32),
            f"{now.finished}/{shown.trials}",
            self._time_left(),
        )
        lines: list[RenderableType] = [top, Text(summary(now, shown))]
        if now.running:
            lines.append(_running_table(now.running, shown.metric))
        if self._trouble:
            lines.append(Text(self._trouble, style="red"))
        return Group(*lines)

    def _time_left(self) -> str:
        done = self._snapshot.done
        if done <= 0:
            return "time left unknown yet"
        passed = time.monotonic() - self._started
        return f"{duration(passed * (self._shown.trials - done) / done)} left"


def summary(now: Snapshot, shown: Shown) -> str:
    """'2 running, 5 complete, 1 pruned, 0 failed; best accuracy 0.8125 (trial 4)'."""
    counts = [f"{now.counts.get(TrialState.RUNNING, 0)} running"]
    counts += [f"{now.counts.get(state, 0)} {word}" for state, word in WORDS.items()]
    text = ", ".join(counts)
    if now.best is None:
        return text
    return f"{text}; best {shown.metric} {number(now.best[0])} (trial {now.best[1]})"


def _running_table(trials: list[Running], metric: str) -> Table:
    table = Table.grid(padding=(0, 2))
    for one in trials[:12]:
        row = [f"  trial {one.number}", one.cohort]
        if one.epoch is None:
            row.append("starting")
        else:
            row += [str(one.stage), f"epoch {one.epoch}/{one.epochs}"]
            if one.valid_loss is not None:
                row.append(f"valid loss {number(one.valid_loss)}")
            if isinstance(one.metrics.get(metric), int | float):
                row.append(f"{metric} {number(one.metrics[metric])}")
        table.add_row(*map(escape, row))
    return table


def describe_trial(ended: Ended, metric: str) -> str:
    """One finished trial in one line."""
    if ended.state == TrialState.FAIL:
        result = ended.reason or "no reason was recorded"
    else:
        result = f"{metric} {number(ended.value)}" if ended.value is not None else "no value"
    parts = [
        f"trial {ended.number:<4}",
        f"{ended.cohort:<8}",
        f"{WORDS[ended.state]:<8}",
        f"{result:<{len(metric) + 7}}",
        f"{duration(ended.seconds):>10}",
        describe_params(ended.params, SHOWN_PARAMS),
    ]
    return "  ".join(parts)


def describe_params(params: Mapping[str, Any], count: int | None = None) -> str:
    """'lr=0.0123 bs=32 …', the first `count` in the space's order."""
    shown = [f"{name}={number(value)}" for name, value in list(params.items())[:count]]
    return " ".join(shown) + (" …" if len(params) > len(shown) else "")


def number(value: object) -> str:
    """Four significant digits of a number, anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """'0.4 s', '12 s', '3 min 05 s', '2 h 10 min'."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def tell_waits(store: Store, console: Console) -> None:
    """Say from now on when the store does not answer and is waited for."""

    def tell(error: BaseException) -> None:
        how = "does not answer" if isinstance(error, OutOfReachError) else why(error, store.url)
        text = f"The store {store.shown_url} {how}; waiting for it."
        console.print(Text(text), soft_wrap=True)

    store.on_wait = tell


def shown_of(study: optuna.Study, run_id: int, metric: str, trials: int) -> Shown:
    return Shown(run_id, study._study_id, study.study_name, metric, study.directions[0], trials)
