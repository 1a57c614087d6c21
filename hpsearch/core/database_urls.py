"""Database URLs: the drivers that serve them, how they are shown, and their options.

No password leaves this module in a sentence.

A driver does more than connect if an option asks it to: PyMySQL hands any local file to the server
(`local_infile`) or reads settings out of one (`read_default_file`), libpq goes to another host
(`service`), SQLite works without locks (`nolock`), SQLAlchemy imports a plug-in (`plugin`). URLs
are pasted from e-mails and stand in other people's study files, so each database has a short list
of options, and what is not listed is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from hpsearch.errors import InputError
from hpsearch.extras import MissingExtraError

ALLOWED = {
    # A password is no option of SQLite, which ignores it; of its encrypted sisters it is one.
    "sqlite": "mode password timeout uri",
    "postgresql": "application_name channel_binding client_encoding connect_timeout gssencmode host"
    " hostaddr keepalives keepalives_count keepalives_idle keepalives_interval options password"
    " port require_auth sslcert sslcrl sslkey sslmode sslpassword sslrootcert"
    " target_session_attrs tcp_user_timeout user",
    "mysql": "charset connect_timeout passwd password program_name read_timeout ssl ssl_ca ssl_cert"
    " ssl_check_hostname ssl_disabled ssl_key ssl_key_password ssl_verify_cert"
    " ssl_verify_identity unix_socket user write_timeout",
}
OTHERS = "driver encrypt role schema service_name warehouse"
"""Of databases of which only [data] can read a query: names within the database, no behaviour."""

SETTING = re.compile(r"-c ?(search_path|statement_timeout|timezone)=[\w,.$/+-]*")
SQLITE_MODES = ("ro", "rw", "rwc")


def check_options(url: URL) -> None:
    """Raises InputError for an option of the URL that is not on the list of its database."""
    backend = url.get_backend_name()
    allowed = ALLOWED.get(backend, OTHERS).split()
    for name in url.query:
        if name not in allowed and name not in SECRET_KEYS:
            raise InputError(
                f"The URL {shown_url(url)} has the option {name!r}, which hpsearch gives to no"
                f" driver: leave it out (of {backend} it knows {', '.join(allowed)})."
            )
    if backend == "postgresql":
        _check_settings(url)
    if backend == "sqlite":
        _check_file(url)


def _check_file(url: URL) -> None:
    if url.query.get("mode", "ro") not in SQLITE_MODES:
        raise InputError(
            f"The URL {shown_url(url)} has a mode that is none of {', '.join(SQLITE_MODES)}."
        )
    if "uri" in url.query and "?" in (url.database or ""):  # a second list, which SQLite reads
        raise InputError(
            f"The URL {shown_url(url)} has options within its path: give them behind the ?."
        )


def _check_settings(url: URL) -> None:
    """libpq's `options` set anything in the session, what makes it read-only included."""
    given = url.query.get("options", "")
    text = given if isinstance(given, str) else " ".join(given)
    if SETTING.sub("", text).strip():
        raise InputError(
            f"The URL {shown_url(url)} sets more in its options than hpsearch passes on: "
            "-c search_path=..., -c statement_timeout=... and -c timezone=... are possible."
        )


__all__ = ["full_url", "parse_url", "redact", "shown_url", "sqlite_path"]

DEFAULT_URL = "sqlite:///hpsearch.db"
EXAMPLES = "sqlite:///FILE, postgresql://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE"
HOW = f"write it as {EXAMPLES}"


