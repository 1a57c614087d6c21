"""Optuna's own tables, which hpsearch reads and writes without Optuna's mapped objects."""

from __future__ import annotations

import sqlalchemy as sa
from optuna.storages._rdb import models

STUDIES: sa.Table = models.StudyModel.__table__
DIRECTIONS: sa.Table = models.StudyDirectionModel.__table__
STUDY_ATTRS: sa.Table = models.StudyUserAttributeModel.__table__
TRIALS: sa.Table = models.TrialModel.__table__
PARAMS: sa.Table = models.TrialParamModel.__table__
VALUES: sa.Table = models.TrialValueModel.__table__
REPORTS: sa.Table = models.TrialIntermediateValueModel.__table__
ATTRS: sa.Table = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRS: sa.Table = models.TrialSystemAttributeModel.__table__
BEATS: sa.Table = models.TrialHeartbeatModel.__table__
