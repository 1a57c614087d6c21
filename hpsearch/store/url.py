"""Storage URLs: which driver serves one, how it is shown, and how its password is kept secret."""

from __future__ import annotations

import os
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from hpsearch.errors import InputError

DEFAULT_URL = "sqlite:///hpsearch.db"
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
EXTRAS = {"postgresql": "postgres", "mysql": "mysql"}
SECRET_KEYS = frozenset({"password", "passwd", "passphrase", "sslpassword", "ssl_key_password"})
HOW = "write it as sqlite:///FILE, postgresql://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE"


def parse_url(text: str | None) -> URL:
    """The URL of `text`, of the environment variable HPSEARCH_STORAGE, or the default one.

    Raises InputError for what is not a usable URL. The message never quotes the text as a whole,
    because where it cannot be parsed nobody knows which part is the password.
    """
    text = text or os.environ.get("HPSEARCH_STORAGE") or DEFAULT_URL
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
    if driver.split("+")[0] not in {"sqlite", *EXTRAS}:
        raise InputError(f"{scheme}:// is no database that hpsearch can use: {HOW}.")
    if driver.startswith("sqlite"):
        return _check_sqlite(url)
    if any("@" in part for part in (url.host or "", url.database or "")):
        raise InputError(
            f"The storage URL that begins with {scheme}:// holds more than one @: "
            "write an @ inside the user or password as %40."
        )
    if not url.database:
        raise InputError(f"The storage URL {shown_url(url)} names no database: {HOW}.")
    return url


def _check_sqlite(url: URL) -> URL:
    if url.host:
        raise InputError(
            f"The storage URL sqlite://{url.host}/{url.database or ''} needs three slashes "
            "before a relative path and four before an absolute one."
        )
    if url.database in (None, "", ":memory:"):
        raise InputError(
            "A store in memory would be lost at the end: name a file, as in sqlite:///hpsearch.db."
        )
    return url


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
