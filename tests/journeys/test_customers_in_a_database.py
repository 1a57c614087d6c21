"""Somebody's rows lie in a database, and some of them are not whole."""

import sqlite3

from journey import QUICK


def test_rows_of_a_query_of_which_some_cannot_be_used(me):
    with sqlite3.connect(me.folder / "shop.db") as connection:
        connection.execute("create table customers (age, city, spent, left_us)")
        connection.executemany(
            "insert into customers values (?, ?, ?, ?)",
            [(20 + i % 50, ("Rome", "Oslo")[i % 2], i * 1.5, ("yes", "no")[i % 50 < 20])
             for i in range(120)] + [(31, "Rome", 5.0, None)],
        )  # fmt: skip
    source = ("--database", "sqlite:///shop.db", "--query", "select * from customers")
    said = me.types("new", "churn.toml", *source, "--target", "left_us")
    assert "classification of left_us from 121 rows" in said
    assert "1 row without left_us will be left out" in said
    me.shortens("churn.toml")
    said = me.types("run", "churn.toml", *QUICK, "--trials", "1")
    assert "left out 1 row: no 'left_us' (row 121)" in said
    assert "best accuracy" in said
