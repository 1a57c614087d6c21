"""What a person sees: lines where output is kept, a live display on a terminal."""

import io
import re

import pytest
from calls import run
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState
from rich.console import Console

from hpsearch.core.words import describe_params, duration, number
from hpsearch.search.display import Display, ShownRun, shown_run
from hpsearch.store import Store
from hpsearch.store.queue import queue
from hpsearch.store.queue.fence import StudyRef
from hpsearch.store.queue.processes import this_worker
from hpsearch.store.queue.queue import Planned
from hpsearch.trainers.contract import EpochRecord


def test_piped_output_has_a_line_for_every_trial(spec, storage, console):
    study = run(spec, trials=6, storage=storage, console=console)
    text = console.file.getvalue()
    assert "\x1b" not in text
    lines = text.splitlines()
    assert lines[:2] == ["preparing ...", "data: source fake"]
    assert "fake-quick: 6 trials to run" in lines[2:5]
    trials = [line for line in lines if re.match(r"trial \d+ ", line)]
    assert len(trials) == 6
    first = study.trials[0]
    assert trials[0].startswith(f"trial 0     baseline  complete  score {first.value:.4g}  ")
    assert trials[0].endswith("  x=0.5 lr=0.01 depth=3 kind=a")
    assert re.fullmatch(
        r"fake-quick: finished after [\d.]+ s: \d complete, \d pruned, 0 failed", lines[-2]
    )
    best = study.best_trial
    assert lines[-1].startswith(f"best score {best.value:.4g}, trial {best.number}: x=")


def test_a_terminal_shows_bar_counts_best_and_time_left(spec, storage, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    console = Console(
        file=io.StringIO(), force_terminal=True, width=120, color_system="256", legacy_windows=False
    )
    run(spec.but(sleep=0.4), trials=2, storage=storage, console=console)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue())
    assert "preparing" in text
    assert re.search(r"fake-quick .*\d/2 .*(left|unknown)", text)
    assert re.search(r"1 running, \d complete, 0 pruned, 0 failed; best score", text)
    assert re.search(r"trial \d +\w+ .*epoch [12]/3", text)
    assert text.rstrip().splitlines()[-1].startswith("best score")


@pytest.fixture
def running(storage):
    """A store with one trial in its second of four epochs and one that waits."""
    import optuna

    with Store.open(storage) as store:
        study = optuna.create_study(storage=store.optuna, study_name="live", direction="maximize")
        ref = StudyRef.of(study)
        run_id = store.start_run(
            ref, trials=2, workers=1, engine="local", machine="m", host="h", pid=1
        )
        space = {"x": FloatDistribution(0, 1)}
        queue.enqueue(
            store.engine,
            ref,
            run_id,
            space,
            lambda first: [Planned("design", 1, {"x": 0.5}), Planned("exploit", 2, {})],
        )
        claim = queue.claim(store.engine, ref, this_worker(), run_id)
        for epoch in (1, 2):
            store.record_epoch(
                claim,
                EpochRecord("head", epoch, 4, 0.5, 0.25, {"score": 0.5}, (0.1,), 1.0),
            )
        yield store, study, shown_run(study, ref, run_id, "score", 2)


def test_the_display_knows_the_latest_epoch(running):
    store, _, shown = running
    console = Console(file=io.StringIO(), width=120)
    display = Display(store, shown, console)
    display._poll()
    console.print(display._render())
    text = console.file.getvalue()
    assert "0/2" in text
    assert "trial 0" in text
    assert "epoch 2/4" in text
    assert "valid loss 0.25" in text
    # Half of one of two trials is done: three times as long as passed is left.
    assert display._snapshot.done == 0.5


def test_the_display_survives_a_store_that_is_gone(running):
    store, study, shown = running
    console = Console(file=io.StringIO(), width=120)
    display = Display(store, shown, console)
    with store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE hps_epoch RENAME TO hidden")
    display._poll()
    console.print(display._render())
    assert "does not answer" in console.file.getvalue()
    with store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE hidden RENAME TO hps_epoch")
    study.tell(0, 0.75)
    display._poll()
    assert display._trouble == ""
    assert display._snapshot.counts == {TrialState.COMPLETE: 1, TrialState.WAITING: 1}
    assert "complete  score 0.75" in console.file.getvalue()


def test_a_trial_is_announced_once(running):
    store, study, shown = running
    console = Console(file=io.StringIO(), width=120)
    with Display(store, shown, console) as display:
        study.tell(0, 0.5)
        for _ in range(5):
            display._poll()
    assert console.file.getvalue().count("trial 0") == 1


def test_markup_in_a_name_is_only_text(running):
    store, study, shown = running
    console = Console(file=io.StringIO(), width=120)
    shown = ShownRun(shown.run_id, shown.study, "odd[red]name", "score", study.direction, 2)
    console.print(Display(store, shown, console)._render())
    assert "odd[red]name" in console.file.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (185, "3 min 05 s"),
     (3599.6, "1 h 00 min"), (7800, "2 h 10 min")],
)  # fmt: skip
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_numbers_and_params():
    assert [number(one) for one in (0.123456, 1e-5, 12, True, "a")] == [
        "0.1235", "1e-5", "12", "True", "a",
    ]  # fmt: skip
    assert describe_params({"a": 1, "b": 0.25, "c": "x"}, 2) == "a=1 b=0.25 …"
