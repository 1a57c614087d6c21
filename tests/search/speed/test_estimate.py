"""A run says how long it will take before it takes long, and `show` remembers what came of it."""

import io
import json
import re

import pytest
import sqlalchemy as sa
from calls import run
from priced_table import priced_table
from rich.console import Console

from hpsearch.cli.tables import run_speeds
from hpsearch.models.train import TrainOptions, train_final
from hpsearch.search.display import Rate
from hpsearch.search.speed import estimate
from hpsearch.search.speed.estimate import Estimate, per_second, read_estimate
from hpsearch.store import Store
from hpsearch.store.tables import schema
from hpsearch.trainers.shared import speed

STUDY = """
name = "timed"
trainer = "tabular"
metric = "mse"
direction = "minimize"
data = { path = "table.csv", target = "price" }
settings = { bs = 32 }
space.lr = { low = 1e-4, high = 1e-1, log = true, default = 1e-2 }
space.epochs = { type = "int", low = 1, high = 3, default = 1 }
presets.quick.trials = 6
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HPSEARCH_DEVICE", "cpu")
    return priced_table(tmp_path, STUDY)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_worker_measures_once_for_the_whole_run(
    study, storage, console, workers, monkeypatch
):
    run(study, trials=6, workers=workers, storage=storage, console=console)
    with Store.open(storage) as store:
        events = [one for one in store.events() if one["kind"] == estimate.MEASURED]
        (summary,) = store.studies()
        (shown,) = run_speeds(store, summary)
        epochs = len(store.epochs("timed-quick"))
    found = Estimate(**json.loads(events[0]["message"]))
    assert len(events) == 1
    assert (found.device, found.workers, found.trials, found.unit) == ("cpu", workers, 6, "rows")
    assert found.per_epoch == 1000  # 250 are held out
    assert found.seconds == pytest.approx(6 * found.trial_seconds / workers)
    assert "6 trials take" not in console.file.getvalue()  # it is over before anybody reads it
    assert re.fullmatch(
        r"timed-quick, run 1: 6 trials take about [\d.]+ s: .* on cpu, [\d,]+ rows/s.*; finished "
        r"after [\d.]+ s, ([\d,]+) rows/s in all",
        shown,
    )
    assert epochs >= 6
    run(study, trials=2, workers=1, storage=storage, console=console)  # another run, on its own
    with Store.open(storage) as store:
        events = [one for one in store.events() if one["kind"] == estimate.MEASURED]
        assert len(events) == 2
        assert len(run_speeds(store, summary)) == 2


def test_a_long_run_says_so_before_its_first_trial_ends(study, storage, console, monkeypatch):
    monkeypatch.setattr(estimate, "WORTH_SAYING_S", 0.001)
    run(study, trials=2, storage=storage, console=console)
    lines = console.file.getvalue().splitlines()
    (said,) = [i for i, line in enumerate(lines) if line.startswith("2 trials take about ")]
    assert re.search(r"1 worker on cpu, [\d,]+ rows/s$", lines[said])


def test_what_cannot_be_measured_is_noted_and_the_run_goes_on(study, storage, console, monkeypatch):
    def fail(*_, **__):
        raise MemoryError("no room")

    monkeypatch.setattr(speed, "measure", fail)
    run(study, trials=2, storage=storage, console=console)
    with Store.open(storage) as store:
        (event,) = [one for one in store.events() if one["kind"] == estimate.NOT_MEASURED]
        assert "no room" in event["message"]
        assert store.studies()[0].counts == {"complete": 2}


def test_trials_that_differ_in_length_are_averaged(study, storage, console):
    """With 3 epochs each a trial takes three times as long as with 1."""
    seconds = {}
    for epochs in (1, 3):
        search = {"fix": {"epochs": epochs}}
        one = study.model_copy(update={"name": f"timed-{epochs}"})
        run(one, trials=2, storage=storage, console=console, search=search)
        with Store.open(storage) as store:
            found = [e for e in store.events(f"timed-{epochs}-quick") if e["kind"] == "measured"]
        seconds[epochs] = json.loads(found[0]["message"])
    work = {k: one["trial_seconds"] * one["rate"] for k, one in seconds.items()}
    assert 2 < work[3] / work[1] < 4


def test_a_trained_model_keeps_how_fast_it_was(study, tmp_path, monkeypatch):
    monkeypatch.setattr(estimate, "WORTH_SAYING_S", 0.001)
    console = Console(file=io.StringIO(), width=200)
    train_final(study, tmp_path / "model", TrainOptions("quick"), console=console)
    kept = json.loads((tmp_path / "model" / "training.json").read_text())["speed"]
    assert kept["unit"] == "rows"
    assert kept["units"] == 1000
    text = console.file.getvalue()
    assert re.search(r"The training takes about [\d.]+ s on cpu: [\d,]+ rows/s", text)
    assert text.index("The training takes") < text.index("epoch 1/1")


def test_a_rate_is_that_of_the_last_minute():
    rate = Rate()
    assert rate.per_second == 0
    for second in range(200):
        rate.saw(second if second < 100 else 100 + 3 * (second - 100), float(second))
    assert rate.per_second == pytest.approx(3.0)
    assert [per_second(one, "tokens") for one in (12345.6, 1.26)] == [
        "12,346 tokens/s",
        "1.3 tokens/s",
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: "[" * 50_000,
        lambda kept: "{}",
        lambda kept: json.dumps({**kept, "seconds": "long"}),
        lambda kept: json.dumps({**kept, "seconds": None}),
        lambda kept: json.dumps({**kept, "seconds": 1.0}).replace("1.0", "1e999"),
    ],
)
def test_an_estimate_in_a_store_that_nobody_can_read_is_none(study, storage, console, change):
    run(study, trials=1, storage=storage, console=console)
    with Store.open(storage) as store:
        assert read_estimate(store, 1) is not None
        (kept,) = [one for one in store.events() if one["kind"] == estimate.MEASURED]
        events = schema.event
        with store.engine.begin() as connection:
            connection.execute(
                sa.update(events)
                .where(events.c.event_id == kept["event_id"])
                .values(message=change(json.loads(kept["message"])))
            )
        assert read_estimate(store, 1) is None
        assert run_speeds(store, store.studies()[0]) == []
