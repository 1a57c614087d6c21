"""rules lists what explain kept and what verify said, over all studies of the stores."""

import json

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial
from typer.testing import CliRunner

from hpsearch.cli.app import app
from hpsearch.errors import InputError
from hpsearch.store import Store, findings
from hpsearch.store.trials.write.finished import add_trials


@pytest.fixture
def url(tmp_path):
    """A store with two studies whose x has a best value at 0.4, and one that nothing explains."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    where = f"sqlite:///{tmp_path / 'store.db'}"
    space, rng = {"x": FloatDistribution(0, 1)}, np.random.default_rng(0)
    with Store.open(where) as store:
        for name in ("one", "two"):
            study = optuna.create_study(storage=store.optuna, study_name=name, direction="maximize")
            trials = [
                create_trial(
                    value=-4 * (x - 0.4) ** 2 + 0.05 * rng.normal(), params={"x": x},
                    distributions=space,
                )
                for x in rng.random(60)
            ]  # fmt: skip
            add_trials(store.engine, study._study_id, trials)
        optuna.create_study(storage=store.optuna, study_name="empty")
    return where


def invoke(*arguments):
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "120"})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_rules_of_all_studies_with_their_verdicts(url):
    assert "No rules are kept yet" in invoke("rules", "--storage", url)
    invoke("explain", "one", "two", "--storage", url)
    with Store.open(url) as store:
        ref = store.studies()[0].ref
        plan = {"param": "x", "value": 0.4, "against": 0.9, "pairs": 9}
        number = findings.write_plan(store.engine, ref, plan, rule_id=None)
        planned = json.loads(invoke("rules", "--storage", url, "--format", "json"))
        assert planned["rules"][0]["verifications"][0]["verdict"] == "planned"
        findings.write_verdict(
            store.engine,
            ref,
            number,
            effect=0.9,
            low=0.8,
            high=1.0,
            verdict="confirmed",
            payload={},
        )
        findings.write_verdict(  # a verdict is written once
            store.engine, ref, number, effect=0.0, low=-1.0, high=1.0, verdict="refuted", payload={}
        )
    document = json.loads(invoke("rules", "--storage", url, "--format", "json"))
    assert document["schema"] == "hpsearch.rules/1"
    assert [rule["study"] for rule in document["rules"]] == ["one", "two"]
    assert document["rules"][0]["verifications"][0]["verdict"] == "confirmed"
    assert document["rules"][1]["verifications"] == []
    out = " ".join(invoke("rules", "--storage", url).split())
    assert "confirmed: 0.4" in out
    assert "not yet" in out
    assert "two" not in invoke("rules", "one", "--storage", url)


def test_pooling_from_the_command_line(url):
    out = invoke("explain", "one", "two", "--storage", url, "--pool")
    assert "2 studies together: one, two" in out
    document = json.loads(
        invoke("explain", "one", "two", "--storage", url, "--pool", "--format", "json")
    )
    assert document["optima"][0]["param"] == "x"
    with pytest.raises(InputError, match="two or more studies"):
        invoke("explain", "one", "--storage", url, "--pool")
    assert "<html" in invoke(
        "explain", "one", "two", "--storage", url, "--pool", "--format", "html"
    )


def test_a_file_whose_ending_is_no_format_is_refused_before_anything_is_explained(url, tmp_path):
    file = tmp_path / "report.pdf"
    with pytest.raises(InputError, match=r"report\.pdf: \.pdf is no format of a report"):
        invoke("explain", "one", "--storage", url, "--output", str(file))
    assert not file.exists()


def test_a_database_without_our_tables_keeps_no_rules(tmp_path):
    theirs = f"sqlite:///{tmp_path / 'theirs.db'}"
    optuna.create_study(storage=theirs, study_name="s")
    with pytest.raises(InputError, match="keeps no rules"):
        invoke("rules", "--storage", theirs)
