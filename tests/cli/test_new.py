"""`hpsearch new`: a study for one's own table that runs as it is written."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from saved_dataset import save

from hpsearch.cli.data import new
from hpsearch.data.corpus import read_corpus
from hpsearch.data.ratings import load_ratings
from hpsearch.data.tables import load_table
from hpsearch.data.texts import load_text
from hpsearch.errors import InputError
from hpsearch.study.new.look import Found
from hpsearch.study.new.write import study_text
from hpsearch.study.spec import load_spec
from hpsearch.trainers.contract import PrepareSetup, TrialSetup
from hpsearch.trainers.tabular import train as trainer


@pytest.fixture
def folder(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    n = 200
    color = rng.choice(["red", "blue"], n)
    table = pd.DataFrame(
        {"id": [f"k{i}" for i in range(n)], "color": color, "when": "2026-01-02",
         "size": rng.normal(size=n), "warm": np.where(color == "red", "yes", "no")}
    )  # fmt: skip
    table.loc[::2, "when"] = "2026-03-01"
    table.to_csv(tmp_path / "my.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    return tmp_path


def trained(spec):
    """The metrics of a trial with the study's defaults."""
    data = trainer.prepare(spec.data, spec.settings, PrepareSetup(data_path=None, device="cpu"))
    resolved = spec.resolve("quick")
    return trainer.train(
        resolved.settings,
        resolved.defaults,
        data,
        TrialSetup(seed=0, device="cpu", report=lambda _: None),
    ).metrics


