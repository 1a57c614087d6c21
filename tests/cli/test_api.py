"""The Python API mirrors the command line: same names, same defaults, but for what is listed."""

import inspect
import runpy
from pathlib import Path

import pytest
import typer

import hpsearch
from hpsearch.cli.app import app
from hpsearch.cli.options import parse_duration

FUNCTIONS = {
    "run": "run", "worker": "join", "explain": "explain", "rules": "rules", "verify": "verify",
    "train": "train", "card": "card", "predict": "predict", "pretrain": "pretrain",
    "generate": "generate", "export-model": "export_model",
    "lr-find": "find_lr", "doctor": "doctor", "enqueue": "enqueue", "import": "import_study",
    "export": "export_study", "delete": "delete_study", "rename": "rename_study",
}  # fmt: skip
FOR_PEOPLE = {"dashboard", "studies", "show", "compare", "new", "recommend", "interpret", "data"}
"""Commands without a function: what they show is for people; `load_spec` and `load_recommender`
give what is behind it."""

ONE_VALUE = {
    "cluster": {"address", "worker_cpus", "worker_gpus"},
    "limits": {"trial_timeout", "trial_memory", "halve_batch"},
    "search": {"try", "constraint"},
}  # fmt: skip
"""Keywords whose value holds what are several options of the command line."""
NO_RESULT = {"export_model", "join", "delete_study", "rename_study"}
RENAMED = {"set": "sets"}
ONLY_TYPED = {
    "explain": {"studies", "study", "format", "output", "trial", "pool", "all"},
    "delete": {"yes"},
    "rules": {"format"},
    "verify": {"format"},
}
"""Options about what is printed; `explain` takes one study, the command several."""
ONLY_CALLED = {"explain": {"study", "surrogate"}, "train": {"params"}}
OTHER_DEFAULTS = {
    ("run", "workers"),  # a script's trials run in its own process unless it asks for more
    ("verify", "workers"),
    ("lr-find", "output"),  # a function draws only where it is told to
}


def commands() -> dict[str, typer.core.TyperCommand]:
    return typer.main.get_command(app).commands


def keywords(name: str) -> dict[str, object]:
    parameters = inspect.signature(getattr(hpsearch, FUNCTIONS[name])).parameters.values()
    return {one.name: one.default for one in parameters if one.name != "console"}


def options(name: str) -> dict[str, object]:
    """The defaults of a command's arguments and options by their names, as keywords."""
    found = {}
    for param in commands()[name].params:
        long = next((one for one in param.opts if one.startswith("--")), param.name)
        option = long.removeprefix("--").replace("-", "_")
        if option != "help":
            default = inspect.Parameter.empty if param.required else param.default
            found[RENAMED.get(option, option)] = default
    return found


def plain(default: object) -> object:
    """Nothing given is None here, () there; times are typed with their unit."""
    if default in ((), [], {}):
        return None
    return parse_duration(default, "") if default == "2m" else default


def test_every_command_has_its_function_or_is_for_people():
    assert set(commands()) == set(FUNCTIONS) | FOR_PEOPLE
    assert set(FUNCTIONS.values()) < set(hpsearch.__all__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_options_and_keywords_have_the_same_names_and_defaults(name):
    called, typed = keywords(name), options(name)
    for keyword, parts in ONE_VALUE.items():
        if keyword in called:
            parts = parts & set(typed)
            assert parts, f"{keyword} stands for no option"
            assert called.pop(keyword) is None
            assert {typed.pop(part) for part in parts} <= {None, False}
    for option in ONLY_TYPED.get(name, ()):
        del typed[option]
    for keyword in ONLY_CALLED.get(name, ()):
        del called[keyword]
    assert sorted(called) == sorted(typed)
    differing = {key for key in called if plain(called[key]) != plain(typed[key])}
    assert {(name, key) for key in differing} == {one for one in OTHER_DEFAULTS if one[0] == name}


def test_every_public_name_is_there_and_documented():
    for name in hpsearch.__all__:
        assert inspect.getdoc(getattr(hpsearch, name)), name


@pytest.mark.parametrize("name", sorted(n for n in hpsearch.__all__ if n[0].islower()))
def test_docstrings_describe_every_argument_and_what_comes_back(name):
    function = getattr(hpsearch, name)
    text = inspect.getdoc(function)
    for parameter in inspect.signature(function).parameters:
        assert f"\n    {parameter}: " in text, parameter
    for part in ("Args", "Raises", "Example", *(["Returns"] if name not in NO_RESULT else [])):
        assert f"\n{part}:\n" in text, part


def test_the_page_of_the_api_is_made_from_the_docstrings_of_now():
    docs = Path(__file__).parents[2] / "docs"
    page = runpy.run_path(str(docs / "api.py"))["page"]()
    assert (docs / "api.md").read_text("utf-8") == page, "run make api"


@pytest.fixture
def imported(tmp_path):
    """The URL of a store with the study "mine" of forty trials."""
    rows = [f"{i / 40},{(i / 40 - 0.3) ** 2}" for i in range(40)]
    (tmp_path / "runs.csv").write_text("\n".join(["dropout,loss", *rows]))
    storage = f"sqlite:///{tmp_path / 'store.db'}"
    hpsearch.import_study(tmp_path / "runs.csv", "mine", metric=["loss"], storage=storage)
    return storage


def test_rules_are_kept_of_a_name_but_not_of_a_study(imported):
    study = hpsearch.load_study("mine", storage=imported)
    explanation = hpsearch.explain(study)
    assert hpsearch.rules(storage=imported) == []
    with pytest.raises(hpsearch.InputError, match="give that and its storage"):
        hpsearch.explain(study, keep=True)
    named = hpsearch.explain("mine", storage=imported)
    assert named.rules == explanation.rules
    (rule,) = hpsearch.rules(["mine"], storage=[imported])
    assert rule["statement"] == explanation.rules[0].statement
    with pytest.raises(hpsearch.InputError, match="no study 'theirs'"):
        hpsearch.rules(["theirs"], storage=imported)


def test_plots_go_into_a_study_only_where_that_is_asked_for(imported):
    def attributes():
        study = hpsearch.load_study("mine", storage=imported)
        return study._storage.get_study_system_attrs(study._study_id)

    before = attributes()
    hpsearch.explain("mine", storage=imported)
    assert attributes() == before
    hpsearch.explain("mine", storage=imported, push=True)
    assert attributes() != before


def test_plots_that_cannot_be_written_are_an_error(imported, monkeypatch):
    monkeypatch.setattr("hpsearch.store.sources.is_writable", lambda url: False)
    assert hpsearch.explain("mine", storage=imported).rules
    with pytest.raises(hpsearch.InputError, match="can only be read"):
        hpsearch.explain("mine", storage=imported, push=True)


def test_a_training_takes_the_best_language_model_of_the_store_or_says_that_there_is_none(
    imported, tmp_path
):
    where = {"output": tmp_path / "model", "language_model": "best", "preset": "quick"}
    with pytest.raises(hpsearch.InputError, match=r"There is no store at .*none\.db"):
        hpsearch.train("imdb-clas", storage=f"sqlite:///{tmp_path / 'none.db'}", **where)
    with pytest.raises(hpsearch.InputError, match="imdb-lm"):
        hpsearch.train("imdb-clas", storage=imported, **where)


def test_a_training_has_its_values_from_one_place(tmp_path):
    for two in ({"best": True, "trial": 3}, {"best": True, "params": {"lr": 0.1}}):
        with pytest.raises(hpsearch.InputError, match="drop one"):
            hpsearch.train("movielens", tmp_path / "model", **two)
