"""What a person sees of a run: a live display on a terminal and in a notebook, else a line a trial.

It only reads the store, so it shows the trials of every worker, wherever that is.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpsearch.core.console import say
from hpsearch.core.database_urls import database_problem
from hpsearch.core.terminal import as_line, one_line
from hpsearch.core.words import describe_params, duration, number
from hpsearch.search.notebook import NotebookOutput
from hpsearch.search.speed import estimate
from hpsearch.store import Store, summaries
from hpsearch.store.queue import fence
from hpsearch.store.queue.fence import StudyRef
from hpsearch.store.queue.progress import (
    Ended,
    Running,
    count_epochs,
    last_event,
    new_events,
    newly_ended,
    running,
)
from hpsearch.store.server.open import HEARTBEAT_S
from hpsearch.store.server.retry import OutOfReachError

POLL_S = 0.5
LOOKING_SHARE = 0.05
"""Of the time at most so much is spent on looking."""
RATE_OVER_S = 60.0
SHOWN_PARAMS = 4
SHOWN_EVENTS = (
    "worker-crashed", "trial-requeued", "disk-full", "no-checkpoints", "cache-rebuilt",
    "batch-halved", "taken-elsewhere", "companions", "gpu-crowded",
)  # fmt: skip
"""The kinds of events that are for people."""
WORDS = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@dataclass(frozen=True)
class ShownRun:
    """Which run is shown, and in what terms."""

    run_id: int
    study: StudyRef
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


class Rate:
    """How many epochs a second end, from the end of one to that of another in the last minute."""

    def __init__(self) -> None:
        self._ends: deque[tuple[int, float]] = deque()

    def saw(self, epochs: int, now: float) -> None:
        """So many epochs have ended by now."""
        if not self._ends or epochs > self._ends[-1][0]:
            self._ends.append((epochs, now))
        while len(self._ends) > 2 and self._ends[1][1] < now - RATE_OVER_S:
            self._ends.popleft()

    @property
    def per_second(self) -> float:
        """0 before it is known."""
        if len(self._ends) < 2:
            return 0.0
        (first, began), (last, ended) = self._ends[0], self._ends[-1]
        return (last - first) / (ended - began)


class Display:
    """While entered, shows the run; a thread asks the store, so a training is not disturbed.

    With `from_now` trials that ended before are counted, but not announced.
    """

    def __init__(
        self, store: Store, shown: ShownRun, console: Console, *, from_now: bool = False
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
        self._estimate: estimate.Estimate | None = None
        self._rate = Rate()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="hpsearch-display", daemon=True)
        self._live: Live | None = None
        self._notebook: NotebookOutput | None = None

    def __enter__(self) -> Display:
        say_waits(self._store, self._console)
        self._last_event = self._store.retry(last_event, self._store.engine)
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._render,
                console=self._console,
                refresh_per_second=4,
                transient=True,
            )
            self._live.start()
        elif self._console.is_jupyter:
            self._notebook = NotebookOutput()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._poll()
        self._update_notebook()
        if self._live is not None:
            self._live.stop()

    def _follow(self) -> None:
        pause = POLL_S
        while not self._stop.wait(pause):
            began = time.monotonic()
            self._poll()
            self._update_notebook()
            # With tens of thousands of trials, each look takes time of the database from the run.
            pause = max(POLL_S, (time.monotonic() - began) / LOOKING_SHARE)
        with contextlib.suppress(Exception):
            self._store.optuna.remove_session()

    @property
    def _is_live(self) -> bool:
        """Whether something shows the running trials, so that not every one needs a line."""
        return self._live is not None or self._notebook is not None

    def _update_notebook(self) -> None:
        if self._notebook is not None:
            with contextlib.suppress(Exception):  # the display must never end a run
                self._notebook.update(self._render())

    def _poll(self) -> None:
        engine, shown = self._store.engine, self._shown
        try:
            counts = summaries.states(engine, shown.study.study_id, shown.run_id)
            snapshot = Snapshot(counts, self._snapshot.best, running(engine, shown.run_id))
            if snapshot.finished != len(self._known):
                new = newly_ended(engine, shown.run_id, self._latest, self._known)
                if len(self._known) + len(new) < snapshot.finished:  # a clock is far ahead
                    new = newly_ended(engine, shown.run_id, None, self._known)
                snapshot.best = summaries.best(engine, shown.study.study_id, shown.direction)
                # A deleted study's number may go to another study. If this study is still there,
                # the values above are its own.
                fence.check_there(engine, shown.study)
                for ended in new:
                    self._known.add(ended.trial_id)
                    self._latest = max(self._latest or ended.ended_at, ended.ended_at)
                    self._announce(ended)
                self._silent = False
            self._tell_events()
            self._tell_speed(snapshot)
            self._snapshot, self._trouble = snapshot, ""
            if time.monotonic() - self._seen_at > HEARTBEAT_S:
                self._seen_at = time.monotonic()
                self._store.touch_run(shown.study, shown.run_id)
        except fence.StudyGoneError:
            self._trouble = "the study was deleted"
        except Exception:  # the display must never end a run
            self._trouble = "the store does not answer; waiting for it"

    def _tell_events(self) -> None:
        """What happened to workers and trials since the last look, each sentence once."""
        for event_id, message in new_events(
            self._store.engine, self._shown.run_id, self._last_event, SHOWN_EVENTS
        ):
            self._last_event = event_id
            if message not in self._told:
                self._told.add(message)
                say(self._console, message)

    def _tell_speed(self, now: Snapshot) -> None:
        """How long all will take, once that was measured; on a terminal how fast the work goes."""
        engine, run_id = self._store.engine, self._shown.run_id
        if self._estimate is None and (now.running or now.finished):
            self._estimate = estimate.read_estimate(self._store, run_id)
            if self._estimate is not None and self._estimate.seconds >= estimate.WORTH_SAYING_S:
                say(self._console, self._estimate.sentence)
        if self._estimate is not None and self._is_live:
            self._rate.saw(count_epochs(engine, run_id), time.monotonic())

    def _announce(self, ended: Ended) -> None:
        """A line for a finished trial; above a live display only for the better and the failed."""
        better = ended.state == TrialState.COMPLETE and self._is_better(ended.value)
        if better:
            self._best = ended.value
        if self._silent:
            return
        if not self._is_live or better or ended.state == TrialState.FAIL:
            say(self._console, describe_trial(ended, self._shown.metric))

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
            f"[bold]{escape(one_line(shown.name))}[/]",
            ProgressBar(total=shown.trials, completed=now.done, width=32),
            f"{now.finished}/{shown.trials}",
            self._time_left(),
        )
        text = summary(now, shown)
        if self._estimate is not None and (epochs := self._rate.per_second):
            rate = epochs * self._estimate.per_epoch
            text += f"; {estimate.per_second(rate, self._estimate.unit)}"
        lines: list[RenderableType] = [top, as_line(text)]
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


def summary(now: Snapshot, shown: ShownRun) -> str:
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
        table.add_row(*(escape(one_line(cell)) for cell in row))
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


def say_waits(store: Store, console: Console) -> None:
    """Say from now on when the store does not answer and is waited for."""

    def tell(error: BaseException) -> None:
        how = (
            "does not answer"
            if isinstance(error, OutOfReachError)
            else database_problem(error, store.url)
        )
        text = f"The store {store.shown_url} {how}; waiting for it."
        say(console, text)

    store.on_wait = tell


def shown_run(
    study: optuna.Study, ref: StudyRef, run_id: int, metric: str, trials: int
) -> ShownRun:
    return ShownRun(run_id, ref, ref.name, metric, study.directions[0], trials)
