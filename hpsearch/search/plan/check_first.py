"""What can be known of all trials before the first: said then, not by each trial as it fails."""

from __future__ import annotations

from optuna.distributions import CategoricalDistribution

from hpsearch.core.words import nearest
from hpsearch.errors import InputError
from hpsearch.study.spec import ResolvedPreset, StudySpec
from hpsearch.trainers.contract import Prepared

OF_ANY_TRIAL = ("seconds", "seconds_per_epoch")
"""What is measured of every trial, whatever its trainer."""


def check_first(spec: StudySpec, preset: ResolvedPreset, prepared: Prepared) -> None:
    """Raises InputError where the trainer does not measure the study's metric, or where trials with
    a choice of the space cannot be trained on this data."""
    measured = (*prepared.metrics, *OF_ANY_TRIAL)
    if prepared.metrics and spec.metric not in measured:
        raise InputError(
            f"metric: {spec.metric!r} is nothing that the trials of {spec.name} measure"
            f"{nearest(spec.metric, measured)}: use {', '.join(prepared.metrics)}."
        )
    settings = {**preset.settings, **preset.defaults}
    prepared.check(settings)
    for name, drawn_from in preset.distributions.items():
        if isinstance(drawn_from, CategoricalDistribution):
            for choice in drawn_from.choices:
                prepared.check({**settings, name: choice})
