"""hps_run.job: how a run's trials are drawn and limited, for workers that join it later."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"

TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql")


def upgrade() -> None:
    # MySQL keeps the column of a migration that was cut short before its version was written.
    columns = sa.inspect(op.get_bind()).get_columns("hps_run")
    if all(column["name"] != "job" for column in columns):
        op.add_column("hps_run", sa.Column("job", TEXT))


def downgrade() -> None:
    op.drop_column("hps_run", "job")
