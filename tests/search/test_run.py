"""A run in this process: what it plans, records, refuses, survives and repeats."""

import contextlib
import json
import os
import signal
import sqlite3
import threading
import time
from dataclasses import replace

import optuna
import pytest
import sqlalchemy as sa
from calls import run
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from hpsearch.errors import HpsearchError, InputError
from hpsearch.search.plan.cohorts import trial_seed
from hpsearch.store import Store, summaries
from hpsearch.store.queue import queue, runs
from hpsearch.store.server import open
from hpsearch.store.tables import schema


def outline(study):
    """What must be the same when a study is repeated."""
    return [
        (trial.number, trial.state, trial.params, trial.value, trial.intermediate_values)
        for trial in study.trials
    ]


def test_a_run_fills_the_store(spec, storage, console):
    study = run(spec, trials=12, storage=storage, console=console)
    assert study.study_name == "fake-quick"
    cohorts = [trial.user_attrs["hps_cohort"] for trial in study.trials]
    assert cohorts == ["baseline"] + ["design"] * 6 + ["exploit"] * 5
    assert study.trials[0].params == spec.preset.defaults
    assert study.user_attrs["hps_shared"] == {"stages": [], "trainer": spec.trainer}
    assert all(trial.state.is_finished() for trial in study.trials)
    with Store.open(storage) as store:
        counts = store.table_counts()
        assert counts["hps_trial"] == 12
        epochs = store.epochs("fake-quick")
        trials = store.trials("fake-quick")
    reported = [(t.number, epoch) for t in study.trials for epoch in t.intermediate_values]
    assert [(row["number"], row["epoch"]) for row in epochs] == reported
    for row, trial in zip(trials, study.trials, strict=True):
        assert row["seed"] == trial.user_attrs["hps_seed"] == trial_seed(0, trial.number)
        assert row["cohort"] == trial.user_attrs["hps_cohort"]
        assert (row["preset"], row["device"], row["attempts"]) == ("quick", "cpu", 1)
        assert row["pid"] == os.getpid()
        assert row["versions"]["optuna"] == optuna.__version__
        assert len(row["data_fingerprint"]) == 64
        if trial.state == TrialState.COMPLETE:
            assert row["metrics"]["score"] == trial.value
            assert row["precision"] == "fp32"
            assert trial.user_attrs["hps_metrics"]["loss"] == 1 - trial.value
    assert [entry["what"] for entry in spec.journal].count("prepare") == 1


def test_running_again_adds_trials(spec, storage, console):
    first = outline(run(spec, trials=5, storage=storage, console=console))
    study = run(spec, trials=4, storage=storage, console=console)
    assert outline(study)[:5] == first
    cohorts = [trial.user_attrs["hps_cohort"] for trial in study.trials]
    assert len(cohorts) == 9
    assert cohorts.count("baseline") == 1


def test_a_total_counts_the_trials_that_there_are(spec, storage, console):
    """Those of an interrupted run too: done, or waiting to be taken over."""
    with pytest.raises(KeyboardInterrupt):
        run(spec.but(bad="interrupt once"), total=6, storage=storage, console=console)
    again = spec.but(bad="interrupt once")
    for total, there in ((6, 6), (6, 6), (4, 6), (9, 9)):
        study = run(again, total=total, storage=storage, console=console)
        assert [trial.state.is_finished() for trial in study.trials] == [True] * there
    assert "fake-quick has its 4 trials already." in console.file.getvalue()
    with pytest.raises(InputError, match="--trials and --total do not go together"):
        run(again, trials=1, total=9, storage=storage, console=console)
    with pytest.raises(InputError, match="--total 0 is not possible"):
        run(again, total=0, storage=storage, console=console)


