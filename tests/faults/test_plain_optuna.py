"""Optuna's own `optimize` in another process on the study that a run works on."""

import re
import subprocess
import sys
import threading

import optuna
import pytest
from calls import run
from optuna.trial import TrialState
from run_processes import entries, wait_until
from store_databases import EACH_STORE_AND_ONE_WORKER

from hpsearch.store import Store, summaries
from hpsearch.store.doctor import examine
from hpsearch.store.queue import queue, taken_trials
from hpsearch.store.queue.processes import this_worker
from hpsearch.store.tables import attributes
from hpsearch.store.trials.worker_storage import WorkerStorage

PLAIN = """
import sys
import time
import optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
storage = optuna.storages.RDBStorage(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
study = optuna.load_study(study_name=sys.argv[4], storage=storage)
def objective(trial):
    trial.suggest_float("x", -1.0, 1.0)
    trial.suggest_float("theirs", 0.0, 1.0)
    time.sleep(float(sys.argv[3]))
    return 666.0
study.optimize(objective, n_trials=int(sys.argv[2]))
"""


def plain(storage, trials, seconds, study="fake-quick"):
    """It has opened the store, and begins with the end of its input."""
    command = [sys.executable, "-c", PLAIN, storage, str(trials), str(seconds), study]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    return process


@pytest.mark.parametrize(("kind", "workers"), EACH_STORE_AND_ONE_WORKER, indirect=["kind"])
def test_a_run_beside_a_plain_optuna_delivers_its_plan(spec, storage, console, tmp_path, workers):
    options = {"search": {"design_share": 1.0, "pruner": "none"}, "console": console}
    for trials in (1, 7):
        alone = run(spec, storage=f"sqlite:///{tmp_path}/alone.db", trials=trials, **options)
    planned = {trial.number: trial for trial in alone.trials}
    spec = spec.but(sleep=0.15)
    run(spec, storage=storage, trials=1, **options)
    process = plain(storage, 3, 0.3)

    def meddle():
        wait_until(lambda: len(entries(spec)) > 9, "the run")
        process.stdin.close()
        process.stdin = None

    thread = threading.Thread(target=meddle)
    thread.start()
    study = run(spec, storage=storage, trials=7, workers=workers, **options)
    thread.join()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    taken = [t for t in study.trials if t.user_attrs.get("hps_cohort") == taken_trials.ELSEWHERE]
    assert taken
    assert all(trial.values == [666.0] for trial in taken)
    said = console.file.getvalue()
    assert said.count("another program, such as Optuna's optimize, took") >= 1
    end = [line for line in said.splitlines() if "fake-quick: finished after" in line][-1]
    assert end.endswith(": 7 complete, 0 pruned, 0 failed")
    own = [t for t in study.trials if "hps_seed" in t.user_attrs]
    assert [trial.state for trial in own] == [TrialState.COMPLETE] * 8
    for trial in own:
        was = planned[trial.user_attrs.get(attributes.IN_PLACE_OF, trial.number)]
        assert (trial.params, trial.value) == (was.params, was.value)
        cohort = was.user_attrs["hps_cohort"]
        assert trial.user_attrs["hps_cohort"] == cohort
        copied = was.user_attrs.get("hps_replicate_of")
        if copied is not None:  # it repeats a trial of ours, not the other program's
            (first,) = [t for t in own if t.number == trial.user_attrs["hps_replicate_of"]]
            assert first.params == trial.params
    with Store.open(storage) as store:
        (finding,) = [one for one in examine(store) if one.what == "other programs"]
        assert "another program, such as Optuna's optimize, took" in finding.text
        assert "of fake-quick" in finding.text


def test_what_was_taken_while_nothing_ran_is_planned_again(spec, storage, console):
    """Between two runs: the next says so and makes up for it."""
    run(spec, trials=2, storage=storage, console=console, search={"design_share": 1.0})
    with Store.open(storage) as store:
        ref = store.studies()[0].ref
        plan = [queue.Planned("design", 5, {"x": 0.25, "lr": 0.01, "depth": 2, "kind": "a"})]
        space = spec.preset.distributions
        queue.enqueue(store.engine, ref, None, space, lambda first: plan)
        study = optuna.load_study(study_name="fake-quick", storage=store.optuna)
        assert study.ask().number == 2  # and never told
    study = run(spec, trials=1, storage=storage, console=console)
    assert "took trial 2 of fake-quick from the queue" in console.file.getvalue()
    states = [trial.state for trial in study.trials]
    assert states == [TrialState.COMPLETE] * 2 + [TrialState.RUNNING, TrialState.COMPLETE]
    assert study.trials[3].params == {"x": 0.25, "lr": 0.01, "depth": 2, "kind": "a"}
    assert study.trials[3].user_attrs["hps_cohort"] == "design"
    assert study.trials[2].user_attrs == {"hps_cohort": taken_trials.ELSEWHERE}


def test_the_last_lines_count_this_runs_trials_and_name_others(spec, storage, console):
    run(spec, trials=2, storage=storage, console=console)
    with Store.open(storage) as store:
        ref = store.studies()[0].ref
        plan = [queue.Planned("design", 5, {"x": 0.25, "lr": 0.01, "depth": 2, "kind": "a"})]
        queue.enqueue(store.engine, ref, 1, spec.preset.distributions, lambda _: plan)
        study = optuna.load_study(study_name="fake-quick", storage=store.optuna)
        for _ in range(2):  # the one that was planned, and one of its own
            study.tell(study.ask(), 666.0)
        assert summaries.states(store.engine, ref.study_id, 1) == {TrialState.COMPLETE: 2}
    run(spec, trials=1, storage=storage, console=console)
    end, others, best = console.file.getvalue().splitlines()[-3:]
    assert re.fullmatch(r"fake-quick: finished after .*: 1 complete, 0 pruned, 0 failed", end)
    assert others == "fake-quick also holds 2 trials that other programs ran"
    assert best.startswith("best score 666, trial 2, which another program ran: x=0.25 ")


def test_an_end_that_another_program_told_is_not_ours(spec, storage, console):
    """Both have the trial, as SQLite lets it happen: what the other told is not our result."""
    run(spec, trials=1, storage=storage, console=console)
    with Store.open(storage) as store:
        ref = store.studies()[0].ref
        space = spec.preset.distributions
        queue.enqueue(store.engine, ref, 1, space, lambda _: [queue.Planned("design", 5, {})])
        with store.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE hps_run SET outcome = NULL, ended_at = NULL")
        claim = queue.claim(store.engine, ref, this_worker(), None)
        view = WorkerStorage(store.optuna)
        view.hold([claim])
        store.optuna.set_trial_state_values(claim.trial_id, TrialState.COMPLETE, [666.0])
        with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
            view.set_trial_state_values(claim.trial_id, TrialState.COMPLETE, [0.5])
        assert taken_trials.taken_numbers(store.engine, ref) == [1]
        taken = taken_trials.replace_taken(
            store.engine, ref, None, taken_trials.Plan(list(space), {})
        )
        assert taken == [1]
        again = queue.claim(store.engine, ref, this_worker(), None)
        assert again is not None
        view.hold([again])
        assert view.set_trial_state_values(again.trial_id, TrialState.COMPLETE, [0.5])
        # The same once more is a commit whose answer got lost: nobody else told it.
        view.hold([again])
        with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
            view.set_trial_state_values(again.trial_id, TrialState.COMPLETE, [0.5])
        assert taken_trials.taken_numbers(store.engine, ref) == [1]
