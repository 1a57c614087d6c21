"""Tables out of a database: what a query gives, what it may not do, and what nobody is shown."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from hpsearch.data import TableDataset, load_table
from hpsearch.errors import InputError


def load(**data: object) -> TableDataset:
    return load_table(data, path=None, progress=lambda *_: None)


@pytest.fixture
def database(tmp_path) -> str:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("create table sales (id integer, city text, price, mixed)")
        rows = [(1, "Rome", 1.5, 1), (2, None, None, 2.5), (3, "Rome", 2, "50%")]
        connection.executemany("insert into sales values (?, ?, ?, ?)", rows)
    connection.close()
    return f"sqlite:///{tmp_path}/shop.db"


def test_a_query_is_a_table(database) -> None:
    dataset = load(database=database, query="select * from sales where city like '%' or id = 2")
    assert dataset.table["id"].tolist() == [1, 2, 3]
    assert dataset.table["city"].tolist()[::2] == ["Rome", "Rome"]
    np.testing.assert_array_equal(dataset.table["price"], [1.5, np.nan, 2])
    assert dataset.table["mixed"].tolist() == ["1", "2.5", "50%"]
    assert dataset.source == f"{database} (the study's query)"


def test_a_query_changes_nothing(database) -> None:
    with pytest.raises(
        InputError, match="does not only read, and hpsearch changes nothing there: write one"
    ):
        load(database=database, query="delete from sales")
    assert len(load(database=database, query="select * from sales").table) == 3


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("select nope from sales", r"failed: no such column: nope\."),
        ("select * from sales where id > 9", r"found no rows: is its WHERE too narrow\?"),
        ("select id, city as id from sales", "has 2 columns 'id': rename all but one"),
    ],
)
def test_what_is_wrong_with_a_query_is_one_sentence(database, query, problem) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        load(database=database, query=query)
    assert "shop.db" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("postgresql://me:s3cret@127.0.0.1:{port}/x", r"me:\*\*\*@127.* nothing listens at"),
        ("postgresql://me@127.0.0.1:{port}/x?password=s3cret", r"password=\*\*\*.* nothing"),
        ("mysql://me:s3cret@127.0.0.1:{port}/x", r"me:\*\*\*@127.* nothing listens at"),
        ("oracle://me:s3cret@127.0.0.1/x", "driver that oracle:// asks for is not installed"),
        ("postgresql://me:s3c@ret:s3cret@h:port/x", "holds no URL that can be read"),
        ("me s3cret", "holds no URL that can be read"),
        ("sqlite:///nowhere/s.db", "does not exist: three slashes go before a relative path"),
    ],
)  # fmt: skip
def test_a_database_that_is_not_there_shows_no_password(url, problem, closed_port) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        load(database=url.format(port=closed_port), query="select 1")
    shown: BaseException | None = caught.value
    while shown is not None and not shown.__suppress_context__:
        assert "s3c" not in str(shown)
        shown = shown.__cause__ or shown.__context__
    assert "s3c" not in str(caught.value)
