"""verify end to end with a trainer that takes no time: plan first, pairs, resuming, no leaks."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from calls import run, verify, verify_rules
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial
from run_processes import TESTS

from hpsearch.analysis import explain
from hpsearch.errors import HpsearchError, InputError
from hpsearch.store import Store
from hpsearch.store.sources import find
from hpsearch.verification import plan
from hpsearch.verification import run as verifying
from hpsearch.verification.run import which


@pytest.fixture
def noisy(spec, storage, console):
    """A study with trials whose noise is their own: x = 0.3 is best, depth does nothing."""
    spec = spec.but(noise=0.01, epochs=1)
    run(spec, trials=24, storage=storage, console=console)
    return spec


CONTRAST = {"param": "x", "value": 0.3, "against": 0.8}


def test_the_plan_is_written_before_the_first_run(noisy, storage, console, monkeypatch):
    seen = []

    def watch(workload, planned, *others):
        (row,) = workload.store.verifications("fake-quick")
        seen.append((row, [trial.state for trial in planned.study.trials]))
        return carry_out(workload, planned, *others)

    carry_out = verifying.carry_out
    monkeypatch.setattr(verifying, "carry_out", watch)
    before = len([entry for entry in noisy.journal if entry["what"] == "train"])
    done = verify(noisy, **CONTRAST, storage=storage, console=console)
    (row, states) = seen[0]
    assert row["verdict"] == "planned"
    assert row["payload"]["plan"]["test"].startswith("all pairs of the contrast")
    assert set(states) == {TrialState.WAITING}
    assert row["pairs"] == done.plan.pairs

    assert done.verdict == "confirmed"
    assert done.low < 0.25 < done.high or abs(done.gain - 0.25) < 0.02
    with Store.open(storage) as store:
        (row,) = store.verifications("fake-quick")
    assert row["verdict"] == "confirmed"
    assert (row["value"], row["against"]) == (0.3, 0.8)
    assert row["effect"] == pytest.approx(done.gain)
    assert row["payload"]["gains"] == pytest.approx(done.gains)
    trained = [entry for entry in noisy.journal if entry["what"] == "train"][before:]
    assert len(trained) == 2 * done.plan.pairs
    assert json.loads(done.to_json())["verdict"] == "confirmed"
    assert "Confirmed: `x` 0.3 against 0.8 gains" in done.statement


def test_pairs_differ_in_nothing_but_the_parameter(noisy, storage, console):
    done = verify(noisy, **CONTRAST, pairs=6, storage=storage, console=console)
    study = optuna.load_study(study_name=done.trials_study, storage=storage)
    proposing = optuna.load_study(study_name="fake-quick", storage=storage)
    old = {trial.user_attrs["hps_seed"] for trial in proposing.trials}
    new = set()
    for one, other in zip(study.trials[::2], study.trials[1::2], strict=True):
        assert (one.params.pop("x"), other.params.pop("x")) == (0.3, 0.8)
        assert one.params == other.params
        assert one.user_attrs["hps_seed"] == other.user_attrs["hps_seed"]
        new.add(one.user_attrs["hps_seed"])
    assert len(new) == 6
    assert not new & old
    # The good region: learning rates near the best, which the study's own trials are not.
    far = [abs(np.log10(trial.params["lr"]) + 2) for trial in study.trials]
    assert np.mean(far) < 0.75  # uniform draws of 1e-4 to 1e-1 have 0.83


def test_nothing_of_a_verification_reaches_the_explanation(noisy, storage, console):
    def explained():
        with Store.open(storage) as store:
            assert [summary.name for summary in find(store, [])] == ["fake-quick"]
            assert [summary.name for summary in find(store, ["fake"])] == ["fake-quick"]
        study = optuna.load_study(study_name="fake-quick", storage=storage)
        return explain(study).to_json()

    before = explained()
    verify(noisy, **CONTRAST, pairs=4, storage=storage, console=console)
    assert explained() == before


def test_a_second_verification_has_new_pairs_and_all_decide(noisy, storage, console):
    one = verify(noisy, **CONTRAST, pairs=4, storage=storage, console=console)
    other = verify(noisy, **CONTRAST, pairs=4, storage=storage, console=console)
    assert set(one.plan.seeds).isdisjoint(other.plan.seeds)
    assert one.trials_study != other.trials_study
    assert other.pairs.gains == (*one.gains, *other.gains)
    assert other.gain == pytest.approx(np.mean([*one.gains, *other.gains]))
    assert (one.plan.error, other.plan.error) == pytest.approx((0.05 / 2, 0.05 / 6))
    assert "over 8 pairs of 2 verifications" in other.statement
    turned = {"param": "x", "value": 0.8, "against": 0.3}
    against = verify(noisy, **turned, pairs=2, storage=storage, console=console)
    assert against.plan.look == 3
    assert against.pairs.gains[:8] == tuple(-gain for gain in other.pairs.gains)
    assert against.verdict == "refuted"


def test_the_number_of_pairs_is_computed_again_from_the_first(noisy, storage, console, monkeypatch):
    """The noise is twenty times what it was planned with; interrupted before the second part."""
    monkeypatch.setattr(plan, "_noise", lambda explanation: 0.0005)
    calls = []

    def once(workload, planned, *others):
        calls.append(1)
        if len(calls) == 2:
            workload.store.end_run(planned.ref, planned.run_id, "interrupted")
            raise KeyboardInterrupt
        return carry_out(workload, planned, *others)

    carry_out = verifying.carry_out
    monkeypatch.setattr(verifying, "carry_out", once)
    contrast = {"param": "x", "value": 0.3, "against": 0.4, "max_pairs": 7}
    with pytest.raises(KeyboardInterrupt):
        verify(noisy, **contrast, storage=storage, console=console)
    assert finished(storage) == 10
    done = verify(noisy, **contrast, storage=storage, console=console)
    assert (done.plan.pairs, done.plan.first, len(done.gains)) == (5, 5, 7)
    assert "7 pairs in the place of 5 (at most 7)" in console.file.getvalue()
    assert len(done.gains) == len(done.pairs.gains) == finished(storage) / 2
    with Store.open(storage) as store:
        (row,) = store.verifications("fake-quick")
    assert row["pairs"] == 7
    assert len(set(done.plan.seeds[:7])) == 7


def test_rules_of_one_call_share_the_error(noisy, storage, console, monkeypatch):
    """Interrupted in the second one: the same call goes on with that alone."""

    def second(workload, planned, *others):
        if planned.study.study_name.endswith("2"):
            workload.store.end_run(planned.ref, planned.run_id, "interrupted")
            raise KeyboardInterrupt
        return carry_out(workload, planned, *others)

    carry_out = verifying.carry_out
    options = {"pairs": 5, "storage": storage, "console": console}
    rules = [("x", 0.3, 0.8), ("depth", 2, 6)]
    with pytest.raises(InputError, match="--param x: the same two values are given twice"):
        verify_rules(noisy, [*rules, ("x", 0.8, 0.3)], **options)
    monkeypatch.setattr(verifying, "carry_out", second)
    with pytest.raises(KeyboardInterrupt):
        verify_rules(noisy, rules, **options)
    monkeypatch.undo()
    (done,) = verify_rules(noisy, rules, **options)
    assert (done.plan.param, done.plan.rules, done.plan.look) == ("depth", 2, 1)
    assert done.plan.error == pytest.approx(0.05 / 2 / 2)
    assert "one of 2 rules" in done.statement
    assert "Going on with verification 2 of depth" in console.file.getvalue()
    with Store.open(storage) as store:
        first, other = store.verifications("fake-quick")
    assert (first["verdict"], first["payload"]["plan"]["rules"]) == ("confirmed", 2)
    assert other["verdict"] == done.verdict != "planned"


def test_a_study_made_again_does_not_inherit_pairs(noisy, storage, console):
    """SQLite gives the numbers of deleted rows away again; the old pairs are still in the store."""
    one = verify(noisy, **CONTRAST, pairs=2, storage=storage, console=console)
    optuna.delete_study(study_name="fake-quick", storage=storage)
    run(noisy, trials=12, storage=storage, console=console)
    other = verify(noisy, **CONTRAST, pairs=3, storage=storage, console=console)
    assert one.trials_study == "fake-quick-verify-1"
    assert other.trials_study == "fake-quick-verify-2"
    assert len(other.gains) == 3


def test_an_interrupted_verification_goes_on(noisy, storage, console):
    torn = noisy.but(bad="interrupt once", epochs=2)
    with Store.open(storage) as store:  # the same study, but that its runs are interrupted once
        study = optuna.load_study(study_name="fake-quick", storage=store.optuna)
        study.set_user_attr("hps_settings", torn.preset.settings)
    with pytest.raises(KeyboardInterrupt):
        verify(torn, **CONTRAST, pairs=6, storage=storage, console=console)
    with pytest.raises(InputError, match="6 pairs is unfinished"):
        verify(torn, **CONTRAST, pairs=7, storage=storage, console=console)
    done = verify(torn, **CONTRAST, storage=storage, console=console)
    assert "Going on with verification 1" in console.file.getvalue()
    assert done.plan.pairs == 6
    assert all(gain is not None for gain in done.gains)
    with Store.open(storage) as store:
        assert len(store.verifications("fake-quick")) == 1
    study = optuna.load_study(study_name=done.trials_study, storage=storage)
    assert len(study.trials) == 12


RUNNER = """
import json, sys
sys.path.insert(0, sys.argv[1])
from fake_study import FakePreset, FakeSpec
from calls import verify
options = json.load(sys.stdin)
verify(FakeSpec(FakePreset(settings=options.pop("settings"))), **options)
"""


def test_a_killed_verification_goes_on_with_all_workers(noisy, storage, console):
    slow = noisy.but(sleep=0.2)
    study = optuna.load_study(study_name="fake-quick", storage=storage)
    study.set_user_attr("hps_settings", slow.preset.settings)
    options = {**CONTRAST, "pairs": 8, "storage": storage, "workers": 2}
    modules = Path(slow.preset.settings["journal"]).parent / "modules"
    process = subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(TESTS)], stdin=subprocess.PIPE,
        start_new_session=True, env={**os.environ, "PYTHONPATH": str(modules)},
    )  # fmt: skip
    process.stdin.write(json.dumps({**options, "settings": slow.preset.settings}).encode())
    process.stdin.close()
    deadline = time.monotonic() + 120
    while finished(storage) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 3 <= finished(storage) < 16
    done = verify(slow, **options, console=console)
    assert done.verdict == "confirmed"
    assert len(done.gains) == 8
    assert finished(storage) == 16
    trained = {entry["pid"] for entry in slow.journal if entry["what"] == "end"}
    assert len(trained) >= 3


def finished(storage):
    """How many runs of the first verification are at their end."""
    with Store.open(storage) as store:
        found = [one for one in store.studies() if one.name == "fake-quick-verify-1"]
    return found[0].finished if found else 0


def test_runs_that_fail_confirm_nothing(noisy, storage, console):
    broken = noisy.but(bad="raise", bad_above=0.7, epochs=2)
    study = optuna.load_study(study_name="fake-quick", storage=storage)
    study.set_user_attr("hps_settings", broken.preset.settings)
    done = verify(
        broken, param="x", value=0.8, against=0.3, pairs=4, storage=storage, console=console
    )
    assert done.verdict == "inconclusive"
    assert done.gains == (None,) * 4
    assert "0 of 4 pairs" in done.statement


IMPOSSIBLE = [
    ({**CONTRAST, "param": "lrr"}, r"no such parameter \(did you mean lr\?\)"),
    ({**CONTRAST, "value": 1.5}, "--value 1.5 is no value of x, which is -1 to 1"),
    ({**CONTRAST, "against": "much"}, "--against much is no value"),
    ({"param": "kind", "value": "c", "against": "a"}, "one of a, b"),
    ({"param": "depth", "value": 2.5, "against": 1}, "--value 2.5 is no value of depth"),
    ({**CONTRAST, "against": "0.30"}, "are both 0.3"),
    ({**CONTRAST, "pairs": 1}, "--pairs 1"),
    ({**CONTRAST, "max_pairs": 3}, "--max-pairs 3"),
    ({**CONTRAST, "level": 2.0}, "--level 2"),
]


def test_a_contrast_that_cannot_be_is_refused(noisy, storage, console):
    for options, says in IMPOSSIBLE:
        with pytest.raises(InputError, match=says):
            verify(noisy, **options, storage=storage, console=console)
    with Store.open(storage) as store:
        assert store.verifications("fake-quick") == []


def test_studies_that_cannot_be_verified(spec, storage, console):
    with Store.open(storage) as store:
        theirs = optuna.create_study(storage=store.optuna, study_name="theirs")
        theirs.add_trial(
            create_trial(value=1, params={"x": 0}, distributions={"x": FloatDistribution(0, 1)})
        )
    with pytest.raises(InputError, match="no trials of study fake-quick: run it first"):
        verify(spec, **CONTRAST, storage=storage, console=console)
    with pytest.raises(InputError, match="was not made by hpsearch"):
        which("theirs", storage=storage, preset="auto")
    with pytest.raises(InputError, match="was not made by hpsearch"):
        which(optuna.create_study(), storage=None, preset="auto")
    run(spec, trials=3, storage=storage, console=console)
    with pytest.raises(InputError, match=r"study\.toml of your own"):
        which("fake-quick", storage=storage, preset="auto")
    with pytest.raises(InputError, match="changed since its first trials"):
        verify(spec.but(epochs=9), **CONTRAST, storage=storage, console=console)
    other = replace(spec, data={"source": "fake", "path": None, "n": 1})
    with pytest.raises(HpsearchError, match="changed since"):
        verify(other, **CONTRAST, storage=storage, console=console)
