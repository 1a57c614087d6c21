"""What a study.toml may leave out."""

import pytest

from hpsearch.errors import InputError
from hpsearch.study.spec import load_spec


@pytest.fixture
def spec(tmp_path):
    def load(text):
        (tmp_path / "study.toml").write_text(text)
        return load_spec(tmp_path)

    return load


RATINGS = 'name = "mine"\ntrainer = "collab"\n[data]\npath = "r.csv"\n'
TABLE = 'name = "mine"\ntrainer = "tabular"\n[data]\npath = "t.csv"\ntarget = "y"\n'


def test_a_study_of_three_lines_is_the_built_in_one_on_other_data(spec):
    own, builtin = spec(TABLE + 'task = "classification"\n'), load_spec("adult")
    assert (own.metric, own.direction) == ("accuracy", "maximize")
    assert own.base().distributions == builtin.base().distributions
    assert own.resolve("cpu").trials == builtin.resolve("cpu").trials


def test_numbers_are_judged_by_their_error_and_classes_by_accuracy(spec, tmp_path):
    assert spec(TABLE + 'task = "regression"\n').metric == "rmse"
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{i % 7},{i / 3}\n" for i in range(30)))
    assert (spec(TABLE).metric, spec(TABLE).direction) == ("rmse", "minimize")
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{i % 7},{i % 2}\n" for i in range(30)))
    assert spec(TABLE).metric == "accuracy"
    (tmp_path / "t.csv").unlink()
    with pytest.raises(InputError, match="metric: it depends on whether 'y' is of classes"):
        spec(TABLE)


def test_a_metric_says_by_its_name_which_way_is_better(spec):
    assert spec('metric = "mae"\n' + RATINGS + 'rating = "stars"\n').direction == "minimize"
    assert spec('metric = "recall"\n' + RATINGS).direction == "maximize"


def test_ratings_of_ones_own_have_their_own_range(spec):
    rated = spec(RATINGS + 'rating = "stars"\n')
    assert rated.base().defaults["y_range"] == "auto"
    assert rated.metric == "mse"
    chosen = spec(RATINGS)
    assert "y_range" not in chosen.space
    assert (chosen.metric, chosen.direction) == ("ndcg", "maximize")


def test_a_space_replaces_the_built_in_one_and_changes_it_with_like(spec):
    own = '[space.epochs]\ntype = "int"\nlow = 2\nhigh = 9\ndefault = 4\n'
    assert list(spec(RATINGS + own).space) == ["epochs"]
    changed = spec('like = "movielens"\n' + RATINGS + "[space]\nepochs = { high = 12 }\n")
    assert changed.base().distributions["epochs"].high == 12
    assert changed.base().distributions["epochs"].low == 3
    assert "lr" in changed.space


def test_settings_of_the_file_go_before_those_of_the_built_in_presets(spec):
    text = 'name = "mine"\ntrainer = "text-classifier"\n[data]\npath = "t.csv"\n'
    quick = spec(text + "[settings]\ntrain_reviews = 50\n").resolve("quick")
    assert quick.settings["train_reviews"] == 50
    assert quick.settings["language_model"]["pretrained"] == "imdb-unsup"
    # A parameter that only the built-in space has cannot be changed by its presets.
    lm = 'name = "mine"\ntrainer = "language-model"\n[data]\npath = "t.csv"\n'
    one = "[space.lr]\nlow = 0.001\nhigh = 0.01\ndefault = 0.002\n"
    assert list(spec(lm + one).resolve("quick").space) == ["lr"]
