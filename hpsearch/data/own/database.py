"""The rows of a query, from any database that SQLAlchemy has a driver for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hpsearch.data.own.json_files import array_of
from hpsearch.data.own.typed_columns import check_names
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    import sqlalchemy as sa
    from sqlalchemy.engine import URL

    from hpsearch.core.console import Progress

ROWS = 50_000  # fetched at once: only these are Python objects
CONNECT_SECONDS = 10
HOW = (
    "write it as sqlite:///FILE, postgresql://USER:PASSWORD@HOST/DATABASE or another URL that"
    " SQLAlchemy knows"
)
FIRST_WORD = re.compile(
    # Comments before it: none that MySQL executes (/*!), none within another (PostgreSQL nests).
    r"(?:\s|\(|--[^\n]*\n|/\*(?![!M])(?:(?!/\*|\*/).)*\*/)*(?P<word>[a-z]+)",
    re.IGNORECASE | re.DOTALL,
)
# MySQL needs no space before the word: 1.0into, \Ninto and /*!50000into*/ are read as it, too.
WRITES_FILE = re.compile("into.*(?:outfile|dumpfile)", re.IGNORECASE | re.DOTALL)
REFUSED = (  # by SQLite's authorizer and read-only files, PostgreSQL, and MySQL or MariaDB
    "not authorized",
    "prohibited",
    "readonly database",
    "read-only transaction",
    "READ ONLY transaction",
    "must not contain data-modifying",
    "INTO is not allowed",
    "multiple commands",
)


def rows_of_query(data: Mapping[str, Any], progress: Progress) -> tuple[pa.Table, str]:
    """As `read_query`, of the database and the query that a [data] section names."""
    query = str(data.get("query") or "").strip()
    if not query:
        raise InputError(
            'The [data] section names a database but no query: add one, as in query = "select *'
            ' from people".'
        )
    return read_query(str(data["database"]), query, progress)


def read_query(database: str, query: str, progress: Progress) -> tuple[pa.Table, str]:
    """(the query's rows, the database's URL for people: without its password).

    SQLite, PostgreSQL, MySQL and MariaDB are asked for connections that cannot write; of others
    nothing is committed. Raises InputError, which shows no password either, where the URL is none,
    the database cannot be reached, or the query would write, fails or returns no rows.
    """
    import sqlalchemy as sa

    from hpsearch.core.database_urls import database_problem, missing_driver, redact, shown_url
    from hpsearch.core.read_only import reading_url, refuse_writes

    url = _parse(database)
    shown = shown_url(url)
    check_reads(query, shown)
    try:
        engine = sa.create_engine(
            reading_url(url), poolclass=sa.pool.NullPool, connect_args=_connect_args(url)
        )
        refuse_writes(engine)
    except (ImportError, sa.exc.NoSuchModuleError) as error:
        raise InputError(missing_driver(url, error)) from error
    except (sa.exc.ArgumentError, TypeError, ValueError):
        raise InputError(f"The database URL {shown} cannot be used: {HOW}.") from None
    # The drivers' texts may quote the URL: the chains are cut where they could show a password.
    try:
        connection = engine.connect()
    except (sa.exc.SQLAlchemyError, OSError) as error:
        raise InputError(f"The database {shown} {database_problem(error, url)}.") from None
    try:
        with connection:
            return _fetch(connection, query, shown, progress), shown
    except (sa.exc.SQLAlchemyError, OSError) as error:
        if any(sign in str(error) for sign in REFUSED):
            raise InputError(_writes(shown)) from None
        reason = redact(" ".join(str(getattr(error, "orig", None) or error).split()), url)
        raise InputError(f"The query on {shown} failed: {reason[:300].rstrip('.')}.") from None
    finally:
        engine.dispose()


def _parse(database: str) -> URL:
    """The URL; no sentence quotes a text of which nobody knows which part is the password."""
    import sqlalchemy as sa
    from sqlalchemy.engine import make_url

    from hpsearch.core.database_urls import DRIVERS, check_options, shown_url, sqlite_path

    try:
        url = make_url(database)
    except (sa.exc.ArgumentError, ValueError):
        raise InputError(
            f"The key database in [data] holds no URL that can be read: {HOW} (signs such as"
            " @ : / in a password are written %40 %3A %2F)."
        ) from None
    url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
    path = sqlite_path(url)
    if path is not None and not path.is_file():  # else SQLite would make an empty one
        raise InputError(
            f"The database {shown_url(url)} does not exist: three slashes go before a relative"
            " path and four before an absolute one."
        )
    check_options(url)
    return url


def _connect_args(url: URL) -> dict[str, Any]:
    from hpsearch.core.read_only import connect_args

    known = url.get_backend_name() in ("postgresql", "mysql")
    return {**connect_args(url), "connect_timeout": CONNECT_SECONDS} if known else {}


def check_reads(query: str, shown: str) -> None:
    """Raises InputError for a query that does not begin like a query that only reads.

    This check is the smaller part: the database itself refuses a query with a part that writes
    (WITH ... DELETE, a sequence). But MariaDB lets even a read-only session set global variables or
    write files.
    """
    first = FIRST_WORD.match(query)
    if first is None or first["word"].lower() not in ("select", "with", "values", "table"):
        raise InputError(_writes(shown))
    if WRITES_FILE.search(query):
        raise InputError(f"The query on {shown} would write a file of the server: leave INTO out.")


def _writes(shown: str) -> str:
    return (
        f"The query on {shown} does not only read, and hpsearch changes nothing there:"
        " write one that begins with SELECT, WITH or VALUES and has no part that writes."
    )


def _fetch(connection: sa.Connection, query: str, shown: str, progress: Progress) -> pa.Table:
    options = connection.execution_options(stream_results=True, no_parameters=True)
    result = options.exec_driver_sql(query)
    if not result.returns_rows:
        raise InputError(f"The query on {shown} returns no rows: write one that begins SELECT.")
    names = list(result.keys())
    check_names(names, f"The result of the query on {shown}")
    chunks: list[list[pa.Array]] = [[] for _ in names]
    fetched = 0
    for rows in result.partitions(ROWS):
        for chunk, values in zip(chunks, zip(*rows, strict=True), strict=True):
            chunk.append(array_of(values))
        fetched += len(rows)
        progress("reading the query's rows", fetched, fetched)
    if not fetched:
        raise InputError(f"The query on {shown} found no rows: is its WHERE too narrow?")
    import pyarrow as pa

    return pa.table([_joined(chunk) for chunk in chunks], names=names)


def _joined(chunks: list[pa.Array]) -> pa.ChunkedArray:
    """One column of chunks that may differ in type: numbers are float64 then, others text."""
    import pyarrow as pa

    kinds = {chunk.type for chunk in chunks if not pa.types.is_null(chunk.type)}
    if len(kinds) > 1:
        numbers = all(pa.types.is_integer(k) or pa.types.is_floating(k) for k in kinds)
        kinds = {pa.float64() if numbers else pa.large_string()}
    kind = kinds.pop() if kinds else pa.null()
    return pa.chunked_array([chunk.cast(kind) for chunk in chunks], kind)
