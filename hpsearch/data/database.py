"""The rows of a query, from any database that SQLAlchemy has a driver for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hpsearch.data.typed import check_names
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    import sqlalchemy as sa
    from sqlalchemy.engine import URL

    from hpsearch.data.dataset import Progress

ROWS = 50_000  # fetched at once: only these are Python objects
CONNECT_SECONDS = 10
HOW = (
    "write it as sqlite:///FILE, postgresql://USER:PASSWORD@HOST/DATABASE or another URL that"
    " SQLAlchemy knows"
)


def read_query(database: str, query: str, progress: Progress) -> tuple[pa.Table, str]:
    """(the query's rows, the database's URL for people: without its password).

    Nothing is ever committed. Raises InputError, which shows no password either, where the URL is
    none, the database cannot be reached, or the query fails or returns no rows.
    """
    import sqlalchemy as sa

    from hpsearch.urls import missing_driver, redact, shown_url, why

    url = _parse(database)
    shown = shown_url(url)
    try:
        engine = sa.create_engine(url, poolclass=sa.pool.NullPool, connect_args=_connect_args(url))
    except (ImportError, sa.exc.NoSuchModuleError) as error:
        raise InputError(missing_driver(url)) from error
    except (sa.exc.ArgumentError, TypeError, ValueError):
        raise InputError(f"The database URL {shown} cannot be used: {HOW}.") from None
    # The drivers' texts may quote the URL: the chains are cut where they could show a password.
    try:
        connection = engine.connect()
    except (sa.exc.SQLAlchemyError, OSError) as error:
        raise InputError(f"The database {shown} {why(error, url)}.") from None
    try:
        with connection:
            return _fetch(connection, query, shown, progress), shown
    except (sa.exc.SQLAlchemyError, OSError) as error:
        reason = redact(" ".join(str(getattr(error, "orig", None) or error).split()), url)
        raise InputError(f"The query on {shown} failed: {reason[:300].rstrip('.')}.") from None
    finally:
        engine.dispose()


def _parse(database: str) -> URL:
    """The URL; no sentence quotes a text of which nobody knows which part is the password."""
    import sqlalchemy as sa
    from sqlalchemy.engine import make_url

    from hpsearch.urls import DRIVERS, shown_url, sqlite_path

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
    return url


def _connect_args(url: URL) -> dict[str, Any]:
    known = url.get_backend_name() in ("postgresql", "mysql")
    return {"connect_timeout": CONNECT_SECONDS} if known else {}


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
            chunk.append(_array(values))
        fetched += len(rows)
        progress("reading the query's rows", fetched, fetched)
    if not fetched:
        raise InputError(f"The query on {shown} found no rows: is its WHERE too narrow?")
    import pyarrow as pa

    return pa.table([_joined(chunk) for chunk in chunks], names=names)


def _array(values: Sequence[Any]) -> pa.Array:
    """Python values of one column as Arrow: decimals as float64, mixtures as text."""
    import pyarrow as pa

    try:
        array = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        try:
            array = pa.array(values, pa.float64())
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            array = pa.array([None if v is None else str(v) for v in values], pa.large_string())
    if pa.types.is_decimal(array.type):
        return array.cast(pa.float64())
    if pa.types.is_string(array.type):
        return array.cast(pa.large_string()).dictionary_encode()
    return array


def _joined(chunks: list[pa.Array]) -> pa.ChunkedArray:
    """One column of chunks that may differ in type: numbers are float64 then, others text."""
    import pyarrow as pa

    kinds = {chunk.type for chunk in chunks if not pa.types.is_null(chunk.type)}
    if len(kinds) > 1:
        numbers = all(pa.types.is_integer(k) or pa.types.is_floating(k) for k in kinds)
        kinds = {pa.float64() if numbers else pa.large_string()}
    kind = kinds.pop() if kinds else pa.null()
    return pa.chunked_array([chunk.cast(kind) for chunk in chunks], kind)
