"""MovieLens in each of its layouts, from the first place that has it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpsearch.data import RatingsDataset, load_ratings, ratings
from hpsearch.data.named import bundles, movielens
from hpsearch.data.named.download import Archive
from hpsearch.data.named.known_sets import MOVIELENS_100K
from hpsearch.data.named.wheels import Wheel
from hpsearch.errors import HpsearchError, InputError

FLAGS = {1: "0|0|0|1|1|1" + "|0" * 13, 2: "1" + "|0" * 18, 3: "0|1" + "|0" * 17}
PUBLISHED = {
    "u.data": "7\t2\t3\t881250949\n9\t1\t5\t891717742\n7\t3\t1\t878887116\n9\t3\t4\t880606923\n",
    "u.user": "7|57|M|administrator|91344\n9|29|F|student|01002\n",
    "u.item": (
        f"1|Caf\u00e9, Le (1995)|01-Jan-1995||http://x|{FLAGS[1]}\n"
        f"2|unknown||||{FLAGS[2]}\n"
        f'3|Land "3" (1995) (V)|06-Feb-1996||http://y|{FLAGS[3]}\n'
    ),
    "u1.base": "7\t2\t3\t881250949\n9\t3\t4\t880606923\n",
    "u1.test": "7\t3\t1\t878887116\n9\t1\t5\t891717742\n",
}
FILES = {name: content.encode("latin-1") for name, content in PUBLISHED.items()}
MIRRORED = {
    "ml-100k.inter": (
        b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        b"7\t2\t3\t881250949\n9\t1\t5\t891717742\n7\t3\t1\t878887116\n9\t3\t4\t880606923\n"
    ),
    "ml-100k.user": (
        b"user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
        b"7\t57\tM\tadministrator\t91344\n9\t29\tF\tstudent\t01002\n"
    ),
    "ml-100k.item": (
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "1\tCaf\u00e9, Le\t1995\tAnimation Children's Comedy\n2\tunkonwn\t\tunknown\n"
        '3\tLand "3"\t1995\tAction\n'
    ).encode(),
}


def load(
    option: Path | None = None, *, said: list[str] | None = None, **data: object
) -> RatingsDataset:
    say = (said if said is not None else []).append
    return load_ratings(data, path=option, progress=lambda *_: None, say=say)


def folder_of(files: dict[str, bytes], folder: Path) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_the_publishers_layout(tmp_path, make_zip) -> None:
    place = tmp_path / "ml.zip"
    place.write_bytes(make_zip({f"ml-100k/{name}": FILES[name] for name in FILES}))
    dataset = load(place)
    assert dataset.ratings.to_dict("list") == {
        "user": ["7", "9", "7", "9"],
        "item": ["2", "1", "3", "3"],
        "rating": [3, 5, 1, 4],
        "time": [881250949, 891717742, 878887116, 880606923],
    }
    assert [str(kind) for kind in dataset.ratings.dtypes] == ["str", "str", "float32", "int64"]
    assert isinstance(dataset.ratings.index, pd.RangeIndex)
    assert dataset.users is not None
    assert dataset.users.loc["7"].tolist() == [57, "M", "administrator"]
    assert dataset.items is not None
    assert dataset.items.loc["1"].tolist() == [
        "Caf\u00e9, Le (1995)", 1995.0, "Animation|Children's|Comedy",
    ]  # fmt: skip
    assert dataset.items.loc["2", "genres"] == ""
    assert np.isnan(dataset.items.loc["2", "year"])
    assert dataset.items.loc["3", "year"] == 1995, "the year of the title, not of the release"
    assert {name: (a.tolist(), b.tolist()) for name, (a, b) in dataset.folds.items()} == {
        "u1": ([0, 3], [1, 2])
    }
    assert (dataset.kind, dataset.source) == ("path", f"{place} (--data)")


def test_a_folder_and_a_zip_are_one_data_set(tmp_path, make_zip) -> None:
    (tmp_path / "ml.zip").write_bytes(make_zip(FILES))
    folder = folder_of(FILES, tmp_path / "ml-100k")
    zipped, unpacked = load(tmp_path / "ml.zip"), load(folder)
    assert zipped.fingerprint == unpacked.fingerprint
    (folder / "u.data").write_bytes(FILES["u.data"].replace(b"\t5\t", b"\t4\t"))
    assert load(folder).fingerprint != zipped.fingerprint


def test_the_mirrors_layout_says_what_it_lacks(tmp_path) -> None:
    published = load(folder_of(FILES, tmp_path / "a"))
    mirrored = load(folder_of(MIRRORED, tmp_path / "b"))
    assert mirrored.ratings.equals(published.ratings)
    assert mirrored.users is not None
    assert mirrored.users.equals(published.users)
    assert mirrored.items is not None
    assert mirrored.items["title"].tolist() == [
        "Caf\u00e9, Le (1995)",
        "unknown",
        'Land "3" (1995)',
    ]
    assert mirrored.items[["year", "genres"]].equals(published.items[["year", "genres"]])
    assert mirrored.folds == {}
    assert mirrored.note == "the mirror's copy has no official folds (u1 to u5)"


def test_the_later_layout(tmp_path) -> None:
    files = {
        "ratings.csv": b"userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n2,9,4.0,126075\n",
        "movies.csv": (
            b'movieId,title,genres\n31,"Usual Suspects, The (1995) ",Crime|Thriller\n'
            b"9,Fawlty Towers (1975-1979),Comedy\n8,Stranger Things,(no genres listed)\n"
        ),
    }
    dataset = load(folder_of(files, tmp_path / "ml-latest-small"))
    assert dataset.ratings["rating"].tolist() == [2.5, 4.0]
    assert dataset.items is not None
    assert dataset.items["title"].tolist()[0] == "Usual Suspects, The (1995)"
    assert dataset.items["year"].tolist()[:2] == [1995, 1975]
    assert dataset.items.loc["8", "genres"] == ""
    assert (dataset.users, dataset.folds) == (None, {})


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("u.data", b"1\t2\tfive\t3\n", "is damaged or not MovieLens's"),
        ("u.data", b"1\t2\t3\t4\n1\t2\t4\t5\n", "is damaged or not MovieLens's"),
        ("u.data", b"", "is damaged or not MovieLens's"),
        ("u1.test", b"7\t99\t3\t4\n", "u1 has ratings that u.data has not"),
        ("ratings.csv", b"userId,movieId,rating,timestamp\n1,2,nan,3\n", "is damaged"),
        ("other.txt", b"", "holds no u.data, ratings.dat or ratings.csv"),
    ],
)
def test_a_damaged_copy_is_one_sentence(tmp_path, name, content, problem) -> None:
    files = {**(FILES if name.startswith("u") else {}), name: content}
    with pytest.raises(InputError, match=problem) as caught:
        load(folder_of(files, tmp_path / "ml"))
    assert str(tmp_path) in str(caught.value)
    assert str(caught.value).count("\n") == 0


def test_a_zip_that_claims_too_much_or_is_none(tmp_path, make_zip, monkeypatch) -> None:
    (tmp_path / "none.zip").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match="is damaged or not a zip"):
        load(tmp_path / "none.zip")
    (tmp_path / "big.zip").write_bytes(make_zip({"../../u.data": b"1\t2\t3\t4\n" * 100}))
    monkeypatch.setattr(bundles, "LARGEST", 100)
    with pytest.raises(InputError, match=r"a u\.data of 800 bytes, and 100 is the most"):
        load(tmp_path / "big.zip")


@pytest.fixture
def known(server, index, monkeypatch, make_zip, make_wheel) -> bytes:
    """`movielens-100k` is small; the publisher is `server`, the mirror is `index`."""
    archive = make_zip({f"ml-100k/{name}": FILES[name] for name in FILES})
    inside = {f"recbole/x/{name}": content for name, content in MIRRORED.items()}
    first, *others = ((name, hashlib.sha256(inside[name]).hexdigest()) for name in inside)
    (index / "recbole-1.2.1-py3-none-any.whl").write_bytes(make_wheel("recbole", "1.2.1", inside))
    source = replace(
        MOVIELENS_100K,
        archives=(
            Archive(
                server.url.replace("aclImdb_v1.tar.gz", "ml-100k.zip"),
                len(archive),
                hashlib.md5(archive).hexdigest(),
            ),
        ),
        wheel=Wheel("recbole==1.2.1", 1_000, *first, others=dict(others)),
        md5={"u.data": hashlib.md5(FILES["u.data"]).hexdigest()},
    )
    monkeypatch.setitem(ratings.RATING_SOURCES, source.name, (source, movielens.READER))
    server.replies = [(200, archive, len(archive))]
    return archive


def test_each_source_is_used_where_those_before_it_fail(
    known, server, tmp_path, monkeypatch, empty_home
) -> None:
    name = "movielens-100k"
    published = load(source=name)
    assert (published.kind, published.note) == ("publisher", None)
    kept = load(source=name)
    assert kept.kind == "cache"
    assert kept.source.endswith(f"first read from {published.source})")
    assert kept.fingerprint == published.fingerprint
    assert list(kept.folds) == ["u1"]
    assert server.requests == 1

    (tmp_path / "ml-100k.zip").write_bytes(known)
    monkeypatch.setenv("HPSEARCH_DATA", str(tmp_path))
    local = load(source=name)
    assert (local.kind, local.note) == ("HPSEARCH_DATA", None)
    assert local.fingerprint == published.fingerprint

    (tmp_path / "ml-100k.zip").write_bytes(known[:200])
    said: list[str] = []
    assert load(source=name, said=said).kind == "cache"
    assert "in HPSEARCH_DATA does not serve" in said[0]
    [place] = (empty_home / "data").glob("*.zip")
    place.write_bytes(b"damaged")
    assert load(source=name).kind == "publisher", "a damaged cache is got again"


def test_the_mirror_serves_where_the_publisher_does_not(known, server) -> None:
    server.replies = [(404, b"", 0)]
    for kind in ("mirror", "cache"):
        dataset = load(source="movielens-100k")
        assert dataset.kind == kind
        assert dataset.note == "the mirror's copy has no official folds (u1 to u5)"
        assert len(dataset.ratings) == 4


def test_a_changed_copy_is_used_and_said_to_be_one(known, tmp_path, monkeypatch) -> None:
    changed = {**FILES, "u.data": FILES["u.data"] + b"9\t2\t5\t1\n"}
    folder_of(changed, tmp_path / "ml-100k")
    monkeypatch.setenv("HPSEARCH_DATA", str(tmp_path))
    dataset = load(source="movielens-100k")
    assert len(dataset.ratings) == 5
    assert dataset.note == "u.data: not as published under this name"


def test_an_edition_that_nobody_serves_says_what_to_bring(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HPSEARCH_DATA", str(tmp_path))
    with pytest.raises(HpsearchError, match=r"bring ml-latest-small\.zip") as caught:
        load(source="movielens-small")
    assert "holds none of ml-latest-small.zip, ml-latest-small" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({}, r"names no ratings: add source \(movielens-100k, movielens-small or epinions\)"),
        ({"source": "movielens"}, r"no source 'movielens' of ratings \(did you mean movielens-"),
        ({"path": "nowhere.csv"}, r"nowhere\.csv does not exist"),
        ({"path": "nowhere.zip"}, r"nowhere\.zip does not exist"),
        ({"path": __file__}, r"is of no known kind: give a \.csv, \.parquet or \.jsonl file"),
    ],
)
def test_a_section_that_leads_nowhere(data, problem) -> None:
    with pytest.raises(InputError, match=problem):
        load(**data)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_the_files_of_movielens_1m(tmp_path, encoding) -> None:
    """Two colons part the cells; a title may hold one, a comma, or a letter with an accent."""
    (tmp_path / "ratings.dat").write_text("1::2::3::978300000\n1::3::2::978300001\n2::2::5::9\n")
    (tmp_path / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::70072\n")
    films = "2::Alien: Résurrection, L'Amour (1997)::Horror|Sci-Fi\n3::X (1995)::Drama\n"
    (tmp_path / "movies.dat").write_bytes(films.encode(encoding))
    dataset = load_ratings({"source": "movielens"}, path=tmp_path, progress=lambda *_: None)
    assert dataset.ratings["rating"].tolist() == [3, 2, 5]
    assert dataset.ratings["time"].tolist() == [978300000, 978300001, 9]
    assert dataset.users is not None
    assert dataset.items is not None
    assert dataset.users.loc["2"].tolist() == [56, "M", "16"]
    assert dataset.items.loc["2"].tolist() == [
        "Alien: Résurrection, L'Amour (1997)",
        1997,
        "Horror|Sci-Fi",
    ]