def test_a_run_that_is_interrupted_while_it_is_planned_has_an_end(
    spec, storage, console, monkeypatch
):
    """Planning thousands of trials takes a while; another machine takes them over at once."""
    keep_job = runs.keep_job

    def signalled(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return keep_job(*arguments)

    monkeypatch.setattr(runs, "keep_job", signalled)
    with pytest.raises(KeyboardInterrupt):
        run(spec, total=3, storage=storage, console=console)
    monkeypatch.setattr(runs, "keep_job", keep_job)
    with Store.open(storage) as store:
        assert [one["outcome"] for one in runs.of_study(store.engine, 1)] == ["interrupted"]
        assert store.studies()[0].counts == {"waiting": 3}
    assert len(run(spec, total=3, storage=storage, console=console).trials) == 3


def test_the_budget_of_the_preset_is_the_default(spec, storage, console):
    assert len(run(spec, storage=storage, console=console).trials) == 6


def test_the_same_seed_gives_the_same_study(spec, tmp_path, console):
    studies = [
        run(spec, trials=14, storage=f"sqlite:///{tmp_path / name}.db", seed=5, console=console)
        for name in "ab"
    ]
    assert outline(studies[0]) == outline(studies[1])
    other = run(spec, trials=14, storage=f"sqlite:///{tmp_path}/c.db", seed=6, console=console)
    assert outline(other)[1][2] != outline(studies[0])[1][2]


@pytest.mark.parametrize("no_checkpoint", [False, True])
def test_an_interrupted_study_ends_as_an_uninterrupted_one(spec, tmp_path, console, no_checkpoint):
    """Ctrl-C in the middle of a trial, the same command again: the same study, trial for trial."""
    spec = spec.but(bad="interrupt once", bad_above=-2, no_checkpoint=no_checkpoint)
    storage = f"sqlite:///{tmp_path / 'interrupted.db'}"
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(spec, trials=14, storage=storage, console=console)
    assert signal.getsignal(signal.SIGINT) is before
    with Store.open(storage) as store:
        (summary,) = store.studies()
        assert summary.counts == {"waiting": 14}
        kinds = [event["kind"] for event in store.events()]
        assert kinds == ["worker-started", "trial-put-back", "worker-ended"]
    assert "interrupted" in console.file.getvalue()
    assert "14 still to run" in console.file.getvalue()
    interrupted = run(spec, trials=14, storage=storage, console=console)
    assert "14 of them left over" in console.file.getvalue()
    whole = run(spec, trials=14, storage=f"sqlite:///{tmp_path / 'whole.db'}", console=console)
    assert outline(interrupted) == outline(whole)
    starts = [entry["start"] for entry in spec.journal if entry["what"] == "train"]
    assert starts[1] == (1 if no_checkpoint else 2)


def test_waiting_trials_count_towards_the_next_run(spec, storage, console):
    with pytest.raises(KeyboardInterrupt):
        run(spec.but(bad="interrupt once"), trials=6, storage=storage, console=console)
    study = run(spec.but(bad="interrupt once"), trials=8, storage=storage, console=console)
    assert len(study.trials) == 8
    assert run(spec.but(bad="interrupt once"), trials=1, storage=storage, console=console)
    assert len(study.trials) == 9


def test_a_shorter_run_leaves_the_rest_waiting(spec, storage, console):
    with pytest.raises(KeyboardInterrupt):
        run(spec.but(bad="interrupt once"), trials=6, storage=storage, console=console)
    study = run(spec.but(bad="interrupt once"), trials=2, storage=storage, console=console)
    states = [trial.state for trial in study.trials]
    assert states == [TrialState.COMPLETE] * 2 + [TrialState.WAITING] * 4


def test_failing_trials_are_recorded_and_the_search_goes_on(spec, storage, console):
    spec = spec.but(bad="raise", bad_above=0.6)
    study = run(spec, trials=20, storage=storage, search={"pruner": "none"}, console=console)
    failed = [trial for trial in study.trials if trial.state == TrialState.FAIL]
    assert failed
    assert len(study.trials) == 20
    for trial in study.trials:
        assert (trial.state == TrialState.FAIL) == (trial.params["x"] >= 0.6)
    reason = failed[0].user_attrs["hps_failure"]
    assert reason == f"ValueError: x is {failed[0].params['x']}"
    with Store.open(storage) as store:
        start, event, *_, end = store.events("fake-quick")
    assert (start["kind"], end["kind"]) == ("worker-started", "worker-ended")
    assert (event["kind"], event["message"]) == ("trial-failed", reason)
    assert "second line" in event["traceback"]
    assert "misbehave" in event["traceback"]
    assert f"failed    {reason}" in console.file.getvalue()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("diverge", "the loss became nan in epoch 2"),
        ("memory", "out of memory"),
        ("raise", "ValueError: x is 0.5"),
    ],
)
def test_what_fails_five_times_alike_ends_the_run(spec, storage, console, bad, reason):
    with pytest.raises(HpsearchError, match="first 5 trials all failed alike") as caught:
        run(spec.but(bad=bad), trials=30, storage=storage, console=console)
    assert reason in str(caught.value)
    with Store.open(storage) as store:
        assert store.studies()[0].counts == {"fail": 5, "waiting": 25}


def test_a_run_whose_trials_all_fail_says_why(spec, storage, console):
    with pytest.raises(HpsearchError, match=r"All 2 trials of this run failed.*ValueError"):
        run(spec.but(bad="raise"), trials=2, storage=storage, console=console)