def test_a_new_study_can_be_run_and_learns(folder):
    options = ["my-shop", "--data", "my.csv", "--target", "warm"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "300"}
    out = subprocess.run(
        [sys.executable, "-m", "hpsearch", "new", *options],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    assert "1 categorical, 1 continuous, 1 date, 1 ignored" in out
    text = (folder / "my-shop/study.toml").read_text()
    assert re.search('"id", +# no two cells are equal', text)
    assert 'path = "../my.csv"' in text
    spec = load_spec(folder / "my-shop")
    assert (spec.name, spec.metric, spec.direction) == ("my-shop", "accuracy", "maximize")
    assert spec.data["split"] == {"share": 0.2, "stratify": "warm"}
    assert spec.resolve("quick").trials == 16
    assert trained(spec)["accuracy"] > 0.9


def test_a_study_of_numbers_from_a_query(folder, capsys):
    with sqlite3.connect(folder / "shop.db") as connection:
        pd.read_csv(folder / "my.csv").to_sql("people", connection, index=False)
    query = "select color, size from people"
    new(Path("size.toml"), database="sqlite:///shop.db", query=query, target="size")
    spec = load_spec(folder / "size.toml")
    assert (spec.name, spec.metric, spec.direction) == ("size", "rmse", "minimize")
    assert spec.data["query"] == query
    assert "password" not in capsys.readouterr().out
    with_password = "sqlite:///shop.db?password=hunter22"
    new(Path("s2.toml"), database=with_password, query=query, target="size")
    out = capsys.readouterr().out
    assert "holds the database's password" in out
    assert "hunter22" not in out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "Say where the rows are"),
        ({"data": Path("my.csv")}, "Add --target, one of id, color, when, size, warm."),
        ({"data": Path("my.csv"), "target": "wram"}, "did you mean warm?"),
        ({"data": Path("my.csv"), "task": "texts"}, "No column holds texts of several words"),
        ({"data": Path("gone.csv"), "target": "warm"}, "does not exist"),
        ({"file": Path("gone.csv")}, "gone.csv does not exist: give a file"),
        ({"data": Path("my.csv"), "target": "same"}, "nothing to learn"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(folder, options, sentence):
    if options.get("target") == "same":
        pd.read_csv("my.csv").assign(same=1).to_csv("my.csv", index=False)
    with pytest.raises(InputError, match=re.escape(sentence)):
        new(**{"file": Path("x.toml"), **options})
    assert not (folder / "x.toml").exists()


def test_a_study_that_is_there_is_kept(folder):
    (folder / "x.toml").write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        new(Path("x.toml"), data=Path("my.csv"), target="warm")
    assert (folder / "x.toml").read_text() == "mine"


@pytest.mark.parametrize("trainer", ["tabular", "collab", "text-classifier"])
@pytest.mark.parametrize("rows", [3, 60, 5_000, 3_000_000])
def test_the_space_fits_any_number_of_rows(trainer, rows, tmp_path):
    data = {"path": "t.csv", **({"task": "classification"} if trainer == "tabular" else {})}
    found = Found(trainer, data, rows, "a test", words=100.0)
    (tmp_path / "study.toml").write_text(study_text("mine", found))
    space = load_spec(tmp_path).resolve("quick").space
    assert space["bs"].low <= space["bs"].default <= space["bs"].high
    if trainer == "tabular":
        # A thousand steps of the default trial, unless the table is too small or large for that.
        steps = space["epochs"].default * 0.8 * rows / space["bs"].default
        assert steps <= 2500 or space["epochs"].default == 1
        assert steps >= 500 or space["epochs"].default == 20


REVIEWS = [f"{'a fine' if i % 3 else 'a dull'} film, and the {i}th of its kind" for i in range(30)]
TEXTS = pd.DataFrame(
    {"no": range(30), "review": REVIEWS, "stars": [1 if i % 3 else 0 for i in range(30)]}
)
RATINGS = pd.DataFrame(
    [(f"u{u}", 7 * i + 1000, 1 + u * i % 10) for u in range(8) for i in range(8)],
    columns=["customerId", "film_no", "stars"],
)
HOUSES = pd.DataFrame(
    {"house": range(100, 160), "size": [i / 7 for i in range(60)],
     "note": [f"house with {i % 4} floors and a door" for i in range(60)],
     "rooms": [1 + i % 6 for i in range(60)], "is_valid": [i % 5 == 0 for i in range(60)]}
)  # fmt: skip


def written(folder, table, *, source="file", **options):
    """The study that `new` writes for a table in a file, a folder or a database."""
    if source == "query":
        with sqlite3.connect(folder / "own.db") as connection:
            table.to_sql("own", connection, index=False)
        where = {"database": f"sqlite:///{folder}/own.db", "query": "select * from own"}
    else:
        (folder / "own").mkdir()
        table.to_csv(folder / "own/data.csv", index=False)
        where = {"data": folder / ("own" if source == "folder" else "own/data.csv")}
    new(folder / "study.toml", **where, **options)
    return load_spec(folder)


@pytest.mark.parametrize("source", ["file", "folder", "query"])
@pytest.mark.parametrize(
    ("table", "options", "trainer", "said"),
    [
        (TEXTS, {}, "text-classifier", {"text": "review", "label": "stars"}),
        (TEXTS[["review"]], {}, "language-model", {"text": "review"}),
        (RATINGS, {}, "collab", {"user": "customerId", "item": "film_no", "rating": "stars"}),
        (HOUSES, {"target": "rooms"}, "tabular", {"target": "rooms", "task": "classification"}),
    ],
)
def test_it_looks_and_says_whether_data_is_texts_a_table_or_ratings(
    tmp_path, source, table, options, trainer, said
):
    if source == "query" and trainer == "language-model":
        return
    spec = written(tmp_path, table, source=source, **options)
    assert spec.trainer == trainer
    assert spec.data.items() >= said.items()
    assert spec.presets.keys() == {"quick", "cpu", "full"}


@pytest.mark.parametrize(
    ("table", "options", "trainer", "metric"),
    [
        (TEXTS, {"task": "language-model"}, "language-model", "perplexity"),
        (HOUSES, {"target": "rooms", "task": "regression"}, "tabular", "rmse"),
        (RATINGS, {"target": "stars", "task": "table"}, "tabular", "accuracy"),
        (RATINGS, {"target": "film_no"}, "tabular", "accuracy"),
        (RATINGS[["customerId", "film_no"]], {}, "collab", "ndcg"),
        (RATINGS.rename(columns=str.upper).set_axis(list("abc"), axis=1), {"task": "ratings"},
         "collab", "mse"),
    ],
)  # fmt: skip
def test_task_and_target_overrule_it(tmp_path, table, options, trainer, metric):
    spec = written(tmp_path, table, **options)
    assert (spec.trainer, spec.metric) == (trainer, metric)


GENRES = ("drama", "war", "comedy")
FILMS = [
    (f"a film about number {i} that one sees", ["drama", "war"][: i % 3] or ["comedy"])
    for i in range(60)
]
SEVERAL = pd.DataFrame(FILMS, columns=["plot", "genres"])
FLAGS = pd.DataFrame(
    {"id": range(60), "plot": SEVERAL["plot"],
     **{name: [int(name in one) for one in SEVERAL["genres"]] for name in GENRES}}
)  # fmt: skip


def joined(separator):
    return SEVERAL.assign(genres=SEVERAL["genres"].map(separator.join))


@pytest.mark.parametrize(
    ("table", "options", "said"),
    [
        (joined("|"), {}, {"labels": "genres", "label_separator": "|"}),
        (joined("; "), {}, {"labels": "genres", "label_separator": ";"}),
        (joined(", "), {"target": "genres"}, {"labels": "genres", "label_separator": ","}),
        (joined("+"), {}, {"label": "genres"}),
        (joined("|"), {"task": "texts"}, {"label": "genres"}),
        (SEVERAL, {}, {"labels": "genres"}),  # as pandas writes lists into a CSV
        (FLAGS, {}, {"labels": ["drama", "war", "comedy"]}),
        (FLAGS[["plot", "war", "comedy"]], {}, {"labels": ["war", "comedy"]}),
        (FLAGS, {"target": "war"}, {"label": "war"}),
        (FLAGS[["plot", "war"]], {}, {"label": "war"}),
        (FLAGS[["plot", "war", "comedy"]].rename(columns={"war": "label"}), {}, {"label": "label"}),
        (FLAGS.assign(when="2026/01/02").loc[:, ["plot", "war", "when"]], {}, {"label": "war"}),
        (joined("|").assign(label=["a", "b"] * 30), {"target": "label"}, {"label": "label"}),
    ],
)
def test_several_labels_a_text_are_recognised_and_task_overrules(tmp_path, table, options, said):
    spec = written(tmp_path, table, **options)
    found = {name: one for name, one in spec.data.items() if name.startswith("label")}
    assert (spec.trainer, found) == ("text-classifier", said)
    assert spec.metric == ("f1_micro" if "labels" in said else "accuracy")
    load_text(spec.data, path=None, progress=lambda *_: None)


def test_lists_in_parquet_are_several_labels_and_rare_ones_are_left_out(folder, capsys):
    rare = SEVERAL.copy()
    rare.at[0, "genres"] = ["comedy", "noir"]
    rare.at[1, "genres"] = []
    rare.to_parquet("films.parquet")
    new(Path("films.parquet"))
    said = " ".join(capsys.readouterr().out.split())
    assert "60 texts, each of which may have several of 4 labels" in said
    assert "1 label of one text ('noir') will be left out" in said
    assert "not labelled" not in said  # an empty list says that there are none
    data = load_spec("films.toml").data
    assert data["on_error"] == "skip"
    found = load_text(data, path=None, progress=lambda *_: None)
    assert found.classes == ("comedy", "drama", "war")
    with pytest.raises(InputError, match="No column holds several labels a text"):
        new(Path("two.toml"), data=_csv("one.csv", TEXTS), task="multi-label")


def _csv(name, table):
    table.to_csv(name, index=False)
    return Path(name)


CLASSES = {"_type": "ClassLabel", "names": ["drama", "war", "comedy"]}
NUMBERS = [[CLASSES["names"].index(name) for name in one] for one in SEVERAL["genres"]]
SAVED = {
    "texts": (
        {"plot": SEVERAL["plot"], "label": [one[0] for one in NUMBERS]}, {"label": CLASSES},
        "60 texts of 2 classes", "text-classifier",
    ),
    "several labels": (
        {"plot": SEVERAL["plot"], "genres": NUMBERS},
        {"genres": {"_type": "List", "feature": CLASSES}},
        "several of 3 labels", "text-classifier",
    ),
    "several labels as older versions write them": (
        {"plot": SEVERAL["plot"], "genres": NUMBERS}, {"genres": [CLASSES]},
        "several of 3 labels", "text-classifier",
    ),
    "unlabelled texts": (
        {"text": SEVERAL["plot"]}, {}, "a language model of 60 texts", "language-model"
    ),
    "a table": (
        {"size": [i / 7 for i in range(60)], "target": [i % 3 for i in range(60)]},
        {"target": CLASSES}, "classification of target from 60 rows", "tabular",
    ),
    "ratings": (
        {"user_id": [i // 6 for i in range(60)], "item_id": [i % 6 for i in range(60)],
         "rating": [1 + i % 5 for i in range(60)]},
        {}, "60 ratings of 10 users and 6 items", "collab",
    ),
}  # fmt: skip


@pytest.mark.parametrize("splits", [("",), ("train", "test")])
@pytest.mark.parametrize("kind", SAVED)
def test_a_folder_that_datasets_saved_is_recognised_and_read(folder, capsys, kind, splits):
    columns, features, said, trainer = SAVED[kind]
    table = pa.table({name: list(cells) for name, cells in columns.items()})
    if splits != ("",):
        Path("saved").mkdir()
        Path("saved/dataset_dict.json").write_text(json.dumps({"splits": splits}))
    for split in splits:
        save(Path("saved") / split, table.slice(0, 30) if split == "test" else table, features)
    new(Path("saved"))
    assert said in " ".join(capsys.readouterr().out.split())
    spec = load_spec("saved.toml")
    assert spec.trainer == trainer
    if trainer == "text-classifier":
        found = load_text(spec.data, path=None, progress=lambda *_: None)
        assert found.classes == (
            ("comedy", "drama", "war") if found.several else ("comedy", "drama")
        )
        apart = 30 if "test" in splits else 0
        assert (found.table["split"] == "test").sum() == apart
    elif trainer == "language-model":
        assert len(read_corpus(spec.data["path"]).texts) == 60 + 30 * ("test" in splits)
    elif trainer == "tabular":
        found = load_table(spec.data, path=None, progress=lambda *_: None)
        assert set(found.table["target"]) == {"drama", "war", "comedy"}
        assert (found.test is None) == ("test" not in splits)
    else:
        ratings = load_ratings(spec.data, path=None, progress=lambda *_: None).ratings
        assert len(ratings) == 60


def test_whole_numbers_are_said_to_be_classes_and_a_split_column_is_used(tmp_path, capsys):
    spec = written(tmp_path, HOUSES, target="rooms")
    assert "6 whole numbers, which are taken for classes; otherwise add" in capsys.readouterr().out
    assert spec.data["split"] == {"column": "is_valid"}


def test_a_column_called_target_is_what_is_predicted(tmp_path, capsys):
    named = HOUSES.rename(columns={"rooms": "Target"})
    assert written(tmp_path, named).data["target"] == "Target"
    said = " ".join(capsys.readouterr().out.split())
    assert "Target is what is predicted, by its name; otherwise add --target COLUMN." in said


@pytest.mark.parametrize(
    ("table", "options", "sentence"),
    [
        (HOUSES.rename(columns={"rooms": "y", "size": "class"}), {}, "Which column"),
        (RATINGS.set_axis(["3", "351", "4"], axis=1), {}, "first row has values"),
        (RATINGS.set_axis(["3", "351", "4"], axis=1), {"task": "ratings"}, "first row has values"),
        (RATINGS.set_axis(["0", "1", "2"], axis=1), {}, "Which column"),
        (HOUSES[["rooms"]], {}, "The only column is rooms"),
    ],
)
def test_what_names_do_not_say_is_asked_for(tmp_path, table, options, sentence):
    with pytest.raises(InputError, match=sentence):
        written(tmp_path, table, **options)


def test_a_rating_that_cannot_be_read_leaves_ratings_ratings(tmp_path):
    table = RATINGS.astype({"stars": object})
    table.loc[3, "stars"] = "four"
    assert written(tmp_path, table).data["rating"] == "stars"


def test_the_data_alone_will_do(folder, capsys):
    TEXTS.to_csv("reviews.csv", index=False)
    new(Path("reviews.csv"))
    assert load_spec("reviews.toml").name == "reviews"
    assert "hpsearch run reviews.toml --preset quick" in capsys.readouterr().out
    with pytest.raises(InputError, match="is there already"):
        new(Path("reviews.csv"))


def test_published_layouts_archives_and_other_languages(folder, capsys):
    for part in ("train/pos", "train/neg", "test/pos", "test/neg"):
        (folder / "aclImdb" / part).mkdir(parents=True)
        for i in range(3):
            (folder / "aclImdb" / part / f"{i}_{9 if 'pos' in part else 1}.txt").write_text(
                "a film"
            )
    new(Path("acl.toml"), data=Path("aclImdb"))
    assert load_spec("acl.toml").trainer == "text-classifier"
    for label in ("sport", "science"):
        (folder / "news" / label).mkdir(parents=True)
        for i in range(4):
            (folder / "news" / label / f"{i}.txt").write_text(f"the {label} of day {i}")
    new(Path("news"))
    assert load_spec("news.toml").trainer == "text-classifier"
    assert "8 texts of 2 classes" in capsys.readouterr().out
    (folder / "ml").mkdir()
    rows = [f"{u},{i},{1 + i % 5},{u}" for u in range(4) for i in range(4)]
    (folder / "ml/ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *rows]))
    (folder / "ml/movies.csv").write_text("movieId,title,genres\n0,A (1999),Drama\n")
    new(Path("ml.toml"), data=Path("ml"))
    assert (load_spec("ml.toml").trainer, load_spec("ml.toml").metric) == ("collab", "mse")
    with zipfile.ZipFile("texte.zip", "w") as archive:
        for i in range(9):
            archive.writestr(f"{i}.txt", f"das ist ein Text über nichts und wieder nichts {i}")
    capsys.readouterr()
    new(Path("texte.zip"))
    assert load_spec("texte.toml").trainer == "language-model"
    assert "do not look like English" in " ".join(capsys.readouterr().out.split())
