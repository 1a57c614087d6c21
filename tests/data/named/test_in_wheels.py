"""Data sets that packages carry, as the package index has them: what is published of each holds."""

import os
from pathlib import Path

import pytest

from hpsearch.data.named import in_wheels
from hpsearch.data.named.known_sets import DIAMONDS, NEWSGROUPS
from hpsearch.data.ratings import load_ratings
from hpsearch.data.tables import load_table
from hpsearch.data.texts import load_text
from hpsearch.errors import HpsearchError, InputError


def fetched(load, name):
    try:
        return load({"source": name}, path=None, progress=lambda *_: None, say=lambda _: None)
    except HpsearchError as error:
        if "pip cannot reach the package index" in str(error):
            pytest.skip("no package index can be reached from this machine")
        raise


def test_diamonds():
    """ggplot2's page: 53,940 rows, 10 variables, $326 to $18,823, 0.2 to 5.01 carat."""
    table = fetched(load_table, "diamonds").table
    assert table.shape == (53_940, 10)
    assert (table["price"].min(), table["price"].max()) == (326, 18_823)
    assert (table["carat"].min(), table["carat"].max()) == (0.2, 5.01)
    assert set(table["cut"].cat.categories) == {"Fair", "Good", "Very Good", "Premium", "Ideal"}


def test_bikeshare():
    """ISLR2's page: 8,645 rows, 15 variables; those who hire are casual or registered."""
    table = fetched(load_table, "bikeshare").table
    assert table.shape == (8_645, 15)
    assert (table["bikers"] == table["casual"] + table["registered"]).all()


def test_spotify():
    """1,000 tracks of each of six genres."""
    table = fetched(load_table, "spotify").table
    assert table["track_genre"].value_counts().tolist() == [1_000] * 6
    assert table["danceability"].between(0, 1).all()


def test_epinions():
    """Each person and product once; no ratings."""
    found = fetched(load_ratings, "epinions")
    assert list(found.ratings.columns) == ["user", "item"]
    assert found.ratings.nunique().tolist() == [4_718, 34_928]
    assert len(found.ratings.drop_duplicates()) == 322_445


def test_newsgroups():
    """Cardoso-Cachopo's page: 11,293 training and 7,528 test posts, 20 topics."""
    found = fetched(load_text, "newsgroups")
    assert found.table["split"].value_counts().to_dict() == {"train": 11_293, "test": 7_528}
    assert len(found.classes) == 20
    assert found.fingerprint == NEWSGROUPS.fingerprint
    sizes = found.table.query("split == 'train'")["label"].value_counts()
    assert (sizes["talk.religion.misc"], sizes["rec.sport.hockey"]) == (377, 600)


def test_what_is_no_such_table_is_refused():
    _, reader = in_wheels.TABLES[DIAMONDS.name]
    with pytest.raises(InputError, match=r"holds no diamonds\.csv"):
        reader.parse({}, "here")
    _, parquet = in_wheels.TABLES["spotify"]
    with pytest.raises(InputError, match="is damaged"):
        parquet.parse({"spotify_by_genre.parquet": b"PAR1"}, "here")
    with pytest.raises(ValueError, match="Orange"):
        in_wheels.read_topics(b"Category\tText\n")


def test_a_wheel_in_hpsearch_data_is_read_as_it_lies(tmp_path, monkeypatch, make_zip):
    (name,) = DIAMONDS.local
    (tmp_path / name).write_bytes(make_zip({"plotnine/data/diamonds.csv": b"price,cut\n1,Good\n"}))
    monkeypatch.setenv("HPSEARCH_DATA", os.fspath(tmp_path))
    found = load_table({"source": "diamonds"}, path=None, progress=lambda *_: None)
    assert found.source == f"{tmp_path / name} (HPSEARCH_DATA)"
    assert found.table["price"].tolist() == [1]
    assert not list(Path(tmp_path).glob("*/*"))  # nothing is unpacked
