"""train, predict, lr-find, recommend and interpret of ratings, as a person types them."""

import csv
import io
import json
import re
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from hpsearch.cli import app

STUDY = """
name = "mine"
trainer = "collab"
metric = "mse"
direction = "minimize"

[data]
path = "ratings.csv"
user = "person"
item = "film"
rating = "stars"
items = "films.csv"

[space.lr]
low = 1e-3
high = 1e-1
log = true
default = 2e-2

[presets.quick]
trials = 2

[presets.quick.settings]
n_factors = 8
bs = 16
wd = 0.05
"""


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def place(tmp_path_factory, dataset):
    """A folder with ratings.csv, films.csv and study.toml."""
    folder = tmp_path_factory.mktemp("place")
    names = {"user": "person", "item": "film", "rating": "stars"}
    dataset.ratings.rename(columns=names).to_csv(folder / "ratings.csv", index=False)
    dataset.items.rename_axis("film").to_csv(folder / "films.csv")
    (folder / "study.toml").write_text(STUDY)
    (folder / "choices.toml").write_text(
        STUDY.replace('rating = "stars"\n', "").replace('"mse"', '"ndcg"')
    )
    return folder


@pytest.fixture(scope="module")
def hpsearch(place):
    """Types a command line, in this process: importing torch each time takes seconds."""
    patch = pytest.MonkeyPatch()
    patch.setenv("HPSEARCH_HOME", str(place / "home"))
    patch.setenv("COLUMNS", "200")
    patch.chdir(place)

    def call(*arguments):
        out, err = io.StringIO(), io.StringIO()
        patch.setattr("sys.argv", ["hpsearch", *map(str, arguments)])
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            app.main()
        return Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())

    yield call
    patch.undo()


def train(hpsearch, output, *more, study="study.toml"):
    done = hpsearch("train", study, "--preset", "quick", "--output", output, *more)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def model(place, hpsearch):
    """The folder of a trained model."""
    train(hpsearch, "model")
    return place / "model"


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_predictions_come_in_the_order_of_the_file(place, hpsearch, model):
    done = hpsearch("predict", model, "ratings.csv", "--columns", "--output", "made.csv")
    assert done.returncode == 0, done.stderr
    made = pd.read_csv(place / "made.csv")
    assert made["person"].tolist() == pd.read_csv(place / "ratings.csv")["person"].tolist()
    stated = json.loads((model / "recommender.json").read_text())["facts"]["metrics"]["mse"]
    error = np.square(made["prediction"] - made["stars"]).mean()
    assert error < stated, "four fifths of these were trained on"
    shuffled = made.sample(frac=1, random_state=0)
    shuffled.drop(columns="prediction").to_parquet(place / "shuffled.parquet")
    again = hpsearch("predict", model, "shuffled.parquet")
    found = [float(row["prediction"]) for row in rows(again.stdout)]
    np.testing.assert_allclose(found, shuffled["prediction"], rtol=1e-5)


def test_rows_that_name_nobody_known_are_counted(place, hpsearch, model):
    (place / "odd.csv").write_text("film;person;x\ni1;u1;a\ni1;nobody;b\nnothing;u1;c\n ;u1;d\n")
    done = hpsearch("predict", model, "odd.csv")
    assert [row["prediction"] == "" for row in rows(done.stdout)] == [False, False, False, True]
    assert [row["reason"] for row in rows(done.stdout)] == ["", "", "", "no user or no item"]
    assert "1 of 4 rows: the user is unknown to the model" in done.stderr
    assert "1 of 4 rows: the item is unknown to the model" in done.stderr
    assert "1 of 4 rows lack a user or an item" in done.stderr


def test_pairs_with_titles_are_predicted_as_those_with_ids(place, hpsearch, model):
    films = pd.read_csv(place / "films.csv").drop_duplicates("title", keep=False)[:5]
    pairs = films[["film", "title"]].assign(person=["u1", "u2", "u3", "u4", "u5"])
    found = []
    for name, table in {
        "ids": pairs.drop(columns="title"),
        "titled": pairs.drop(columns="film"),
        "among": pairs.assign(film=[*pairs["title"][:3], *pairs["film"][3:]]),
    }.items():
        table.to_csv(place / f"{name}.csv", index=False)
        done = hpsearch("predict", model, f"{name}.csv", "--output", f"{name}.json")
        assert done.returncode == 0, done.stderr
        n_titles = {"titled": 5, "among": 3}.get(name)
        assert ("was found by its title" in done.stderr) == (n_titles is not None)
        assert n_titles is None or f"{n_titles} of 5 rows: the item was" in done.stderr
        found.append(
            [row["prediction"] for row in json.loads((place / f"{name}.json").read_text())]
        )
    assert found[0] == found[1] == found[2]


