"""The first tables: runs, trials, epochs, events, rules, verifications, artifacts.

Written out in full, not taken from schema.py: a migration must go on meaning what it meant.
What exists is left: MySQL has no transactional DDL, so a migration cut short is run again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision: str | None = None

TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql")
MOMENT = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")
DOUBLE: sa.Double[float] = sa.Double()


def upgrade() -> None:
    _create(
        "hps_run",
        sa.Column("run_id", sa.Integer, primary_key=True),
        sa.Column("study_id", sa.Integer, nullable=False, index=True),
        sa.Column("trials", sa.Integer, nullable=False),
        sa.Column("workers", sa.Integer, nullable=False),
        sa.Column("engine", sa.String(32), nullable=False),
        sa.Column("machine", sa.String(64), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.Column("outcome", sa.String(32)),
    )
    _create_trial()
    _create(
        "hps_epoch",
        sa.Column("epoch_id", sa.Integer, primary_key=True),
        sa.Column("trial_id", sa.Integer, nullable=False),
        sa.Column("stage", sa.String(64), nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("epochs", sa.Integer, nullable=False),
        sa.Column("train_loss", DOUBLE),
        sa.Column("valid_loss", DOUBLE),
        sa.Column("metrics", TEXT, nullable=False),
        sa.Column("lrs", TEXT, nullable=False),
        sa.Column("seconds", DOUBLE),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.UniqueConstraint("trial_id", "epoch", name="uq_hps_epoch_trial_epoch"),
    )
    _create(
        "hps_event",
        sa.Column("event_id", sa.Integer, primary_key=True),
        sa.Column("study_id", sa.Integer, index=True),
        sa.Column("trial_id", sa.Integer, index=True),
        sa.Column("run_id", sa.Integer),
        sa.Column("worker", sa.String(64)),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("traceback", TEXT),
        sa.Column("time", MOMENT, nullable=False),
    )
    _create_findings()


def _create_trial() -> None:
    _create(
        "hps_trial",
        sa.Column("trial_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("study_id", sa.Integer, nullable=False, index=True),
        sa.Column("run_id", sa.Integer, index=True),
        sa.Column("cohort", sa.String(32), nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("replicate_of", sa.Integer),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("deaths", sa.Integer, nullable=False, server_default="0"),
        sa.Column("data_source", TEXT),
        sa.Column("data_fingerprint", sa.String(128)),
        sa.Column("preset", sa.String(64)),
        sa.Column("device", sa.String(64)),
        sa.Column("precision", sa.String(32)),
        sa.Column("threads", sa.Integer),
        sa.Column("versions", TEXT),
        sa.Column("git_commit", sa.String(64)),
        sa.Column("worker", sa.String(64)),
        sa.Column("machine", sa.String(64)),
        sa.Column("host", sa.String(255)),
        sa.Column("pid", sa.Integer),
        sa.Column("metrics", TEXT),
        sa.Column("facts", TEXT),
        sa.Column("seconds", DOUBLE),
        sa.Column("created_at", MOMENT, nullable=False),
    )


def _create_findings() -> None:
    _create(
        "hps_rule",
        sa.Column("rule_id", sa.Integer, primary_key=True),
        sa.Column("study_id", sa.Integer, nullable=False, index=True),
        sa.Column("param", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("value", TEXT),
        sa.Column("low", TEXT),
        sa.Column("high", TEXT),
        sa.Column("level", DOUBLE),
        sa.Column("share", DOUBLE),
        sa.Column("statement", TEXT, nullable=False),
        sa.Column("provenance", TEXT),
        sa.Column("payload", TEXT),
        sa.Column("explained_at", MOMENT, nullable=False),
    )
    _create(
        "hps_verification",
        sa.Column("verification_id", sa.Integer, primary_key=True),
        sa.Column("study_id", sa.Integer, nullable=False, index=True),
        sa.Column("rule_id", sa.Integer),
        sa.Column("param", sa.String(255), nullable=False),
        sa.Column("value", TEXT),
        sa.Column("against", TEXT),
        sa.Column("pairs", sa.Integer, nullable=False),
        sa.Column("effect", DOUBLE),
        sa.Column("low", DOUBLE),
        sa.Column("high", DOUBLE),
        sa.Column("verdict", sa.String(32), nullable=False),
        sa.Column("payload", TEXT),
        sa.Column("verified_at", MOMENT, nullable=False),
    )
    _create(
        "hps_artifact",
        sa.Column("artifact_id", sa.Integer, primary_key=True),
        sa.Column("study_id", sa.Integer, index=True),
        sa.Column("trial_id", sa.Integer, index=True),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
    )


def _create(name: str, *parts: sa.schema.SchemaItem) -> None:
    """Make what of the table is not there yet."""
    here = sa.inspect(op.get_bind())
    indexed = [part.name for part in parts if isinstance(part, sa.Column) and part.index]
    for part in parts:
        if isinstance(part, sa.Column):
            part.index = None
    have: set[str | None] = set()
    if here.has_table(name):
        have = {index["name"] for index in here.get_indexes(name)}
    else:
        op.create_table(name, *parts, mysql_charset="utf8mb4", mysql_engine="InnoDB")
    for column in indexed:
        index = f"ix_{name}_{column}"
        if index not in have:
            op.create_index(index, name, [column])


def downgrade() -> None:
    for name in ("run", "trial", "epoch", "event", "rule", "verification", "artifact"):
        op.drop_table(f"hps_{name}", if_exists=True)
