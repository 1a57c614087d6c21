"""A study of one's own function: everything that the trainers of hpsearch have, it has too."""

import importlib

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState
from own_function import own_folder, shop  # noqa: F401
from typed import typed

import hpsearch
from hpsearch.errors import HpsearchError, InputError
from hpsearch.store import Store

SPACE = {"price": hpsearch.Float(1, 9), "model": ["tree", "line"]}
pytestmark = pytest.mark.usefixtures("shop")


@pytest.fixture
def run(console):
    """hpsearch.run that prints to `console`."""
    return lambda study, **how: hpsearch.run(study, console=console, **how)


def test_a_function_alone_has_cohorts_replicates_and_a_best_trial(run, console, shop):  # noqa: F811
    """Its rules are explained, one is verified, and a trial comes out the same again."""
    study = run("shop:profit", space=SPACE, metric="profit", direction="maximize", trials=10)
    cohorts = [trial.user_attrs["hps_cohort"] for trial in study.trials]
    assert cohorts == ["baseline"] + ["design"] * 5 + ["exploit"] * 4
    assert study.trials[0].params == {"price": 5.0, "model": "tree"}  # the function's own default
    (copy,) = [one for one in study.trials if "hps_replicate_of" in one.user_attrs]
    first = study.trials[copy.user_attrs["hps_replicate_of"]]
    assert copy.params == first.params
    assert copy.value != first.value
    assert study.study_name == "shop.profit"
    assert study.best_params["model"] == "tree"
    printed = console.file.getvalue()
    assert "higher profit is better" in printed
    assert "searched: price " in printed
    assert "best profit" in printed
    done = hpsearch.verify(
        "shop.profit", param="price", value=5.0, against=9.0, pairs=5, console=console
    )
    assert done.gain == pytest.approx(16)  # a pair shares its seed, and so its noise
    found = hpsearch.train("shop:profit", output="m", trial=3, console=console)
    assert found == {"profit": hpsearch.load_study("shop.profit").trials[3].value}
    said = typed(shop, "predict", "m", "m/training.json")[2]
    assert "only your own code can predict with" in " ".join(said.split())


def test_the_command_line_of_a_function_and_a_study_file_of_it_draw_the_same(run, shop):  # noqa: F811
    (shop / "sub").mkdir()
    (shop / "sub" / "study.toml").write_text(
        'name = "filed"\ntrainer = "shop:profit"\nmetric = "profit"\ndirection = "maximize"\n'
        "trials = 6\n[space.price]\nlow = 1.0\nhigh = 9.0\n"
        '[space.model]\ntype = "choice"\nchoices = ["tree", "line"]\n'
    )
    (shop / "shop.py").rename(shop / "sub" / "shop.py")  # a worker imports from the file's folder
    filed = run("sub/study.toml")
    alone = run("sub/shop.py:profit", space=SPACE, metric="profit", direction="maximize", trials=6)
    assert len(filed.trials) == 6
    assert [one.params for one in filed.trials] == [one.params for one in alone.trials]
    assert [one.value for one in filed.trials] == [one.value for one in alone.trials]


def test_a_run_goes_on_without_saying_the_space_again(run):
    run("shop:profit", space=SPACE, trials=3)  # a profit is to rise
    study = run("shop:profit", trials=2)
    assert len(study.trials) == 5
    assert study.directions[0].name == "MAXIMIZE"
    with pytest.raises(InputError, match="price is 2 to 9"):
        run("shop:profit", space={**SPACE, "price": FloatDistribution(2, 9)}, trials=1)


def test_what_to_do_next_names_a_study_that_is_not_called_as_its_function(run, shop):  # noqa: F811
    run("shop:profit", space=SPACE, metric="profit", name="mine", trials=4)
    (line,) = [one for one in typed(shop, "explain", "mine")[1].splitlines() if "Next: " in one]
    command = line.removeprefix("Next: hpsearch ").partition("  # ")[0]
    status, out, err = typed(shop, *command.split(), "--trials", "1", "--workers", "1")
    assert status == 0, err
    assert "mine: 1 trial to run" in out + err


def test_reports_prune_exploit_trials_alone_and_bring_side_data(run, console):
    study = run("shop:epochs", space={"lr": hpsearch.Float(1e-3, 1)}, trials=30)
    pruned = [one for one in study.trials if one.state == TrialState.PRUNED]
    assert pruned
    assert {one.user_attrs["hps_cohort"] for one in pruned} == {"exploit"}
    first = study.trials[0]
    assert first.user_attrs["note"] == [0]
    assert first.intermediate_values == {k: first.params["lr"] * (k + 1) for k in range(5)}
    with Store.open(None, create=False) as store, store.engine.connect() as connection:
        query = "select train_loss, metrics from hps_epoch where epoch = 1"
        loss, metrics = connection.exec_driver_sql(query).first()
    assert loss == 0.5
    assert '"size": 3' in str(metrics)


