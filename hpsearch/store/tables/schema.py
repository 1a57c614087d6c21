"""Our tables beside Optuna's: prefix hps_, no foreign keys into hers.

Optuna's tools may delete a study or alter their tables; a foreign key of ours would forbid it.
What that leaves behind is removed by `drop_orphans` before new trials get their ids.
All times are naive UTC, as Optuna's are. A float that is not finite is stored as NULL, because
MySQL has no other way and a reader should not meet a difference between servers.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator

from hpsearch.core.plain_json import to_json

LongText = sa.Text().with_variant(mysql.LONGTEXT(), "mysql")
Moment = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")


class Finite(TypeDecorator[float]):
    """A double; what is not finite becomes NULL."""

    impl = sa.Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: sa.Dialect) -> float | None:
        if value is None:
            return None
        number = float(value)
        return number if math.isfinite(number) else None


class Json(TypeDecorator[object]):
    """JSON as text that every JSON parser accepts: numbers that are not finite become null."""

    impl = LongText
    cache_ok = True

    def process_bind_param(self, value: object, dialect: sa.Dialect) -> str | None:
        return None if value is None else to_json(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> object:
        try:
            return None if value is None else json.loads(value)
        except (ValueError, TypeError, RecursionError):  # `doctor` finds it
            return None


def utc_now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


metadata = sa.MetaData()

_OPTIONS: dict[str, Any] = {"mysql_charset": "utf8mb4", "mysql_engine": "InnoDB"}

run = sa.Table(
    "hps_run",
    metadata,
    sa.Column("run_id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.Integer, nullable=False, index=True),
    sa.Column("trials", sa.Integer, nullable=False),
    sa.Column("workers", sa.Integer, nullable=False),
    sa.Column("engine", sa.String(32), nullable=False),
    sa.Column("machine", sa.String(64), nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("seen_at", Moment, nullable=False),
    sa.Column("ended_at", Moment),
    sa.Column("outcome", sa.String(32)),
    sa.Column("job", Json),
    **_OPTIONS,
)
"""One call of hpsearch.run: whose the waiting trials are, and whether it still lives.

`job` is what its workers share (hpsearch.search.job.Job.shared), without any URL or path.
"""

trial = sa.Table(
    "hps_trial",
    metadata,
    # The id is Optuna's trials.trial_id, so the row of one is found by the other.
    sa.Column("trial_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("study_id", sa.Integer, nullable=False, index=True),
    sa.Column("run_id", sa.Integer, index=True),
    sa.Column("cohort", sa.String(32), nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("replicate_of", sa.Integer),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("deaths", sa.Integer, nullable=False, server_default="0"),
    sa.Column("data_source", LongText),
    sa.Column("data_fingerprint", sa.String(128)),
    sa.Column("preset", sa.String(64)),
    sa.Column("device", sa.String(64)),
    sa.Column("precision", sa.String(32)),
    sa.Column("threads", sa.Integer),
    sa.Column("versions", Json),
    sa.Column("git_commit", sa.String(64)),
    sa.Column("worker", sa.String(64)),
    sa.Column("machine", sa.String(64)),
    sa.Column("host", sa.String(255)),
    sa.Column("pid", sa.Integer),
    sa.Column("metrics", Json),
    sa.Column("facts", Json),
    sa.Column("seconds", Finite),
    sa.Column("created_at", Moment, nullable=False),
    **_OPTIONS,
)
"""A trial's place in the plan and the circumstances it ran in.

`replicate_of` is a trial number, `attempts` how often the trial was started (it only ever grows, so
it also tells whether the trial changed hands), `deaths` how many workers in a row died on it
without getting it an epoch further.
"""

epoch = sa.Table(
    "hps_epoch",
    metadata,
    sa.Column("epoch_id", sa.Integer, primary_key=True),
    sa.Column("trial_id", sa.Integer, nullable=False),
    sa.Column("stage", sa.String(64), nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("epochs", sa.Integer, nullable=False),
    sa.Column("train_loss", Finite),
    sa.Column("valid_loss", Finite),
    sa.Column("metrics", Json, nullable=False),
    sa.Column("lrs", Json, nullable=False),
    sa.Column("seconds", Finite),
    sa.Column("recorded_at", Moment, nullable=False),
    sa.UniqueConstraint("trial_id", "epoch", name="uq_hps_epoch_trial_epoch"),
    **_OPTIONS,
)

event = sa.Table(
    "hps_event",
    metadata,
    sa.Column("event_id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.Integer, index=True),
    sa.Column("trial_id", sa.Integer, index=True),
    sa.Column("run_id", sa.Integer),
    sa.Column("worker", sa.String(64)),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("message", LongText, nullable=False),
    sa.Column("traceback", LongText),
    sa.Column("time", Moment, nullable=False),
    **_OPTIONS,
)

rule = sa.Table(
    "hps_rule",
    metadata,
    sa.Column("rule_id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.Integer, nullable=False, index=True),
    sa.Column("param", sa.String(255), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("value", Json),
    sa.Column("low", Json),
    sa.Column("high", Json),
    sa.Column("level", Finite),
    sa.Column("share", Finite),
    sa.Column("statement", LongText, nullable=False),
    sa.Column("provenance", Json),
    sa.Column("payload", Json),
    sa.Column("explained_at", Moment, nullable=False),
    **_OPTIONS,
)
"""value, low and high are JSON: a number, a word or a truth value, as the parameter has it."""

verification = sa.Table(
    "hps_verification",
    metadata,
    sa.Column("verification_id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.Integer, nullable=False, index=True),
    sa.Column("rule_id", sa.Integer),
    sa.Column("param", sa.String(255), nullable=False),
    sa.Column("value", Json),
    sa.Column("against", Json),
    sa.Column("pairs", sa.Integer, nullable=False),
    sa.Column("effect", Finite),
    sa.Column("low", Finite),
    sa.Column("high", Finite),
    sa.Column("verdict", sa.String(32), nullable=False),
    sa.Column("payload", Json),
    sa.Column("verified_at", Moment, nullable=False),
    **_OPTIONS,
)

artifact = sa.Table(
    "hps_artifact",
    metadata,
    sa.Column("artifact_id", sa.Integer, primary_key=True),
    sa.Column("study_id", sa.Integer, index=True),
    sa.Column("trial_id", sa.Integer, index=True),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("path", LongText, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    **_OPTIONS,
)