def test_a_metric_that_is_not_a_number_fails_the_trial(spec, storage, console):
    with pytest.raises(HpsearchError, match="score is nan, not a finite number"):
        run(spec.but(nan=True), trials=1, storage=storage, console=console)


def test_a_metric_the_trainer_does_not_give_ends_the_run(spec, storage, console):
    with pytest.raises(HpsearchError, match="gives no metric 'f1' but loss, score"):
        run(replace(spec, metric="f1"), trials=3, storage=storage, console=console)
    with Store.open(storage) as store:
        assert store.studies()[0].counts == {"fail": 1, "waiting": 2}


def test_only_exploit_trials_are_pruned(spec, storage, console):
    study = run(spec, trials=60, storage=storage, console=console)
    pruned = [trial for trial in study.trials if trial.state == TrialState.PRUNED]
    assert pruned
    assert {trial.user_attrs["hps_cohort"] for trial in pruned} == {"exploit"}
    for trial in pruned:
        assert trial.value == trial.intermediate_values[trial.last_step]
    # TPE finds the optimum at x = 0.3, lr = 0.01 of a surface whose median is far below.
    assert study.best_value > 0.97


@pytest.mark.parametrize(("pruner", "prunes"), [("none", False), ("hyperband", True)])
def test_pruners_by_name(spec, storage, console, pruner, prunes):
    spec = spec.but(epochs=9)
    study = run(spec, trials=40, storage=storage, search={"pruner": pruner}, console=console)
    assert any(trial.state == TrialState.PRUNED for trial in study.trials) == prunes


def test_minimising_works_too(spec, storage, console):
    spec = replace(spec, metric="loss", direction="minimize")
    study = run(spec, trials=6, storage=storage, console=console)
    assert study.best_value == min(trial.value for trial in study.trials)


def test_replicates_differ_by_their_seed_alone(spec, storage, console):
    study = run(spec, trials=30, storage=storage, search={"design_share": 1}, console=console)
    replicates = [t for t in study.trials if "hps_replicate_of" in t.user_attrs]
    assert len(replicates) == 3
    for trial in replicates:
        original = study.trials[trial.user_attrs["hps_replicate_of"]]
        assert trial.params == original.params
        assert trial.value != original.value
        assert trial.value == pytest.approx(original.value, abs=0.02)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("space", "lr is 1e-5 to 0.1, log (was 0.0001 to 0.1, log)"),
        ("settings", "settings.epochs is 5 (was 3)"),
        ("data", 'data.source is "other" (was "fake")'),
        ("metric", "the metric is loss (was score)"),
        ("direction", "the direction is minimize"),
        ("files", "the data is source /elsewhere, fingerprint"),
    ],
)
def test_a_changed_study_is_refused_with_the_difference(spec, storage, console, change, says):
    run(spec, trials=1, storage=storage, console=console)
    options = {}
    if change == "space":
        lr = FloatDistribution(1e-5, 1e-1, log=True)
        space = {**spec.preset.distributions, "lr": lr}
        spec = replace(spec, preset=replace(spec.preset, distributions=space))
    elif change == "settings":
        spec = spec.but(epochs=5)
    elif change == "data":
        spec = replace(spec, data={"source": "other"})
    elif change == "files":
        options = {"data_path": "/elsewhere"}
    else:
        spec = replace(spec, **{change: {"metric": "loss", "direction": "minimize"}[change]})
    with pytest.raises(InputError) as caught:
        run(spec, trials=1, storage=storage, console=console, **options)
    assert says in str(caught.value)
    assert "--storage" in str(caught.value)
    with Store.open(storage) as store:
        assert store.studies()[0].trials == 1
        assert store.table_counts()["hps_run"] == 1


@pytest.mark.parametrize("change", ["settings", "metric", "files"])
def test_a_study_without_a_complete_trial_may_be_corrected(spec, storage, console, change):
    with pytest.raises(HpsearchError):
        run(spec.but(bad="raise", bad_above=-2), trials=1, storage=storage, console=console)
    right, options = spec, {}
    if change == "metric":
        right = replace(right, metric="loss", direction="minimize")
    elif change == "files":
        right, options = spec.but(bad="raise", bad_above=-2), {"data_path": "/elsewhere"}
    with contextlib.suppress(HpsearchError):
        run(right, trials=1, storage=storage, console=console, **options)
    assert "fake-quick begins anew, as it had no complete trial" in console.file.getvalue()
    with Store.open(storage) as store:
        assert store.studies()[0].trials == 1
        assert store.table_counts()["hps_run"] == 1


