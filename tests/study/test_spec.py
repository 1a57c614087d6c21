"""A study.toml is read, or refused in one sentence that names file, key and reason."""

from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hpsearch.errors import InputError
from hpsearch.study.defaults import builtin_names
from hpsearch.study.given import study_of
from hpsearch.study.given_space import parse_spaces
from hpsearch.study.spec import load_spec

GOOD = """
name = "mine"
trainer = "text-classifier"
metric = "accuracy"
direction = "maximize"
[data]
path = "reviews.csv"
[space.lr]
low = 1e-3
high = 1e-1
log = true
default = 2e-2
[space.bs]
type = "int"
low = 16
high = 64
default = 32
[space.unfreeze]
type = "choice"
choices = [true, false]
default = true
[presets.quick]
trials = 5
settings = { train_reviews = 100 }
space = { bs = { high = 48 } }
"""


@pytest.fixture
def study(tmp_path):
    def write(*changes):
        text = GOOD
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / "study.toml"
        path.write_text(text)
        return path

    return write


def test_dates_are_texts_as_in_the_store(study):
    path = study(('path = "reviews.csv"', 'path = "reviews.csv"\ntext = 2020-01-31'))
    assert load_spec(path).data["text"] == "2020-01-31"


def test_a_study_becomes_optuna_distributions(study):
    resolved = load_spec(study()).resolve("quick")
    assert resolved.distributions == {
        "lr": FloatDistribution(1e-3, 1e-1, log=True),
        "bs": IntDistribution(16, 48),
        "unfreeze": CategoricalDistribution([True, False]),
    }
    assert resolved.defaults == {"lr": 2e-2, "bs": 32, "unfreeze": True}
    assert resolved.settings == {"train_reviews": 100}
    assert resolved.trials == 5


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('metric = "accuracy"', 'metrik = "accuracy"', "metrik: there is no such key"),
        ('metric = "accuracy"', 'like = "adult"', "no built-in study of the trainer text-class"),
        (
            'metric = "accuracy"\ndirection = "maximize"',
            'metric = "q"',
            "does not tell whether",
        ),
        ("low = 1e-3", 'low = "small"', "space.lr.low: input should be a valid number"),
        ("low = 1e-3", "low = 0.0", "space.lr: a log scale needs low > 0"),
        ("low = 1e-3", "low = -1.0", "space.lr: a log scale needs low > 0"),
        ("low = 16", "low = 100", "space.bs: low 100 is above high 64"),
        ("low = 16", "low = 1.5", "space.bs.low: input should be a valid integer"),
        ("default = 2e-2", "default = 5.0", "space.lr: the default 5.0 lies outside 0.001 to 0.1"),
        ("default = 2e-2", "", "space.lr.default: this key is required"),
        ("default = 2e-2", "default = 2e-2\nstop = 3", "space.lr.stop: there is no such key"),
        ("default = 2e-2", "default = nan", "must be finite"),
        ("default = true", 'default = "yes"', "the default 'yes' is not among the choices"),
        ("choices = [true, false]", "choices = []", "space.unfreeze.choices"),
        ('type = "int"', 'type = "integer"', "space.bs"),
        ('direction = "maximize"', 'direction = "up"', "direction: "),
        ('"text-classifier"', '"text-clasifier"', "did you mean text-classifier?"),
        ("[space.lr]", "[space.lrr]", "lrr"),
        ("train_reviews = 100", "train_review = 100", "did you mean train_reviews?"),
        ("train_reviews = 100", 'train_reviews = "many"', "presets.quick.settings.train_reviews"),
        ("trials = 5", "trials = 0", "presets.quick.trials"),
        ("bs = { high = 48 }", "bss = { high = 48 }", "did you mean bs?"),
        ("bs = { high = 48 }", "bs = { high = 8 }", "presets.quick.space.bs: low 16 is above"),
        ("[presets.quick]", "[presets.auto]", "a preset cannot be called auto"),
        ('name = "mine"', 'name = "a b/c"', "name: "),
        ("[data]", "[data", "is not valid TOML"),
        # What the trainer would refuse later, in every trial.
        ("low = 16", "low = 1", "space.bs: input should be greater than or equal to 2 (it may"),
        ('type = "int"\nlow = 16', "low = 16.0", "space.bs: input should be a valid integer"),
        ("choices = [true, false]", 'choices = [true, "no"]', "space.unfreeze: input should be"),
        ("choices = [true, false]", "choices = [true, 1]", "a choice stands twice"),
        ("choices = [true, false]", "choices = [true, nan]", "choices must be finite"),
        ("[true, false]\ndefault = true", "[true, false]\ndefault = 1", "not among the choices"),
        ("[space.bs]", "[space.train_reviews]", "space.train_reviews: all trials share what"),
        ("train_reviews = 100", 'train_reviews = "100"', "presets.quick.settings.train_reviews"),
        ("train_reviews = 100", "train_reviews = true", "presets.quick.settings.train_reviews"),
        ("train_reviews = 100", 'moms = "fast"', "momenta are written high/low"),
        ("train_reviews = 100", "wd = inf", "presets.quick.settings.wd: input should be a finite"),
        ("high = 64", "high = 1" + "0" * 400, "space.bs.high: input should be less than"),
        ("high = 64", "high = 1" + "0" * 5000, "is not valid TOML: Exceeds the limit"),
        ("low = 1e-3\nhigh = 1e-1\nlog = true", "low = -1e308\nhigh = 1e308", "too wide"),
        ('path = "reviews.csv"', "path = 5", "data.path: input should be a valid string, not 5"),
        ('path = "reviews.csv"', 'pth = "a.csv"', "data.pth: there is no such key (did you mean"),
        ('path = "reviews.csv"', 'text = [1]\npath = "a.csv"', "data.text"),
        ('path = "reviews.csv"', 'path = "a.csv"\nsource = "imdb"', "source and path are both"),
        ("[space.lr]", "[[space.lr]]", "space.lr: this must be a table"),
        ('metric = "accuracy"', "metric = [" + "1," * 500 + "]", "1, 1, 1, 1 ..."),
        ('metric = "accuracy"', "metric = " + "[" * 5000, "nested too deeply"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(study, old, new, said):
    path = study((old, new))
    with pytest.raises(InputError) as caught:
        load_spec(path)
    message = str(caught.value)
    assert said in message
    assert str(path) in message
    assert "\n" not in message
    assert message.endswith(".")
    assert caught.value.exit_status == 2


def test_a_path_counts_from_the_study_file(study, tmp_path, monkeypatch):
    path = study()
    monkeypatch.chdir("/")
    assert load_spec(path).data["path"] == str(tmp_path / "reviews.csv")


def test_a_path_is_shown_without_detours(study, tmp_path):
    path = study(('path = "reviews.csv"', 'path = "../house.csv"'))
    (tmp_path / "my").mkdir()
    moved = path.rename(tmp_path / "my" / "study.toml")
    assert load_spec(moved).data["path"] == str(tmp_path / "house.csv")
    # Beside what a link points to, not beside the link.
    (tmp_path / "far" / "away").mkdir(parents=True)
    moved.rename(tmp_path / "far" / "away" / "study.toml")
    (tmp_path / "link").symlink_to(tmp_path / "far" / "away")
    (tmp_path / "far" / "house.csv").touch()
    assert Path(load_spec(tmp_path / "link").data["path"]).samefile(tmp_path / "far" / "house.csv")


def test_a_python_file_is_asked_for_its_function(tmp_path):
    (tmp_path / "mine.py").write_text("def f(x): return x")
    with pytest.raises(InputError, match=r"Write .*mine\.py:FUNCTION"):
        load_spec(tmp_path / "mine.py")


@pytest.mark.parametrize(
    ("study", "space", "said"),
    [
        (len, {"a": (1, 2)}, "a range or two choices: write hpsearch.Float"),
        (len, [1], "give each parameter's range by its name"),
        (5, None, "5 is no study"),
    ],
)
def test_what_is_no_study_or_space_in_python_is_said(study, space, said):
    with pytest.raises(InputError, match=said):
        study_of(study, {"space": space})


def test_a_parameter_has_one_range():
    with pytest.raises(InputError, match="--space gives 'a' twice"):
        parse_spaces(["a=1..2", "b=1..2", "a=3..4"])


def test_an_unreadable_file_is_said(tmp_path):
    path = tmp_path / "study.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        load_spec(path)


def test_an_unknown_study_gets_the_nearest_name():
    with pytest.raises(InputError, match="did you mean imdb-clas"):
        load_spec("imdb-class")


def test_an_unknown_preset_names_those_there_are(study):
    with pytest.raises(InputError, match=r"has no preset 'full'.*quick"):
        load_spec(study()).resolve("full")


def test_a_folder_with_a_study_in_it_will_do(study):
    assert load_spec(study().parent).name == "mine"


@pytest.mark.parametrize("name", builtin_names())
def test_the_shipped_studies_are_valid_at_every_size(name):
    spec = load_spec(name)
    assert spec.name == name
    for preset in spec.presets:
        resolved = spec.resolve(preset)
        for param, distribution in resolved.distributions.items():
            internal = distribution.to_internal_repr(resolved.defaults[param])
            assert distribution._contains(internal)


def test_imdb_clas_searches_what_the_lesson_searched():
    space = load_spec("imdb-clas").base().distributions
    assert space["lr_decay"] == FloatDistribution(1, 10, log=True)
    assert load_spec("imdb-clas").base().defaults["lr_decay"] == 2.6
    assert set(space) >= {"lr", "drop_mult", "moms", "wd", "bs", "pct_start", "unfreeze", "epochs"}


def test_a_byte_order_mark_does_no_harm(study):
    path = study()
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_spec(path).name == "mine"


def test_a_name_longer_than_any_file_s_is_no_study():
    with pytest.raises(InputError, match="There is no study"):
        load_spec("a" * 5000)


def test_a_study_without_presets_says_what_to_add(study):
    text = GOOD[: GOOD.index("[presets.quick]")] + "[presets]\n"
    path = study()
    path.write_text(text)
    with pytest.raises(InputError, match=r"presets\.quick"):
        load_spec(path).resolve("auto")


def test_a_function_with_a_dot_for_its_colon_is_told_how_it_is_written(tmp_path):
    (tmp_path / "study.toml").write_text('name = "mine"\ntrainer = "shop.profit"\n')
    with pytest.raises(InputError, match=r"trainer: 'shop\.profit' is none of .*module:function"):
        load_spec(tmp_path / "study.toml")
