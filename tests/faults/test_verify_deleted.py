"""`verify` beside whoever deletes studies or runs them, and findings of studies that are gone.

SQLite gives the number of a deleted study to the next one.
"""

import threading

import optuna
import pytest
from calls import run, verify
from faults.test_deleted_study import until_gone
from faults.test_plain_optuna import plain
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState
from run_processes import entries, wait_until

from hpsearch.errors import InputError
from hpsearch.store import Store, findings
from hpsearch.store.queue import runs, taken_trials
from hpsearch.store.queue.fence import StudyGoneError, StudyRef
from hpsearch.verification import run as verifying

CONTRAST = {"param": "x", "value": 0.3, "against": 0.8}
PLAN = {**CONTRAST, "pairs": 2}
RULE = {"param": "x", "kind": "optimum", "statement": "x near 0.3"}


def made(store, name, uid=None, trials=4):
    """A study with finished trials, as any program makes it."""
    study = optuna.create_study(storage=store.optuna, study_name=name)
    if uid is not None:
        study.set_user_attr("hps_uid", uid)
    for k in range(trials):
        trial = study.ask({"x": FloatDistribution(0, 1)})
        study.tell(trial, k / 10)
    return study


def with_findings(store, study):
    ref = StudyRef.of(study)
    store.save_rules(ref, [RULE])
    number = findings.write_plan(store.engine, ref, PLAN, rule_id=None)
    return ref, number


@pytest.mark.parametrize("uid", [None, "0123456789ab"])
@pytest.mark.parametrize("name", ["first", "second"])
def test_findings_of_a_deleted_study_are_not_the_next_ones(storage, tmp_path, uid, name):
    """Another program deletes a study and makes the next, perhaps of the same name."""
    with Store.open(storage) as store:
        with_findings(store, made(store, "first", uid))
        assert len(store.rules("first")) == len(store.verifications("first")) == 1
        until_gone(store, "first")
        wait = made(store, "between", trials=0)  # a second passes for MySQL, as it does for people
        optuna.delete_study(study_name=wait.study_name, storage=store.optuna)
        with store.engine.connect() as connection:
            if connection.dialect.name == "mysql":
                connection.exec_driver_sql("SELECT SLEEP(2)")
        made(store, name)
        assert store.rules(name) == []
        assert store.verifications(name) == []
        assert findings.unfinished(store.engine, store.study_id(name), "x", 0.3, 0.8) is None
        store.export_study(name, tmp_path / "study.zip")
        with Store.open(f"sqlite:///{tmp_path}/other.db") as other:
            other.import_study(tmp_path / "study.zip")
            assert other.table_counts()["hps_rule"] == 0
            assert other.table_counts()["hps_verification"] == 0


@pytest.mark.parametrize("uid", [None, "0123456789ab"])
def test_findings_move_with_their_study(storage, tmp_path, uid):
    with Store.open(storage) as store:
        study = made(store, "first", uid)
        with_findings(store, study)
        store.export_study("first", tmp_path / "study.zip")
        store.import_study(tmp_path / "study.zip", "again")
        for name in ("first", "again"):
            assert [row["statement"] for row in store.rules(name)] == ["x near 0.3"]
            assert [row["pairs"] for row in store.verifications(name)] == [2]
        until_gone(store, "first")
        assert len(store.rules("again")) == 1


def test_nothing_is_written_about_a_study_that_is_gone(storage):
    with Store.open(storage) as store:
        ref, number = with_findings(store, made(store, "first", "0123456789ab"))
        until_gone(store, "first")
        next_one = made(store, "next")
        next_one.enqueue_trial({"x": 0.5})
        plan = taken_trials.Plan(["x"], {})
        outcome = {"effect": 6.0, "low": 6.0, "high": 6.0, "verdict": "confirmed", "payload": {}}
        for write in (
            lambda: findings.write_verdict(store.engine, ref, number, **outcome),
            lambda: with_findings_of(store, ref),
            lambda: runs.take_over(store.engine, ref, 1, 9, plan, lambda number: 7),
        ):
            with pytest.raises(StudyGoneError, match="The study first was deleted"):
                write()
        assert store.verifications("next") == []
        assert store.trials("next") == []
        assert all("hps_seed" not in trial.user_attrs for trial in next_one.trials)


def with_findings_of(store, ref):
    findings.write_plan(store.engine, ref, PLAN, rule_id=None)


@pytest.fixture
def noisy(spec, storage, console):
    spec = spec.but(noise=0.01, epochs=1)
    run(spec, trials=12, storage=storage, console=console)
    return spec


@pytest.mark.parametrize("which", ["fake-quick", "fake-quick-verify-1"])
def test_a_study_deleted_under_verify(noisy, storage, console, monkeypatch, which):
    """The one whose rule it is, or that of the pairs: one sentence, and the next says nothing."""

    def watch(workload, *others):
        carry_out(workload, *others)
        until_gone(workload.store, which)
        made(workload.store, "next")

    carry_out = verifying.carry_out
    monkeypatch.setattr(verifying, "carry_out", watch)
    with pytest.raises(StudyGoneError, match=f"The study {which} was deleted"):
        verify(noisy, **CONTRAST, pairs=3, storage=storage, console=console)
    monkeypatch.undo()
    with Store.open(storage) as store:
        assert store.verifications("next") == []
    if which != "fake-quick":  # the plan is still there, and its pairs are run anew
        done = verify(noisy, **CONTRAST, storage=storage, console=console)
        assert len([one for one in done.gains if one is not None]) == 3


def test_a_plain_optuna_beside_verify(noisy, storage, console):
    """What it tells of pairs that it took is no part of the verdict."""
    slow = noisy.but(sleep=0.2)
    study = optuna.load_study(study_name="fake-quick", storage=storage)
    study.set_user_attr("hps_settings", slow.preset.settings)
    thief = plain(storage, 3, 0.1, study="fake-quick-verify-1")

    def meddle():
        wait_until(lambda: len(entries(noisy)) > 12, "the pairs")
        thief.stdin.close()
        thief.stdin = None

    thread = threading.Thread(target=meddle)
    thread.start()
    done = verify(slow, **CONTRAST, pairs=15, storage=storage, console=console)
    thread.join()
    _, err = thief.communicate(timeout=60)
    assert thief.returncode == 0, err
    pairs = optuna.load_study(study_name="fake-quick-verify-1", storage=storage)
    taken = [t for t in pairs.trials if t.user_attrs.get("hps_cohort") == taken_trials.ELSEWHERE]
    assert taken
    assert all(trial.values == [666.0] for trial in taken)
    assert done.verdict == "confirmed"
    assert len(done.gains) == 15
    assert all(abs(gain) < 5 for gain in done.gains)


def test_a_study_that_has_the_name_of_the_pairs(noisy, storage, console, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(verifying, "carry_out", stop)
    with pytest.raises(KeyboardInterrupt):
        verify(noisy, **CONTRAST, pairs=2, storage=storage, console=console)
    monkeypatch.undo()
    with Store.open(storage) as store:
        until_gone(store, "fake-quick-verify-1")
        theirs = made(store, "fake-quick-verify-1")
        with pytest.raises(InputError, match="holds no pairs of this verification"):
            verify(noisy, **CONTRAST, storage=storage, console=console)
        assert [trial.state for trial in theirs.trials] == [TrialState.COMPLETE] * 4
        assert theirs.user_attrs == {}
