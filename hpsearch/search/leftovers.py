"""Checkpoints that workers left behind which were killed between a trial's end and its tidying."""

from __future__ import annotations

import shutil
from pathlib import Path

import sqlalchemy as sa

from hpsearch.store import Store
from hpsearch.store.connections import reader
from hpsearch.store.optuna_tables import TRIALS
from hpsearch.store.queue import FINISHED


def leftover_checkpoints(store: Store, study_id: int, folder: Path) -> list[Path]:
    """The folders of finished trials, which need none, in the study's `folder` of checkpoints."""
    if not folder.is_dir():
        return []
    query = sa.select(TRIALS.c.number).where(
        TRIALS.c.study_id == study_id, TRIALS.c.state.in_(FINISHED)
    )
    with reader(store.engine) as connection:
        finished = {str(number) for number in connection.execute(query).scalars()}
    return [one for one in folder.iterdir() if one.name in finished]


def remove_leftovers(store: Store, study_id: int, folder: Path) -> None:
    for one in leftover_checkpoints(store, study_id, folder):
        shutil.rmtree(one, ignore_errors=True)
