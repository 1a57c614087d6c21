"""A configuration that somebody asks for, put into the queue of a study that has been run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpsearch.errors import InputError
from hpsearch.search.cohorts import ENQUEUED, trial_seed
from hpsearch.search.space import check_config, space_from_json
from hpsearch.store import Store, StudySummary, queue


def enqueue_trial(store: Store, study: StudySummary, config: Mapping[str, Any]) -> int:
    """Put a trial with the values of `config` into the study's queue; its number.

    The sampler draws what is left open. Raises InputError for a value that the study's space does
    not hold, and for a study that hpsearch did not make.
    """
    if "hps_space" not in study.attrs:
        raise InputError(
            f"The study {study.name} was not made by `hpsearch run`, which is what takes "
            "trials from the queue: use Optuna's enqueue_trial for it."
        )
    space = space_from_json(study.attrs["hps_space"])
    params = check_config("enqueue", config, space)
    seed = study.attrs["hps_seed"]
    (number,) = queue.enqueue(
        store.engine, study.study_id, None, space,
        lambda first: [queue.Planned(ENQUEUED, trial_seed(seed, first), params)],
    )  # fmt: skip
    return number