def parse_url(text: str | None) -> URL:
    """The URL of `text`, of the environment variable HPSEARCH_STORAGE, or the default one.

    Raises InputError for what is not a usable URL. The message never quotes the text as a whole,
    because where it cannot be parsed nobody knows which part is the password.
    """
    text = text or os.environ.get("HPSEARCH_STORAGE") or DEFAULT_URL
    if any(sign == "\0" or "\ud800" <= sign <= "\udfff" for sign in unquote(text)):
        raise InputError(
            "The storage URL holds a null, or bytes that are no UTF-8: give the file or database a "
            "name without them."
        )
    if "://" not in text:
        # A scheme alone or a bare word cannot hold a password unless it also holds an @.
        shown = repr(text) if "@" not in text else "it"
        raise InputError(f"The storage is given as a URL and {shown} is none: {HOW}.")
    scheme = text.split("://", 1)[0]
    try:
        url = make_url(text)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise InputError(
            f"The storage URL that begins with {scheme}:// cannot be read: {HOW} "
            "(signs such as @ : / in a password are written %40 %3A %2F)."
        ) from error
    driver = DRIVERS.get(url.drivername, url.drivername)
    url = url.set(drivername=driver)
    if driver.split("+")[0] not in SERVED:
        raise InputError(f"{scheme}:// is no database that hpsearch can use: {HOW}.")
    if driver.startswith("sqlite"):
        return _check_sqlite(url, text)
    if any("@" in part for part in (url.host or "", url.database or "")):
        raise InputError(
            f"The storage URL that begins with {scheme}:// holds more than one @: "
            "write an @ inside the user or password as %40."
        )
    if not url.database:
        raise InputError(f"The storage URL {shown_url(url)} names no database: {HOW}.")
    check_options(url)
    return url


def _check_sqlite(url: URL, text: str) -> URL:
    if url.host:
        raise InputError(
            f"The storage URL sqlite://{url.host}/{url.database or ''} needs three slashes "
            "before a relative path and four before an absolute one."
        )
    if url.database in (None, "", ":memory:"):
        raise InputError(
            "A store in memory would be lost at the end: name a file, as in sqlite:///hpsearch.db."
        )
    if "?" in text and not url.query:
        raise InputError(
            f"The storage URL {shown_url(url)} has a ? with no option behind it: "
            "write a ? in the name of a file as %3F."
        )
    check_options(url)
    return url


HIDDEN = "***"

DRIVERS = {
    "sqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    # Optuna knows MariaDB by the name of the MySQL dialect only.
    "mariadb": "mysql+pymysql",
    "mariadb+pymysql": "mysql+pymysql",
}
MORE = "end other programs, or raise its max_connections"
UTF8 = "give the database and Optuna's tables the character set utf8mb4"
NO_MEMORY = ("cannot allocate memory", "failed to map segment", "out of memory", "can't allocate")
"""How the dynamic linker says inside an ImportError that there is no memory left."""
SERVED = ("sqlite", "postgresql", "mysql")
SECRET_KEYS = frozenset({"password", "passwd", "passphrase", "sslpassword", "ssl_key_password"})


def sqlite_path(url: URL) -> Path | None:
    """The file of an SQLite URL (`file:` URIs included), None for a server."""
    if not url.drivername.startswith("sqlite") or url.database is None:
        return None
    if "uri" in url.query and url.database.startswith("file:"):
        path = unquote(url.database.removeprefix("file:").split("?")[0])
        return Path(re.sub("^//(localhost)?(?=/)", "", path))
    return Path(url.database)


def shown_url(url: URL) -> str:
    """The URL for people: the password, in either of the places it may stand, as three stars."""
    secret = {key: HIDDEN for key in url.query if key.lower() in SECRET_KEYS}
    text = url.update_query_dict(secret).render_as_string(hide_password=True)
    return text.replace("=%2A%2A%2A", f"={HIDDEN}")


def without_password(data: Mapping[str, Any]) -> dict[str, Any]:
    """A study's [data] as it may be shown and stored: with `shown_url` of its `database`."""
    if not isinstance(data.get("database"), str):
        return dict(data)
    try:
        shown = shown_url(make_url(data["database"]))
    except ArgumentError:  # nobody knows which part of it is the password
        shown = HIDDEN
    return {**data, "database": shown}


def full_url(url: URL) -> str:
    """The URL with its password, for a driver or for a worker's standard input only."""
    return url.render_as_string(hide_password=False)