REASONS = {
    "nan": "value is nan, not a finite number",
    "raises": "ValueError: no such price",
    "text": "the objective returned 'good', which is not a number",
    "none": "the objective returned None, which is not a number",
    "exit": "the objective called sys.exit(3)",
    "reports": "the objective reported inf at step 1",
    "notes": "ValueError: the attribute 'hps_seed': such names are hpsearch's own",
}


def test_what_is_no_number_is_a_failed_trial_with_one_sentence(run):
    tries = [{"what": one} for one in ("fine", *REASONS)]
    space = {"what": ["fine", *REASONS]}
    study = run("shop:bad", space=space, trials=len(tries), search={"tries": tries})
    failed = {one.params["what"]: one.user_attrs.get("hps_failure") for one in study.trials}
    assert failed == {"fine": None, **REASONS}
    assert {one.state for one in study.trials[1:]} == {TrialState.FAIL}


def test_a_file_that_the_function_misses_is_its_own_and_not_one_of_the_cache(run, shop):  # noqa: F811
    with pytest.raises(HpsearchError, match=r"FileNotFoundError: .*nowhere"):
        run("shop:reads", space={"path": ["nowhere/x", "shop.py"]}, trials=1)
    assert (shop / "calls").read_text() == "x"


def test_a_function_gets_the_place_of_its_data_which_may_not_change(run, shop):  # noqa: F811
    (shop / "level.txt").write_text("3")
    how = {"space": {"x": [1, 2]}, "data": "level.txt"}
    assert run("shop:constant", trials=1, **how).trials[0].value == 4
    assert [one.name for one in shop.iterdir() if one.suffix == ".db"] == ["hpsearch.db"]
    (shop / "level.txt").write_text("4")
    with pytest.raises(InputError, match=r"the data is level\.txt"):
        run("shop:constant", trials=1, **how)
    with pytest.raises(InputError, match="goes to a parameter called data, which shop:two does"):
        run("shop:two", space={"x": [1, 2]}, data="level.txt")


def test_other_commands_find_a_function_s_study_by_the_function(run, shop):  # noqa: F811
    run("shop:profit", space=SPACE, name="named", trials=3)
    assert hpsearch.load_study("shop:profit").study_name == "named"
    assert hpsearch.enqueue("shop.py:profit", {"price": 2}) == ("named", 3)
    status, out, _ = typed(shop, "show", "shop:profit", "--top", "1")
    assert (status, "price" in out) == (0, True)
    status, out, _ = typed(shop, "show", "shop:hints")
    assert (status, "in dollars" in out) == (0, True)


def test_a_training_that_is_no_trial_says_what_the_function_raised(run, console):
    run("shop:bad", space={"what": ["fine", "raises"]}, trials=1)
    with pytest.raises(HpsearchError, match="The objective raised ValueError: no such price"):
        hpsearch.train("shop:bad", output="m", sets=["what='raises'"], best=True, console=console)
    found = hpsearch.train("shop:bad", output="n", best=True, console=console)
    assert found == {"value": 1.0}


def test_several_numbers_are_several_objectives(run, console):
    study = run("shop:two", space={"x": [0.2, 0.4]}, trials=2, search={"also": ["+rest"]})
    printed = console.file.getvalue()
    assert "higher rest is better" in printed
    assert f"best rest {max(one.values[1] for one in study.trials):.4g}, trial" in printed
    assert f"{len(study.best_trials)} trial" in printed.splitlines()[-1]
    assert [one.name for one in study.directions] == ["MINIMIZE", "MAXIMIZE"]
    assert all(sum(one.values) == 1 for one in study.trials)
    named = run("shop:named", space={"x": [0.2, 0.4]}, metric="loss", trials=2)
    assert named.trials[0].user_attrs["hps_metrics"] == {"loss": named.trials[0].value, "size": 3}


def test_the_same_seed_gives_the_same_numbers_also_to_global_generators(run):
    first, again = (
        run("shop:drawn", space={"x": [0.2, 0.4]}, name=name, trials=4) for name in ("one", "two")
    )
    values = [one.value for one in first.trials]
    assert values == [one.value for one in again.trials]
    assert len(set(values)) == 4


BRANCHES = {
    "C": hpsearch.Float(0.1, 3, when={"model": "svm"}),
    "depth": hpsearch.Int(1, 8, when={"model": ["tree"]}),
    "model": ["svm", "tree"],
}


@pytest.mark.parametrize("sampler", ["tpe", "gp", "qmc", "forest"])
def test_a_conditional_space_is_drawn_by_every_sampler(run, sampler):
    study = run("shop:branches", space=BRANCHES, trials=24, sampler=sampler)
    assert {one.state for one in study.trials} == {TrialState.COMPLETE}
    names = {tuple(one.params) for one in study.trials}
    assert names == {("model", "C"), ("model", "depth")}