def test_an_ending_that_nothing_writes_is_refused_first(place, hpsearch, model):
    for command in (["recommend", model, "--user", "u1"], ["predict", model, "ratings.csv"]):
        done = hpsearch(*command, "--output", "x.txt")
        assert (done.returncode, (place / "x.txt").exists()) == (2, False)
        assert "x.txt is of no known kind: name a .csv, .json or .parquet file." in done.stderr


def test_new_items_are_known_by_a_file_that_describes_them(place, hpsearch, model):
    """Made-up people like either horror or comedies: a new film is for the same people as others
    of its kind."""
    (place / "new.csv").write_text(
        "film,title,year,genres\nn1,New fun,1960,Comedy|Drama\nn2,New fright,1960,Horror\n"
    )
    people = [f"u{i}" for i in range(60)]
    pairs = [f"{user},{film}" for film in ("n1", "n2") for user in people]
    (place / "pairs.csv").write_text("\n".join(["person,film", *pairs]) + "\n")
    done = hpsearch("predict", model, "pairs.csv", "--items", "new.csv")
    assert "120 of 120 rows: the item is known by metadata only" in done.stderr
    found = np.array([float(row["prediction"]) for row in rows(done.stdout)]).reshape(2, 60)
    known = pd.read_csv(place / "ratings.csv").merge(pd.read_csv(place / "films.csv"), on="film")
    liking = known.pivot_table(index="person", columns="genres", values="stars").loc[people]
    for i, genre in enumerate(("Comedy|Drama", "Horror")):
        assert np.corrcoef(found[i], liking[genre])[0, 1] > 0.6
    listed = hpsearch("recommend", model, "--user", "u3", "--items", "new.csv", "--top", "100")
    assert "New fun" in listed.stdout
    assert "New fright" in listed.stdout
    refused = hpsearch("recommend", model, "--user", "u3", "--users", "new.csv")
    assert refused.returncode == 2
    assert "has learned nothing about new users" in refused.stderr


def test_a_model_of_choices_predicts_probabilities(hpsearch, place):
    train(hpsearch, "chooser", study="choices.toml")
    done = hpsearch("predict", "chooser", "ratings.csv")
    found = np.array([float(row["probability"]) for row in rows(done.stdout)])
    assert found.min() > 0
    assert found.max() < 1


def test_an_interrupted_training_goes_on_to_the_same_weights(place, hpsearch, model, monkeypatch):
    from hpsearch.trainers.shared import stages

    save = stages.save_checkpoint

    def save_and_die(folder, models, optimisers, records):
        save(folder, models, optimisers, records)
        if len(records) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(stages, "save_checkpoint", save_and_die)
    begun = ("train", "study.toml", "--preset", "quick", "--output", "again")
    assert hpsearch(*begun).returncode == 130
    monkeypatch.undo()
    done = hpsearch(*begun)
    assert done.returncode == 0, done.stderr
    said = [done.stdout.index(words) for words in ("epoch 3/", "training ...", "epoch 4/")]
    assert said == sorted(said), "the first three are only told again"
    whole, resumed = (load_file(place / f / "weights.safetensors") for f in ("model", "again"))
    assert all(np.array_equal(whole[name], resumed[name]) for name in whole)


def test_the_range_test_draws_its_curve(place, hpsearch):
    done = hpsearch("lr-find", "study.toml", "--preset", "quick", "--output", "curve")
    assert done.returncode == 0, done.stderr
    assert (place / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_recommend_prints_titles_predictions_and_reasons(place, hpsearch, model):
    done = hpsearch("recommend", model, "--user", "u3", "--top", "4")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("For user u3")
    assert lines[1].split("  ")[0] == "item"
    assert len(lines) == 6
    assert re.match(
        r"i\d+ +Film \d+ +\d\.\d{3} +\d\.\d{3} +(Film \d+ \([\d.]+\))?$", lines[2].strip()
    )
    written = hpsearch("recommend", model, "--user", "u3", "--top", "4", "--output", "r.parquet")
    assert "Wrote 4 items" in written.stdout
    table = pd.read_parquet(place / "r.parquet")
    assert [line.split()[0] for line in lines[2:]] == table["item"].tolist()


def test_the_questionnaire_takes_titles_and_ids_and_says_what_it_left_out(place, hpsearch, model):
    (place / "few.csv").write_text(
        "item;rating\nFilm 3;5\nflim 11;4.5\ni7;1\nCasablanca;5\nFilm 20;\nfilm 3;4\n"
    )
    done = hpsearch("recommend", model, "--ratings", "few.csv", "--top", "100", "--output", "f.csv")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        "'flim 11' was taken for Film 11.",
        "left out: No item that the model knows is called 'Casablanca': look at its title.",
        "left out: 1 row without an item or a rating.",
        "1 rating gave way to a later one of the same item.",
    ]
    found = pd.read_csv(place / "f.csv")
    assert not {"Film 3", "Film 11", "Film 7"} & set(found["title"])
    assert "Film 20" in set(found["title"])
    (place / "same.csv").write_text("title,stars\nFilm 11,4.5\nFilm 7,1\nFilm 3,4\n")
    again = hpsearch("recommend", model, "--ratings", "same.csv", "--top", "100")
    assert [line.split()[0] for line in again.stdout.splitlines()[2:]] == found["item"].tolist()


