"""Our schema's versions: Alembic, in a version table of our own beside Optuna's."""

from __future__ import annotations

import logging
from pathlib import Path

import sqlalchemy as sa

VERSION_TABLE = "hps_alembic_version"
HEAD = "0002"
"""The newest revision in migrations/versions (a constant, so that opening imports no Alembic)."""


class TooNewError(Exception):
    """The store was made by a newer version of hpsearch."""


def current(engine: sa.Engine) -> str | None:
    """The revision of the store, None before the first migration."""
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table(VERSION_TABLE):
            return None
        query = sa.select(sa.column("version_num", sa.String)).select_from(sa.table(VERSION_TABLE))
        revision = connection.execute(query).scalar()
    return None if revision is None else str(revision)


def upgrade(engine: sa.Engine) -> None:
    """Bring the store to HEAD; the caller holds the store's lock.

    Raises TooNewError for a revision that this version of hpsearch does not know.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise TooNewError(str(error)) from error