def test_a_study_of_that_name_made_by_others_is_left_alone(spec, storage, console):
    plain = optuna.create_study(storage=storage, study_name="fake-quick")
    plain.optimize(lambda trial: trial.suggest_float("y", 0, 1), n_trials=2)
    with pytest.raises(InputError, match="did not make"):
        run(spec, trials=1, storage=storage, console=console)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"trials": 0}, "--trials 0"),
        ({"trials": -3}, "--trials -3"),
        ({"workers": 0}, "--workers 0"),
        ({"timeout": 0}, "--timeout 0"),
        ({"seed": -1}, "--seed -1"),
        ({"search": {"design_share": 1.5}}, "design_share: input should be less"),
        ({"search": {"pruner": "best"}}, "pruner: input should be 'median'"),
        ({"engine": "cloud"}, "choose one of local"),
    ],
)
def test_impossible_wishes_are_refused_before_anything_is_made(
    spec, storage, console, options, says, tmp_path
):
    with pytest.raises(InputError) as caught:
        run(spec, storage=storage, console=console, **options)
    assert says in str(caught.value)
    assert not (tmp_path / "store.db").exists()


def test_no_trial_starts_after_the_timeout(spec, storage, console):
    study = run(spec.but(sleep=0.2), trials=50, timeout=0.5, storage=storage, console=console)
    states = {trial.state for trial in study.trials}
    assert states == {TrialState.COMPLETE, TrialState.WAITING}
    assert "out of time after" in console.file.getvalue()
    assert "still to run" in console.file.getvalue()


def test_a_clock_that_is_set_forward_does_not_end_the_run(spec, storage, console, monkeypatch):
    real, leap = time.time, []

    def leap_after_the_first_epoch():
        while not spec.journal:
            time.sleep(0.01)
        leap.append(7200)

    monkeypatch.setattr(time, "time", lambda: real() + sum(leap))
    thread = threading.Thread(target=leap_after_the_first_epoch)
    thread.start()
    study = run(spec.but(sleep=0.05), trials=4, timeout=3600, storage=storage, console=console)
    thread.join()
    assert leap
    assert all(trial.state.is_finished() for trial in study.trials)


def test_a_trial_enqueued_with_optuna_is_run_too(spec, storage, console):
    study = run(spec, trials=2, storage=storage, console=console)
    study.enqueue_trial({"x": 0.25, "lr": 0.005})
    study = run(spec, trials=1, storage=storage, console=console)
    assert len(study.trials) == 3
    trial = study.trials[2]
    assert (trial.params["x"], trial.params["lr"]) == (0.25, 0.005)
    assert set(trial.params) == set(spec.preset.distributions)
    assert trial.user_attrs["hps_cohort"] == "enqueued"


def test_checkpoints_of_finished_trials_are_removed(spec, storage, console, tmp_path):
    run(spec, trials=4, storage=storage, console=console)
    folders = list((tmp_path / "home" / "checkpoints").glob("*/*"))
    assert folders == []


def test_checkpoints_of_workers_killed_after_a_trials_end_go_with_the_run(
    spec, storage, console, tmp_path
):
    run(spec, trials=1, storage=storage, console=console)
    (study,) = (tmp_path / "home" / "checkpoints").iterdir()
    (study / "0").mkdir()
    (study / "7").mkdir()  # of a trial that is not finished: another run's, perhaps
    run(spec, trials=1, storage=storage, console=console)
    assert [one.name for one in study.iterdir()] == ["7"]


def test_a_study_of_the_same_name_elsewhere_has_its_own_checkpoints(spec, tmp_path, console):
    """Its trial 0 must not go on from the checkpoint of another store's trial 0."""
    spec = spec.but(bad="interrupt once")
    with pytest.raises(KeyboardInterrupt):
        run(spec, trials=2, storage=f"sqlite:///{tmp_path}/a.db", console=console)
    run(spec, trials=2, storage=f"sqlite:///{tmp_path}/b.db", console=console)
    starts = [entry["start"] for entry in spec.journal if entry["what"] == "train"]
    assert starts == [1, 1, 1]


def test_the_study_keeps_its_seed(spec, storage, console):
    run(spec, trials=1, storage=storage, seed=4, console=console)
    study = run(spec, trials=2, storage=storage, console=console)
    assert "with the study's own seed 4" in console.file.getvalue()
    assert study.trials[2].user_attrs["hps_seed"] == trial_seed(4, 2)