def test_somebody_who_only_chose_is_recommended_to_as_well(place, hpsearch):
    (place / "chosen.csv").write_text("film\nFilm 3\nFilm 11\n")
    done = hpsearch("recommend", "chooser", "--ratings", "chosen.csv", "--top", "3")
    assert done.returncode == 0, done.stderr
    assert "For somebody with these 2 choices" in done.stdout
    assert re.search(r"i\d+ +Film \d+ +0\.\d{3} +0\.\d{3}", done.stdout)


def test_like_items_are_listed(hpsearch, model):
    done = hpsearch("recommend", model, "--like", "film 12", "--top", "3")
    assert done.stdout.startswith("Most like Film 12")
    assert len(done.stdout.splitlines()) == 5


def test_interpret_prints_biases_and_components_and_draws_the_map(place, hpsearch, model):
    done = hpsearch("interpret", model, "--top", "3", "--output", "map")
    assert done.returncode == 0, done.stderr
    for title in ("Liked by everyone", "Liked by nobody", "Users who rate high", "Users who rate"):
        assert title in done.stdout
    best = pd.read_csv(place / "ratings.csv").groupby("film")["stars"].mean().nlargest(12).index
    liked = done.stdout.split("Liked by everyone")[1].splitlines()[2:5]
    assert {line.split()[0] for line in liked} <= set(best)
    assert (place / "map.png").read_bytes().startswith(b"\x89PNG")
    page = (place / "map.html").read_text()
    assert "Film 12" in page
    assert len(page) < 100_000


def test_a_model_of_one_factor_has_no_map(place, hpsearch):
    train(hpsearch, "line", "--set", "n_factors=1", "--set", "epochs=1", study="choices.toml")
    done = hpsearch("interpret", "line", "--output", "line-map")
    assert done.returncode == 0, done.stderr
    assert "There is no map" in done.stderr
    assert not (place / "line-map.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("recommend", "model"), "Give one of --user, --ratings, --like and --all-users"),
        (("recommend", "model", "--user", "u1", "--like", "i1"), "Give one of --user"),
        (("recommend", "model", "--user", "u99"), "no user 'u99' (did you mean"),
        (("recommend", "model", "--like", "Casablanca"), "is called 'Casablanca'"),
        (("recommend", "model", "--ratings", "nowhere.csv"), "does not exist"),
        (("recommend", "model", "--ratings", "films.csv"), "and of 'rating'"),
        (("recommend", "model", "--ratings", "words.csv"), "which is no number"),
        (("recommend", "model", "--ratings", "unknown.csv"), "rates no item that the model knows"),
        (("recommend", "model", "--ratings", "tens.csv"), "ratings from 1 to 5"),
        (("recommend", "model", "--user", "u1", "--output", "no/where.csv"), "cannot be written"),
        (("recommend", ".", "--user", "u1"), "holds no recommender"),
        (("interpret", "nowhere"), "holds no recommender"),
        (("predict", "model", "nowhere.csv"), "nowhere.csv does not exist"),
        (("predict", "model", "films.csv"), "has no column 'person'"),
        (("predict", "model", "study.toml"), "is of no known kind"),
        (("predict", ".", "ratings.csv"), "holds no classifier, tabular model or recommender"),
    ],
)
def test_what_was_asked_wrongly_is_one_sentence(place, hpsearch, model, arguments, message):
    (place / "words.csv").write_text("title,rating\nFilm 1,good\n")
    (place / "unknown.csv").write_text("title,rating\nCasablanca,5\n")
    (place / "tens.csv").write_text("title,rating\nFilm 1,10\n")
    done = hpsearch(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert message in done.stderr
    assert done.stderr.count("Error:") == 1
    assert "Traceback" not in done.stderr
