"""Database URLs: the drivers that serve them, how they are shown, and what a driver's error says.

No password leaves this module in a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

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
EXTRAS = {"postgresql": "postgres", "mysql": "mysql"}
SECRET_KEYS = frozenset({"password", "passwd", "passphrase", "sslpassword", "ssl_key_password"})


def sqlite_path(url: URL) -> Path | None:
    """The file of an SQLite URL (`file:` URIs included), None for a server."""
    if not url.drivername.startswith("sqlite") or url.database is None:
        return None
    return Path(url.database.removeprefix("file:").split("?")[0])


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


def why(error: BaseException, url: URL) -> str:
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


def missing_driver(url: URL) -> str:
    """What to tell the user where the driver of `url` cannot be imported."""
    dialect = url.get_backend_name()
    extra = EXTRAS.get(dialect)
    if extra is None or url.drivername.split("+")[-1] not in ("psycopg", "pymysql"):
        return f"The driver that {url.drivername}:// asks for is not installed."
    return (
        f"The driver for {dialect}:// is not installed: pip install 'hpsearch[{extra}]', "
        "then try again."
    )
