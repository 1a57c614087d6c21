"""The pages of the evidence say what the trials say, and a figure that was typed is found."""

import importlib.util
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
from optuna.study import StudyDirection
from optuna.trial import create_trial

from hpsearch.analysis.rules.rules import KNOWN
from hpsearch.core.words import format_value
from hpsearch.exchange.recorded import read_recording
from hpsearch.exchange.recording import record_study
from hpsearch.store import Store
from hpsearch.store.make_study import NewStudy, make_study
from hpsearch.store.tables.space_json import space_to_json
from hpsearch.store.trials.write.finished import add_trials
from hpsearch.study.spec import load_spec

DOCS = Path(__file__).parents[1] / "docs"
BEST = {"imdb-clas": 2.0, "rt-clas": 3.0}


@pytest.fixture(scope="module")
def evidence():
    """docs/evidence.py, as `make evidence` runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        spec = importlib.util.spec_from_file_location("evidence", DOCS / "evidence.py")
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "evidence", module)
        spec.loader.exec_module(module)
        yield module


@pytest.fixture(scope="module")
def studies(tmp_path_factory, evidence):
    """Two studies whose truth is known: accuracy falls with the squared logarithm of lr_decay over
    its best value, 2 in one and 3 in the other, and with that of lr over 0.02."""
    folder = tmp_path_factory.mktemp("studies")
    return [evidence.Study(made(folder, name)) for name in BEST]


def made(folder, name):
    spec, rng = load_spec(name), np.random.default_rng(len(name))
    preset = spec.resolve("quick")
    space = preset.distributions
    attrs = {
        "hps_preset": "quick", "hps_metric": spec.metric, "hps_space": space_to_json(space),
        "hps_defaults": preset.defaults, "hps_settings": preset.settings, "hps_seed": 0,
        "hps_data": {"declared": spec.data, "source": "made", "fingerprint": "0" * 64},
        "hps_study": name, "hps_file": None, "hps_shared": {"perplexity": 50.0 + len(name)},
    }  # fmt: skip
    sampler = optuna.samplers.RandomSampler(seed=len(name))
    drawn = optuna.create_study(sampler=sampler)
    trials = []
    for _ in range(120):
        trial = drawn.ask(space)
        far = math.log(trial.params["lr_decay"] / BEST[name]) ** 2
        far += 0.3 * math.log(trial.params["lr"] / 0.02) ** 2
        value = 0.9 - 0.03 * far + rng.normal(0, 0.002)
        params = trial.params
        trials.append(create_trial(value=value, params=params, distributions=space))
    with Store.open(f"sqlite:///{folder / name}.db") as store:
        new = NewStudy(f"{name}-quick", [StudyDirection.MAXIMIZE], [spec.metric], attrs)
        study = make_study(store, new)
        add_trials(store.engine, study._study_id, trials)
        gains = [0.004, 0.006, 0.005, 0.0045, 0.0055]
        if name == "imdb-clas":
            store.save_verification(
                study.study_name, param="lr_decay", value=2.6, against=1.0, pairs=5, effect=0.005,
                low=0.004, high=0.006, verdict="confirmed",
                payload={"gains": gains, "plan": {"worth": 0.003, "level": 0.9}},
            )  # fmt: skip
        record_study(store, store.study(study.study_name), folder / name / "quick")
    return read_recording(folder / name / "quick")


@pytest.fixture(scope="module")
def decay(studies, evidence):
    return evidence.evidence_decay.decay_files(studies)


def test_the_decay_page_has_each_study_with_its_own_best_value(decay, studies):
    page = decay["decay.md"]
    for study in studies:
        effect = next(e for e in study.explanation.effects if e.param == "lr_decay")
        assert effect.best_low <= BEST[study.recording.declared] <= effect.best_high
        low, high = map(format_value, (effect.best_low, effect.best_high))
        assert f"({low} to {high})" in page
    assert "2.6 against 1" in page
    assert "| confirmed | confirmed |" in page
    assert "2.6 is better than 1 in 5 of 5 pairs, by 0.005 in the median (0.004 to 0.006)" in page
    assert "A regression takes 5 studies" in page
    assert page.count("| gradual |") == page.count("| all at once |") == 2
    assert "<svg" in decay["decay-forest.svg"]
    assert "<svg" in decay["decay-curves.svg"]


def test_the_files_are_the_same_each_time(decay, studies, evidence):
    assert evidence.evidence_decay.decay_files(studies) == decay


def test_the_table_of_rules_pools_what_two_studies_say(studies, evidence):
    rules = evidence.evidence_pages.rules_of_thumb(studies)
    row = next(line for line in rules.splitlines() if line.startswith("| `lr_decay`"))
    use = float(row.split("|")[2])
    assert 1.9 < use < 3.1
    assert row.split("|")[5].strip() == "2"
    assert row.split("|")[6].strip() == "240"
    assert "confirmed" in row.split("|")[8]


def test_a_page_of_a_study_says_what_was_learned_and_what_was_not(studies, evidence):
    page = evidence.evidence_pages.study_page(studies[0])
    learned, rest = page.split("## Not learned")
    assert "**`lr_decay`" in learned
    assert "- `moms`:" in rest
    assert "120 trials" in learned


def test_no_published_rule_names_a_value_that_is_surely_worse_than_the_default():
    """A lucky best trial may have such a value, which rules that go together would name."""
    for path in sorted(Path("studies").glob("*/results/*/explanation.json")):
        for rule in json.loads(path.read_text())["rules"]:
            assert rule["gain"] is None or rule["gain"]["high"] >= 0, (path, rule["param"])


def test_every_published_rule_changes_something():
    """It rules values out, or surely gains over the default, or says where the best value is."""
    for path in sorted(Path("studies").glob("*/results/*/explanation.json")):
        for rule in json.loads(path.read_text())["rules"]:
            if "nothing-ruled-out" not in rule["flags"] or rule["kind"] == "conditional":
                continue
            if rule["gain"] is not None and rule["gain"]["low"] > 0:
                continue
            ends = np.array([rule[end] for end in ("low", "best_low", "best_high", "high")])
            scales = [ends, np.log(ends)] if ends[0] > 0 else [ends]
            wide = min((at[2] - at[1]) / (at[3] - at[0]) for at in scales)
            assert wide <= KNOWN, (path, rule["param"])


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"low": 0.001, "high": 0.02, "verdict": "confirmed"}, "confirmed"),
        ({"low": 0.001, "high": 0.02, "verdict": "smaller than claimed"}, "smaller than claimed"),
        ({"low": -0.02, "high": -0.01, "verdict": "refuted"}, "refuted, it is worse"),
        ({"low": -0.004, "high": 0.004, "verdict": "inconclusive"}, "any of the two is as good"),
        ({"low": -0.02, "high": 0.002, "verdict": "refuted"}, "refuted"),
        ({"low": -0.02, "high": 0.02, "verdict": "inconclusive"}, "out of reach: about 22 pairs"),
    ],
)
def test_the_outcome_is_the_first_sentence_of_the_plan_that_holds(evidence, row, said):
    """A gain of 0.63 standard deviations takes 22 pairs at 2.5% on one side with a power of 80%."""
    gains = [0.0, 0.02, 0.01, 0.005, 0.015]
    payload = {"gains": gains, "plan": {"worth": 0.003, "level": 0.9}}
    outcome = evidence.evidence_decay.outcome({**row, "payload": payload})
    assert outcome == said if "pairs" not in said else outcome.startswith(said)


def test_a_contrast_read_the_other_way_has_the_other_sign(evidence):
    payload = {"gains": [0.03, None, 0.05], "plan": {"worth": 0.02, "level": 0.9}}
    row = {"value": 1.0, "against": 2.6, "effect": 0.04, "low": 0.01, "high": 0.06,
           "verdict": "confirmed", "payload": payload}  # fmt: skip
    other = evidence.evidence_decay.turned_round(row)
    assert (other["value"], other["against"]) == (2.6, 1.0)
    assert (other["effect"], other["low"], other["high"]) == (-0.04, -0.06, -0.01)
    assert evidence.evidence_decay.outcome(row) == "confirmed"
    assert evidence.evidence_decay.outcome(other) == "refuted, it is worse"


def test_of_a_contrast_that_was_looked_at_twice_the_last_verdict_counts(evidence):
    def look(verdict, gains):
        return {
            "param": "lr", "value": 0.1, "against": 0.01, "effect": 2.0, "low": 1.0, "high": 3.0,
            "verdict": verdict, "payload": {"gains": gains, "plan": {"claimed": 2.5}},
        }  # fmt: skip

    about = {"verifications": [look("inconclusive", [1.0, 2.0]), look("confirmed", [3.0])]}
    study = SimpleNamespace(
        name="made",
        recording=SimpleNamespace(about=about),
        explanation=SimpleNamespace(metric="r2"),
    )
    pages = evidence.evidence_pages
    assert pages.verdicts("lr", [study]) == "0.1 against 0.01 in made: confirmed"
    assert pages.verdicts("wd", [study]) == "not verified"
    row = pages.verified([study])[-1]
    assert row == "| made | `lr` 0.1 against 0.01 | 2 | 3 | 2.5 | 2 (1 to 3) r2 | confirmed |"


def test_a_typed_figure_is_found(tmp_path, evidence):
    page = tmp_path / "page.md"
    page.write_text("use 2.7\n")
    assert evidence.differences(page, "use 2.7\n") == []
    assert evidence.differences(page, "use 2.6\n")
    assert evidence.differences(tmp_path / "none.md", "") == ["it is missing"]


def test_what_another_processor_adds_otherwise_is_no_difference(tmp_path, evidence):
    kept = tmp_path / "explanation.json"
    kept.write_text(json.dumps({"share": 0.5, "versions": {"numpy": "1"}}))
    assert not evidence.differences(kept, json.dumps({"share": 0.5000001, "versions": {}}))
    assert evidence.differences(kept, json.dumps({"share": 0.51, "versions": {}}))
    assert evidence.differences(kept, json.dumps({"part": 0.5, "versions": {}}))


def test_marks_that_are_missing_are_said(evidence):
    with pytest.raises(SystemExit, match="no marks"):
        evidence.between("nothing", "rules of thumb", "new")


def a_comparison(evidence, rows, **about):
    found = evidence.evidence_search.Comparison
    known = {"direction": "maximize", "trials": 2, "metric": "accuracy", "replay": False}
    names = ("arm", "repetition", "order", "state", "value", "true", "seconds")
    return found("made", known | about, [dict(zip(names, row, strict=True)) for row in rows])


def test_the_best_value_is_that_of_the_finished_trials_so_far(evidence):
    peer = evidence.evidence_search.PEER
    one = a_comparison(
        evidence,
        [
            ("random", 0, 1, "complete", 0.7, None, 10.0),
            ("random", 0, 2, "pruned", None, None, 5.0),
            (peer, 0, 2, "complete", 0.8, None, 10.0),
            (peer, 0, 1, "failed", None, None, 10.0),
        ],
    )
    assert one.by_trials("random", 0.5) == one.by_trials("random", 1.0) == 0.7
    assert np.isnan(one.by_trials(peer, 0.5)).all()
    assert one.by_trials(peer, 1.0) == 0.8
    assert one.hours == 15.0
    assert np.isnan(one.by_hours("random", 0.5)).all()  # 7.5 seconds, its first trial takes 10
    assert one.by_hours("random", 1.0) == 0.7
    assert one.better("random") == "0 of 1"


def test_in_a_replay_a_lucky_trial_is_worth_what_it_is_without_luck(evidence):
    rows = [
        ("random", 0, 1, "complete", 0.3, 0.4, 1.0),
        ("random", 0, 2, "complete", 0.2, 0.5, 1.0),
    ]
    lower = a_comparison(evidence, rows, direction="minimize")
    assert (lower.by_trials("random", 0.5), lower.by_trials("random", 1.0)) == (0.4, 0.5)


def test_a_replay_of_trials_that_changed_is_refused(evidence, studies):
    about = {"replay": True, "study": studies[0].recording.study, "recorded": "another"}
    one = a_comparison(evidence, [], **about)
    with pytest.raises(SystemExit, match="not the recorded ones any more"):
        evidence.evidence_search.origin(one, studies)
    own = studies[0].recording.about["files"]["trials.parquet"]["sha256"]
    about |= {"recorded": own, "r2": 0.9, "noise": 0.01}
    said = evidence.evidence_search.origin(a_comparison(evidence, [], **about), studies)
    assert "explains 90% of the variance" in said