def test_optunas_own_tools_go_on_with_the_study(spec, storage, console):
    run(spec, trials=6, storage=storage, console=console)
    study = optuna.load_study(study_name="fake-quick", storage=storage)
    assert set(optuna.importance.get_param_importances(study)) == set(spec.preset.distributions)
    study.optimize(lambda trial: trial.suggest_float("x", -1, 1), n_trials=1)
    assert len(run(spec, trials=2, storage=storage, console=console).trials) == 9


def test_the_context_is_plain_json(spec, storage, console):
    study = run(spec, trials=2, storage=storage, console=console)
    assert json.loads(json.dumps(study.user_attrs)) == study.user_attrs
    assert study.user_attrs["hps_settings"]["epochs"] == 3
    assert study.user_attrs["hps_data"]["declared"] == {"source": "fake"}


def test_a_plan_whose_answer_is_lost_is_not_made_twice(spec, storage, console, monkeypatch):
    """The database takes the trials in, and is gone before it says so."""
    calls = []

    def enqueue(*args):
        calls.append(real(*args))
        if len(calls) == 1:
            raise sa.exc.OperationalError("COMMIT", {}, Exception("server closed the connection"))
        return calls[-1]

    real = queue.enqueue
    monkeypatch.setattr(queue, "enqueue", enqueue)
    study = run(spec, trials=6, storage=storage, console=console)
    assert [len(numbers) for numbers in calls] == [6, 0]
    assert len([trial for trial in study.trials if trial.state.is_finished()]) == 6
    assert len(study.trials) == 6
    with Store.open(storage) as store:
        outcomes = summaries.rows(store.engine, schema.run, schema.run.c.run_id)
    assert [row["outcome"] for row in outcomes] == ["failed", "finished"]


def test_a_database_that_stays_away_ends_the_run_with_one_sentence(
    spec, storage, console, monkeypatch
):
    """Another program keeps SQLite's write lock: the run waits, says so, and gives up at last."""
    monkeypatch.setattr(open, "BUSY_S", 0.05)
    monkeypatch.setattr("hpsearch.store.store.RETRY_S", 3.0)
    locker = sqlite3.connect(storage.removeprefix("sqlite:///"), check_same_thread=False)

    def lock():
        while not any(entry["what"] == "train" for entry in spec.journal):
            time.sleep(0.01)
        for _ in range(200):
            with contextlib.suppress(sqlite3.OperationalError):
                locker.execute("BEGIN IMMEDIATE")
                return

    thread = threading.Thread(target=lock)
    thread.start()
    with pytest.raises(HpsearchError) as caught:
        run(spec.but(sleep=0.05), trials=9, storage=storage, console=console)
    thread.join()
    locker.close()
    assert "for 3 s by now; no finished trial is lost" in str(caught.value)
    assert "is locked by another program; waiting for it" in console.file.getvalue()
    with Store.open(storage) as store, store.engine.begin() as connection:
        finished = store.studies()[0].finished
        for table in ("hps_run", "hps_trial"):  # as if that process had ended, as a command does
            connection.exec_driver_sql(f"UPDATE {table} SET pid = 4194305 WHERE pid IS NOT NULL")
    study = run(spec.but(sleep=0.05), trials=9, storage=storage, console=console)
    assert all(trial.state.is_finished() for trial in study.trials)
    assert len(study.trials) == finished + 9


def test_a_study_taken_to_another_store_is_continued_as_if_it_had_stayed(
    spec, storage, console, tmp_path
):
    """Interrupted in the middle: the copy, a study of its own, starts that trial anew, and the
    original goes on from its checkpoint, which nobody has taken away meanwhile."""
    spec = spec.but(bad="interrupt once")
    with pytest.raises(KeyboardInterrupt):
        run(spec, trials=9, storage=storage, console=console)
    with Store.open(storage) as store:
        store.export_study("fake-quick", tmp_path / "study.zip")
    elsewhere = f"sqlite:///{tmp_path / 'other.db'}"
    with Store.open(elsewhere) as store:
        store.import_study(tmp_path / "study.zip")
    moved = run(spec, trials=14, storage=elsewhere, console=console)
    starts = [entry["start"] for entry in spec.journal if entry["what"] == "train"]
    assert set(starts[1:]) == {1}
    stayed = run(spec, trials=14, storage=storage, console=console)
    starts = [entry["start"] for entry in spec.journal if entry["what"] == "train"][len(starts) :]
    assert starts[0] == 2
    assert outline(moved) == outline(stayed)
    assert {trial.state for trial in moved.trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
