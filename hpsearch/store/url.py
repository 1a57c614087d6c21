"""Storage URLs: which driver serves one, how it is shown, and how its password is kept secret."""

from __future__ import annotations

import os

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

from hpsearch.errors import InputError
from hpsearch.urls import DRIVERS, EXTRAS, full_url, redact, shown_url, sqlite_path

__all__ = ["EXTRAS", "full_url", "parse_url", "redact", "shown_url", "sqlite_path"]

DEFAULT_URL = "sqlite:///hpsearch.db"
EXAMPLES = "sqlite:///FILE, postgresql://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE"
HOW = f"write it as {EXAMPLES}"


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