def redact(text: str, url: URL) -> str:
    """`text` without the URL's password, whether raw or percent-encoded."""
    secrets = [url.password] if isinstance(url.password, str) else []
    for key, value in url.query.items():
        if key.lower() in SECRET_KEYS:
            secrets.extend([value] if isinstance(value, str) else value)
    for secret in filter(None, secrets):
        encoded = URL.create("x", username="u", password=secret, host="h")
        quoted = encoded.render_as_string(hide_password=False)[len("x://u:") : -len("@h")]
        for form in {secret, quoted}:
            text = text.replace(f":{form}@", f":{HIDDEN}@")
            if len(form) > 2:  # one or two letters would wipe out half of any sentence
                text = text.replace(form, HIDDEN)
    return text


def database_problem(error: BaseException, url: URL) -> str:
    """What an error of a driver means for people, to follow 'The store ...'; without a password."""
    cause = error
    while cause.__cause__ is not None and not hasattr(cause, "orig"):
        cause = cause.__cause__
    cause = getattr(cause, "orig", None) or cause
    text = redact(" ".join(str(cause).split()), url)
    where = f"{url.host or 'localhost'}:{url.port or _port(url)}"
    for sign, sentence in (
        ("file is not a database", "is not a database: name another file"),
        ("readonly database", "is read-only: copy it or change its permissions"),
        ("Permission denied", "cannot be written: change the permissions of its folder"),
        ("unable to open database file", "cannot be opened: check the permissions of its folder"),
        ("database is locked", "is locked by another program"),
        ("database or disk is full", "cannot be written: the disk is full"),
        ("disk I/O error", "cannot be read: its disk is full or damaged; free some space"),
        ("refused", f"cannot be reached: nothing listens at {where}; start the server"),
        ("too many c", f"cannot be reached: {where} has no connection left; {MORE}"),
        ("connection slots", f"cannot be reached: {where} has no connection left; {MORE}"),
        ("shutting down", "cannot be reached: the server is being shut down"),
        ("administrator command", "cannot be reached: the server is being shut down"),
        ("starting up", "cannot be reached: the server is starting"),
        ("lost connection", "cannot be reached: the server ended the connection"),
        ("closed the connection", "cannot be reached: the server ended the connection"),
        ("gone away", "cannot be reached: the server ended the connection"),
        ("timed out", f"cannot be reached: {where} does not answer"),
        ("timeout expired", f"cannot be reached: {where} does not answer"),
        ("resolve host name", f"cannot be reached: the host {url.host} is unknown"),
        ("Name or service not known", f"cannot be reached: the host {url.host} is unknown"),
        ("Unknown database", f"does not exist yet: make it with CREATE DATABASE {url.database}"),
        ("authentication failed", "cannot be opened: the server refuses this user or password"),
        ("illegal mix of collations", f"cannot hold this text: {UTF8}"),
        ("incorrect string value", f"cannot hold this text: {UTF8}"),
        ("no password supplied", "cannot be opened: the server wants a password"),
        ("Access denied", "cannot be opened: the server refuses this user or password"),
    ):
        if sign.lower() in text.lower():
            return sentence
    if url.get_backend_name() == "postgresql" and f'database "{url.database}" does not' in text:
        return f"does not exist yet: make it with CREATE DATABASE {url.database}"
    return f"cannot be opened: {text[:300].rstrip('.')}"


def _port(url: URL) -> int:
    return {"postgresql": 5432, "mysql": 3306}.get(url.get_backend_name(), 0)


def missing_driver(url: URL, error: Exception) -> str:
    """What to tell the user where the driver of `url` cannot be imported, by what was raised."""
    text = " ".join(str(error).split())
    if any(sign in text.lower() for sign in NO_MEMORY):
        return f"There is too little memory to load the driver of {url.drivername}://: end others."
    driver = url.drivername.split("+")[-1]
    # Psycopg is a package without its library where 'psycopg[binary]' was not asked for.
    absent = isinstance(error, (ModuleNotFoundError, NoSuchModuleError)) or "no pq wrapper" in text
    if not absent:
        return f"The driver of {url.drivername}:// cannot be loaded ({text[:300].rstrip('.')})."
    if driver not in ("psycopg", "pymysql"):
        return f"The driver that {url.drivername}:// asks for is not installed."
    return str(MissingExtraError(driver))