def test_conditional_parameters_are_explained_verified_and_go_on(run, console):
    study = run("shop:branches", space=BRANCHES, trials=40, design_share=1.0)
    parts = {effect.param for effect in hpsearch.explain(study).effects}
    assert parts == {"model", "C", "depth"}
    how = {"against": 3.0, "pairs": 3, "console": console}
    assert hpsearch.verify("shop.branches", param="C", value=1.0, **how).gain == 2  # |3 - 1|
    done = hpsearch.verify("shop:branches", param="model", value="svm", against="tree", pairs=3,
                           console=console)  # fmt: skip
    assert done.gain > 0
    more = run("shop:branches", trials=2, warm_start=["shop.branches"], fix={"model": "svm"})
    assert {tuple(one.params) for one in more.trials[-2:]} == {("model", "C")}
    with pytest.raises(InputError, match=r"--fix C=1\.0: only trials with model svm have it"):
        run("shop:branches", trials=1, fix={"C": 1})
    with pytest.raises(InputError, match="enqueue depth=2: only trials with model tree have it"):
        hpsearch.enqueue("shop.branches", {"depth": 2, "model": "svm"})
    with pytest.raises(InputError, match=r"when\.C is not set"):
        run("shop:branches", space={**BRANCHES, "C": hpsearch.Float(0.1, 3)}, trials=1)


def test_what_a_function_suggests_is_searched_and_found_without_a_call_more(run, shop):  # noqa: F811
    study = run("shop:suggests", trials=12)
    assert {tuple(one.params) for one in study.trials} == {("model", "C"), ("model", "depth")}
    assert len((shop / "calls").read_text()) == 12
    again = run("shop:suggests", trials=1)
    assert again.trials[-1].state == TrialState.COMPLETE


def test_type_hints_and_suggestions_together_are_the_space(run):
    study = run("shop:hints", trials=4)
    assert {tuple(sorted(one.params)) for one in study.trials} == {("model", "more", "price")}
    assert study.trials[0].params == {"price": 5.0, "model": "line", "more": 3}


def test_a_suggestion_outside_the_declared_space_is_a_failed_trial(run):
    space = {"model": ["svm"], "C": hpsearch.Float(5, 9)}
    with pytest.raises(HpsearchError, match="asks for 'C' in another range than the study's"):
        run("shop:suggests", space=space, trials=1)


def test_a_changed_function_is_refused_until_it_is_said_to_be_the_same(run, shop):  # noqa: F811
    how = {"space": {"x": [0.2, 0.4]}, "trials": 1}
    source = (shop / "shop.py").read_text()
    (shop / "rest.py").write_text(source)
    run("rest:two", **how)
    rest = importlib.import_module("rest")
    (shop / "rest.py").write_text(f"# a comment\n{source}\n\ndef another():\n    pass\n")
    importlib.reload(rest)
    run("rest:two", **how)  # nothing that it uses has changed
    (shop / "rest.py").write_text(source.replace("return x, 1 - x", "return x, 2 - x"))
    importlib.reload(rest)
    with pytest.raises(InputError, match=r"source of rest:two.*say --accept-code"):
        run("rest:two", **how)
    run("rest:two", accept_code=True, **how)
    assert len(run("rest:two", **how).trials) == 4


def test_a_function_of_this_process_alone_runs_here_and_says_so_where_others_are_asked_for(
    run, console
):
    study = run(lambda x: x * x, space={"x": hpsearch.Float(-1, 1)}, name="squares", trials=3)
    assert study.trials[0].params == {"x": 0.0}
    assert study.best_value == 0
    done = hpsearch.verify(study, param="x", value=0, against=1, pairs=2, console=console)
    assert len(done.gains) == 2
    with pytest.raises(InputError, match=r"cannot import .*:squares \(it is a lambda.*workers=1"):
        run(lambda x: x * x, space={"x": [1, 2]}, name="squares", trials=1, workers=2)
    with pytest.raises(InputError, match="no name that a study could have: say name="):
        run(lambda x: x * x, space={"x": [1, 2]})


def test_workers_import_the_function_and_a_killed_one_goes_on_from_its_checkpoint(run):
    study = run("shop:killed", space={"x": hpsearch.Float(0, 1)}, trials=4, workers=2)
    assert [one.state for one in study.trials] == [TrialState.COMPLETE] * 4
    assert {one.user_attrs["began"] for one in study.trials} == {"half"}


@pytest.mark.parametrize(
    ("study", "space", "sentence"),
    [
        ("shop:profit", {"prize": [1, 2]}, "has no parameter 'prize'.*price"),
        ("shop:profit", {"model": ["tree"]}, "needs 'price', which is neither searched nor set"),
        ("shop:none", {"x": [1]}, "the module shop has nothing of that name"),
        ("shap:none", {"x": [1]}, "cannot be imported: it is neither in .* nor in PYTHONPATH"),
        ("os:system", {"command": ["ls"]}, "of Python's own library"),
        ("shop:HERE", {"x": [1]}, "no function of that name, but a"),
        ("shop:profit", {"price": 3}, "space price: 3 is no range"),
        ("shop:profit", {"price": hpsearch.Int(9, 1)}, "low 9 is above high 1"),
        ("shop:profit", None, "Nothing says what to search of shop:profit"),
        ("adult", {"x": [1]}, "space cannot be given with adult"),
    ],
)
def test_what_cannot_be_run_is_said_before_the_first_trial(run, study, space, sentence):
    with pytest.raises(InputError, match=sentence):
        run(study, space=space, trials=1)
