"""The user's own ratings: taken as they are, or refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpsearch.data import RatingsDataset, load_ratings
from hpsearch.errors import InputError


def load(option: Path | None = None, **data: object) -> RatingsDataset:
    return load_ratings(data, path=option, progress=lambda *_: None)


def own(folder: Path, content: str | bytes, **data: object) -> RatingsDataset:
    file = folder / "own.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load(**{"path": str(file), **data})


def test_own_ratings_stay_what_the_file_says(tmp_path) -> None:
    text = "who,what,stars,when,more\n007,A,4.5,2020-01-01,x\n7, b ,1,1577836801,y\n"
    columns = {"user": "who", "item": "what", "rating": "stars", "time": "when"}
    dataset = own(tmp_path, text, **columns)
    assert dataset.ratings.to_dict("list") == {
        "user": ["007", "7"], "item": ["A", "b"], "rating": [4.5, 1.0],
        "time": [1_577_836_800, 1_577_836_801],
    }  # fmt: skip
    assert (dataset.users, dataset.items, dataset.folds) == (None, None, {})
    assert (dataset.kind, dataset.note) == ("path", None)
    file = tmp_path / "own.parquet"
    pd.DataFrame(
        {"who": ["007", "7"], "what": pd.Categorical(["A", "b"]), "stars": [4.5, 1],
         "when": pd.to_datetime(["2020-01-01 00:00:00", "2020-01-01 00:00:01"])}
    ).to_parquet(file)  # fmt: skip
    assert load(**{"path": str(file), **columns}).fingerprint == dataset.fingerprint


def test_ratings_may_have_decimal_commas_but_no_thousands(tmp_path) -> None:
    dataset = own(tmp_path, "user;item;rating\na;x;3,5\na;y;4\nb;x;\n", rating="rating")
    assert dataset.ratings["rating"].tolist() == [3.5, 4]
    with pytest.raises(
        InputError, match=r"'1,234' in row 1, which is no number: .* --skip-bad-rows"
    ):
        own(tmp_path, "user;item;rating\na;x;1,234\n", rating="rating")


def test_without_a_rating_the_feedback_is_implicit(tmp_path) -> None:
    dataset = own(tmp_path, "user,item\n1,a\n2,a\n")
    assert list(dataset.ratings) == ["user", "item"]


def test_a_file_in_place_of_a_named_source_has_its_ratings(tmp_path) -> None:
    (tmp_path / "own.csv").write_text("user,item,rating\n1,a,2\n")
    dataset = load(tmp_path / "own.csv", source="movielens-100k")
    assert dataset.ratings["rating"].tolist() == [2.0]


def test_metadata_is_known_by_the_ids_of_the_ratings(tmp_path) -> None:
    (tmp_path / "people.csv").write_text("user,age,town\n007,30,Rome\n8,,Oslo\n")
    dataset = own(tmp_path, "user,item\n007,a\n", users=str(tmp_path / "people.csv"))
    assert dataset.users is not None
    assert dataset.users.index.tolist() == ["007", "8"]
    assert dataset.users.loc["007", "age"] == 30
    assert dataset.users["town"].tolist() == ["Rome", "Oslo"]


def test_gaps_and_repeats_are_left_out_and_told(tmp_path) -> None:
    text = "user,item,rating\n1,a,1\n,a,2\n1,,3\n2,a,\n2,b,NA\n1,b,4\n1,a,5\n"
    dataset = own(tmp_path, text, rating="rating")
    assert dataset.ratings.values.tolist() == [["1", "b", 4.0], ["1", "a", 5.0]]
    assert dataset.note == (
        "left out 4 rows without a user, an item or a rating; left out 1 row that a later one of"
        " the same user and item replaces"
    )


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 5), st.integers(0, 9)),
        min_size=1,
    )
)
def test_of_repeats_the_latest_stays(tmp_path, rows) -> None:
    lines = [",".join(map(str, row)) for row in rows]
    text = "\n".join(["user,item,rating,time", *lines]) + "\n"
    found = own(tmp_path, text, rating="rating", time="time").ratings
    latest: dict[tuple[str, str], tuple[int, int]] = {}
    for user, item, rating, time in rows:
        pair = (str(user), str(item))
        if pair not in latest or time >= latest[pair][0]:
            latest[pair] = (time, rating)
    got = {
        (user, item): (time, int(rating))
        for user, item, rating, time in found.itertuples(index=False)
    }
    assert got == latest
    assert len(found) == len(latest)


@pytest.mark.parametrize(
    ("content", "more", "problem"),
    [
        ("", {}, "is empty: give a file with the columns 'user', 'item'"),
        ("user,item\n", {}, "has a header but no rows"),
        ("user,item\n,\n", {}, "has no row with a user, an item and a rating"),
        ("usr,item\n1,2\n", {}, r"has no column 'user' \(did you mean 'usr'\?\)"),
        ("user,item,item\n1,2,3\n", {}, "has 2 columns 'item'"),
        ("user,item\n1,2,3\n", {}, "row 1 has 3 columns where the header has 2"),
        (b"user,item\n1,\xff\n", {}, "column 'item', row 1 is not UTF-8 text"),
        ("user,item,r\n1,2,3\n1,3,good\n", {"rating": "r"}, "'good' in row 2, which is no number"),
        ("user,item,r\n1,2,inf\n", {"rating": "r"}, "infinite or too large rating in row 1"),
        ("user,item,r\n1,2,1e50\n", {"rating": "r"}, "infinite or too large rating in row 1"),
        ("user,item,t\n1,2,soon\n", {"time": "t"}, "'soon' in row 1, which is neither seconds"),
        ("user,item,t\n1,2,1e30\n", {"time": "t"}, "'1e30' in row 1, which is neither seconds"),
        ("user,item\n1,2\n", {"users": "none.csv"}, r"none\.csv does not exist"),
    ],
)
def test_what_is_wrong_with_own_ratings_is_one_sentence(tmp_path, content, more, problem) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        own(tmp_path, content, **more)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("user,age\n1,2\n1,3\n", "has two rows for user '1'"),
        ("id,age\n1,2\n", "has no column 'user' to know its rows by"),
    ],
)
def test_what_is_wrong_with_metadata_is_one_sentence(tmp_path, table, problem) -> None:
    (tmp_path / "people.csv").write_text(table)
    with pytest.raises(InputError, match=problem):
        own(tmp_path, "user,item\n1,2\n", users=str(tmp_path / "people.csv"))


def test_ids_that_pandas_wrote_as_fractions_are_whole(tmp_path) -> None:
    """A column of ids with a gap becomes 1.0, 2.0; the files about users and items have 1, 2."""
    (tmp_path / "users.csv").write_text("user,age\n1,30\n2,40\n")
    text = "user,item,rating\n1.0,a,3\n2.0,b,4\n,b,5\n"
    dataset = own(tmp_path, text, rating="rating", users=str(tmp_path / "users.csv"))
    assert dataset.ratings["user"].tolist() == ["1", "2"]
    versions = own(tmp_path, "user,item\n1.0,a\n1.1,b\n")
    assert versions.ratings["user"].tolist() == ["1.0", "1.1"]


def test_metadata_that_describes_nobody_is_told(tmp_path) -> None:
    (tmp_path / "users.csv").write_text("user,age\nu1,30\nu2,40\n")
    dataset = own(tmp_path, "user,item\n1,a\n2,b\n", users=str(tmp_path / "users.csv"))
    assert dataset.note is not None
    assert "knows none of the users: there one is called 'u1', in the ratings '1'" in dataset.note


@pytest.mark.parametrize("days", [("24/11/2026", "11/12/2026"), ("24.11.2026", "11.12.2026")])
def test_times_are_read_as_dates_of_tables_are(tmp_path, days) -> None:
    text = f"user,item,when\n1,a,{days[0]}\n1,b,{days[1]}\n2,a,\n"
    found = own(tmp_path, text, time="when").ratings
    first, second = 1795478400, 1796947200  # 2026-11-24 and 2026-12-11, UTC
    assert found["time"].tolist() == [first, second, first]
