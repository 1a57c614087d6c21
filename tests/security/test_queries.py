"""A study's query only reads, and its database gets no option that reaches further."""

from __future__ import annotations

import sqlite3
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa
from store_databases import database

from hpsearch.core.database_urls import parse_url
from hpsearch.data import load_table
from hpsearch.data.own.database import check_reads
from hpsearch.errors import InputError


def load(url, query):
    data = {"database": url, "query": query}
    return load_table(data, path=None, progress=lambda *_: None)


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "mariadb"])
def shop(request, tmp_path_factory):
    """The URL of a database with a table t of two rows."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('shop')}/shop.db"
        fill(url)
        yield url
        return
    with database(request.param) as url:
        fill(url)
        yield url


def fill(url):
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("create table t (x integer)")
        connection.exec_driver_sql("insert into t values (1), (2)")
        if engine.dialect.name != "sqlite":
            connection.exec_driver_sql("create sequence s")
    engine.dispose()


def contents(url):
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        rows = [x for (x,) in connection.exec_driver_sql("select x from t order by x")]
    tables = sa.inspect(engine).get_table_names()
    engine.dispose()
    return rows, tables


WRITES = [
    "drop table t",
    "delete from t",
    "truncate table t",
    "vacuum",
    "vacuum into '{folder}/copy.db'",
    "attach '{folder}/other.db' as other",
    "pragma user_version = 7",
    "pragma writable_schema = on",
    "create table u (x integer)",
    "create temporary table u (x integer)",
    "-- a comment\n /* another */ ( delete from t )",
    "/*!50000 delete from t */",
    "/* /* */ select */ copy t to '{folder}/copied'",
    "copy t to program 'touch {folder}/ran'",
    "copy t to '{folder}/copied'",
    "set global max_connections = 20000",
    "flush tables",
    "call p()",
    "set transaction read write",
    "commit",
    "select x into u from t",
    "with a as (delete from t returning x) select * from a",
    "select 1; drop table t",
    "with a as (select 1) select * from a; commit; drop table t",
    "select * from t into outfile '{folder}/written'",
    "select * from t into/**/dumpfile '{folder}/written'",
    "select nextval({sequence})",
]


@pytest.mark.parametrize("query", WRITES)
def test_a_query_that_writes_is_refused_and_changes_nothing(shop, query, tmp_path):
    tmp_path.chmod(0o777)  # the servers are other users
    before = contents(shop)
    sequence = "'s'" if shop.startswith("postgresql") else "s"
    query = query.replace("{folder}", str(tmp_path)).replace("{sequence}", sequence)
    with pytest.raises(InputError, match="The query on"):
        load(shop, query)
    assert contents(shop) == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "into",
    ["1.0into outfile", "1e0into outfile", "\\Ninto outfile", ".1into dumpfile",
     "1 /*!50000into*/ outfile", "1 into/**/dumpfile", "x'41'INTO\nOUTFILE"],
)  # fmt: skip
def test_no_way_to_write_into_a_file_passes(into):
    """Each wrote a file of a MariaDB server, whose lexer ends a number where a word begins."""
    with pytest.raises(InputError, match="would write a file of the server"):
        check_reads(f"select {into} '/tmp/written'", "mysql://shop")


def test_a_query_that_begins_otherwise_is_told_how_to_begin(shop):
    with pytest.raises(InputError, match=r"does not only read.*begins with SELECT, WITH or VALUES"):
        load(shop, "delete from t")


@pytest.mark.parametrize(
    "query",
    [
        "select x from t",
        "  -- the rows\n/* of the table */ (select x from t)",
        "with a as (select x from t) select x from a",
        "with recursive a(x) as (select 1 union all select 2 from a where x < 2) select * from a",
        "select x from t order by x desc",
    ],
)
def test_a_query_that_reads_reads(shop, query):
    if shop.startswith("sqlite") and "(select x from t)" in query and "with" not in query:
        query = query.replace("(", "").replace(")", "")  # SQLite has no such parentheses
    assert sorted(load(shop, query).table["x"].tolist()) == [1, 2]


def test_full_text_tables_are_read(tmp_path):
    with sqlite3.connect(tmp_path / "texts.db") as connection:
        connection.execute("create virtual table texts using fts5(body)")
        connection.execute("insert into texts values ('a good film')")
    connection.close()
    query = "select body from texts where texts match 'film'"
    assert load(f"sqlite:///{tmp_path}/texts.db", query).table["body"].tolist() == ["a good film"]


def test_a_database_that_nobody_may_write_is_read(tmp_path):
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("create table t (x integer)")
        connection.execute("insert into t values (1)")
    load(f"sqlite:///{tmp_path}/shop.db", "select x from t")  # while the log is there
    connection.close()
    (tmp_path / "shop.db").chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        assert len(load(f"sqlite:///{tmp_path}/shop.db", "select x from t").table) == 1
    finally:
        tmp_path.chmod(0o700)


REACHING = [
    "mysql://me@127.0.0.1:1/x?local_infile=1",
    "mysql://me@127.0.0.1:1/x?read_default_file=/etc/passwd",
    "mysql://me@127.0.0.1:1/x?init_command=drop+table+t",
    "mysql://me@127.0.0.1:1/x?client_flag=65536",
    "mysql://me@127.0.0.1:1/x?plugin=anything",
    "postgresql://me@127.0.0.1:1/x?service=other",
    "postgresql://me@127.0.0.1:1/x?passfile=/etc/passwd",
    "postgresql://me@127.0.0.1:1/x?options=-c+default_transaction_read_only%3Doff",
    "postgresql://me@127.0.0.1:1/x?options=-csearch_path%3Da+-c+session_preload_libraries%3Dx",
    "sqlite:///{file}?plugin=anything",
    "sqlite:///file:{file}?uri=true&nolock=1",
    "sqlite:///file:{file}?uri=true&vfs=unix-none",
    "sqlite:///file:{file}%3Fvfs=unix-none?uri=true",
    "sqlite:///file:{file}?uri=true&mode=memory",
    "sqlite:///{file}?isolation_level=EXCLUSIVE",
]


@pytest.mark.parametrize("url", REACHING)
def test_an_option_that_reaches_further_is_refused(url, tmp_path):
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("create table t (x integer)")
    connection.close()
    url = url.replace("{file}", str(tmp_path / "x.db"))
    for opened in (lambda: load(url, "select 1"), lambda: parse_url(url)):
        with pytest.raises(InputError, match=r"The URL .* (option|sets more|has a mode)"):
            opened()


def test_options_that_are_asked_for_every_day_go_through(shop):
    if shop.startswith("postgresql"):
        schema = f"s{uuid.uuid4().hex[:8]}"
        engine = sa.create_engine(shop, poolclass=sa.pool.NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql(f"create schema {schema}")
            connection.exec_driver_sql(f"create table {schema}.u as select 5 as x")
        engine.dispose()
        url = f"{shop}?options=-csearch_path%3D{schema}&application_name=me&sslmode=prefer"
        assert load(url, "select x from u").table["x"].tolist() == [5]
        with pytest.raises(InputError, match="does not only read"):
            load(url, "with a as (insert into u values (1) returning x) select * from a")
    elif shop.startswith("mysql"):
        url = f"{shop}?charset=utf8mb4&connect_timeout=5"
        assert len(load(url, "select x from t").table) == 2
    else:
        path = Path(shop.removeprefix("sqlite:///"))
        assert len(
            load(f"sqlite:///file:{path}?uri=true&mode=ro&timeout=5", "select x from t").table
        )
