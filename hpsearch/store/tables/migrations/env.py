"""Alembic's entry: migrates over the connection that `migrate.upgrade` hands in."""

from __future__ import annotations

from alembic import context

from hpsearch.store.tables.migrate import VERSION_TABLE

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table=VERSION_TABLE, transactional_ddl=None)
with context.begin_transaction():
    context.run_migrations()
