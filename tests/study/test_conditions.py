"""Parameters that trials have only under values of others."""

import pytest

from hpsearch.errors import InputError
from hpsearch.study.conditions import active, check_complete, in_order
from hpsearch.study.spec import load_spec

WHEN = {"C": {"model": ["svm"]}, "gamma": {"C": [1, 2], "model": ["svm"]}}
STUDY = """
name = "both"
trainer = "shop:any"
[space.C]
low = 1e-2
high = 10
log = true
when = { model = "svm" }
[space.model]
type = "choice"
choices = ["svm", "tree"]
"""


def test_a_parameter_is_there_where_all_its_conditions_hold_and_so_on_up():
    config = {"gamma": 1, "C": 2, "model": "svm", "lr": 0.1}
    assert active(config, WHEN) == config
    assert active({**config, "C": 3}, WHEN) == {"C": 3, "model": "svm", "lr": 0.1}
    assert active({**config, "model": "tree"}, WHEN) == {"model": "tree", "lr": 0.1}
    assert active({"on": True, "k": 1}, {"k": {"on": [1]}}) == {"on": True}  # true is not 1


def test_a_part_of_a_configuration_must_say_what_it_needs():
    check_complete("--try", {"C": 1, "model": "svm"}, WHEN)
    with pytest.raises(InputError, match="--try C=1: only trials with model svm have it"):
        check_complete("--try", {"C": 1, "model": "tree"}, WHEN)
    with pytest.raises(InputError, match="--fix C=1: only trials with model svm have it"):
        check_complete("--fix", {"C": 1}, WHEN)


def test_parameters_come_after_those_that_they_depend_on():
    allowed = {"gamma": None, "C": [1, 2, 3], "lr": None, "model": ["svm", "tree"]}
    assert in_order(allowed, WHEN) == ["lr", "model", "C", "gamma"]
    assert in_order(allowed, {}) == list(allowed)


@pytest.mark.parametrize(
    ("when", "sentence"),
    [
        ('{ modell = "svm" }', r"no other parameter 'modell' \(did you mean model\?\)"),
        ('{ model = "forest" }', "'model' is never forest"),
        ("{ model = [] }", "'model' is never one of no values"),
        ("{ C = 1 }", "no other parameter 'C'"),
        ('"svm"', "this must be a table"),
    ],
)
def test_a_condition_that_cannot_hold_is_told(tmp_path, when, sentence):
    (tmp_path / "study.toml").write_text(STUDY.replace('{ model = "svm" }', when))
    with pytest.raises(InputError, match=rf"space\.C\.when.*: .*{sentence}"):
        load_spec(tmp_path / "study.toml")


def test_a_condition_on_a_fraction_and_a_ring_are_told():
    with pytest.raises(ValueError, match=r"'lr' is a number; a condition can be on choices"):
        in_order({"lr": None, "C": [1]}, {"C": {"lr": [0.1]}})
    with pytest.raises(ValueError, match="a, b depend on each other"):
        in_order({"a": [1], "b": [1]}, {"a": {"b": [1]}, "b": {"a": [1]}})


def test_the_space_of_a_study_is_in_that_order(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY)
    base = load_spec(tmp_path / "study.toml").base()
    assert list(base.distributions) == ["model", "C"]
    assert base.when == {"C": {"model": ["svm"]}}
