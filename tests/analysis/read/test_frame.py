"""Any study becomes arrays on the sampling scale; what cannot be read is refused in a sentence."""

from __future__ import annotations

import math

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from hpsearch.analysis import explain
from hpsearch.analysis.read.axes import Axis
from hpsearch.analysis.read.frame import COMPLETE, FAILED, PRUNED, read_study
from hpsearch.errors import InputError


def test_sampling_scale_is_where_optuna_draws_uniformly():
    """Random draws of every distribution are uniform on the sampling scale (mean 1/2, var 1/12)."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))

    def objective(trial):
        trial.suggest_float("log", 1e-6, 1.0, log=True)
        trial.suggest_float("step", 0.0, 1.0, step=0.05)
        trial.suggest_int("int", 3, 40)
        trial.suggest_int("logint", 1, 500, log=True)
        return trial.suggest_float("linear", -3, 5)

    study.optimize(objective, n_trials=800)
    frame = read_study(study)
    assert np.allclose(frame.unit.mean(axis=0), 0.5, atol=0.04)
    assert np.allclose(frame.unit.var(axis=0), 1 / 12, atol=0.012)


@pytest.mark.parametrize(
    "axis",
    [
        Axis("a", "float", -1.0, 3.0),
        Axis("b", "float", 1e-4, 1.0, log=True),
        Axis("c", "int", 8, 64, step=8.0),
        Axis("d", "int", 1, 100, log=True, step=1.0),
        Axis("e", "categorical", choices=(None, True, 1, "x")),
    ],
)
def test_there_and_back(axis):
    values = (
        list(axis.choices)
        if axis.is_categorical
        else [axis.from_unit(u) for u in np.linspace(0, 1, 9)]
    )
    back = [axis.from_unit(u) for u in axis.to_unit(values)]
    for value, again in zip(values, back, strict=True):
        same = value is again or value == pytest.approx(again)
        assert same
        assert type(value) is type(again)


def test_pruned_failed_and_infinite_trials():
    space = {"x": FloatDistribution(0, 1)}
    study = optuna.create_study()
    for x, value in ((0.1, 1.0), (0.2, math.inf), (0.3, 2.0)):
        study.add_trial(create_trial(params={"x": x}, distributions=space, value=value))
    study.add_trial(
        create_trial(
            params={"x": 0.4},
            distributions=space,
            state=TrialState.PRUNED,
            intermediate_values={1: 9.0, 3: 7.0},
        )
    )
    study.add_trial(create_trial(params={"x": 0.5}, distributions=space, state=TrialState.FAIL))
    frame = read_study(study)
    assert frame.state.tolist() == [COMPLETE, FAILED, COMPLETE, PRUNED, FAILED]
    assert frame.value[3] == 7.0
    assert frame.steps[3] == 3
    assert frame.steps[0] == frame.steps.max()


def test_trials_with_the_same_parameters_are_one_configuration(studies):
    """Whatever they say that they repeat: in a part of a study that number is another trial's."""
    rows = [{"x": 0.1}, {"x": 0.2}, {"x": 0.1}, {"x": 0.3}]
    attrs = [{}, {}, {"hps_replicate_of": 0}, {"hps_replicate_of": 1}]
    study = studies.of(rows, [1, 2, 3, 4], {"x": studies.unit}, attrs=attrs)
    assert read_study(study).group.tolist() == [0, 1, 0, 2]


def test_a_range_that_changed_is_read_whole(studies):
    study = studies.of([{"x": 0.5}], [1.0], {"x": FloatDistribution(0, 1)})
    wider = {"x": FloatDistribution(0, 4)}
    study.add_trial(create_trial(params={"x": 4.0}, distributions=wider, value=2.0))
    frame = read_study(study)
    assert frame.unit[:, 0].tolist() == [0.125, 1.0]
    assert "changed between trials" in frame.notes[0]


def test_constants_are_set_aside(studies):
    space = {"x": studies.unit, "k": IntDistribution(3, 3), "c": CategoricalDistribution(["a"])}
    rows = [{"x": i / 20, "k": 3, "c": "a"} for i in range(20)]
    explanation = explain(studies.of(rows, range(20), space))
    assert [e.param for e in explanation.effects] == ["x"]
    assert any("'k' was always 3" in note for note in explanation.notes)


def refused(study, pattern, **kwargs):
    with pytest.raises(InputError, match=pattern) as caught:
        explain(study, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 240


def test_refusals(studies):
    """One sentence each, with the way out."""
    unit = {"x": studies.unit}
    refused(optuna.create_study(), "no finished trial: run more")
    refused(studies.of([{"x": 0.1}], [1.0], unit), "one finished trial only")
    refused(studies.of([{"x": 0.1}, {"x": 0.2}], [1.0, 1.0], unit), "equal 1, so nothing tells")
    refused(studies.of([{"x": 0.1}, {"x": 0.1}], [1.0, 2.0], unit), "more than one value")
    failed = optuna.create_study()
    for x in (0.1, 0.2):
        failed.add_trial(studies.failed({"x": x}, unit))
    refused(failed, "all 2 trials .* failed")
    fine = studies.of([{"x": 0.1}, {"x": 0.2}], [1.0, 2.0], unit)
    refused(fine, "no metric 'f1': it has value", metric="f1")
    refused(fine, "level is 90", level=90)
    refused(fine, "surrogate 'gp' is unknown", surrogate="gp")


def test_one_of_several_objectives():
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.set_metric_names(["accuracy", "seconds"])
    for i in range(12):
        study.add_trial(
            create_trial(
                params={"x": i / 12},
                distributions={"x": FloatDistribution(0, 1)},
                values=[i, 12 - i],
            )
        )
    explanation = explain(study, metric="seconds")
    assert explanation.metric == "seconds"
    assert not explanation.maximize
    assert explain(study, metric="1").metric == "seconds"
