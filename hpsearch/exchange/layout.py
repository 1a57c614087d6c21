"""Which column of somebody's table holds what: parameters, results, states, or nothing to learn.

Known are Optuna's `trials_dataframe()`, the tables of Weights & Biases (`config.lr`, or plain names
beside `State`, `Runtime` ...), Ray Tune's `get_dataframe()` (`config/lr`, `time_total_s` ...),
MLflow (`params.lr`, `metrics.acc`) and scikit-learn's `cv_results_` (`param_C`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hpsearch.data.words import quoted
from hpsearch.errors import InputError
from hpsearch.exchange.cells import NOTHING
from hpsearch.exchange.reading import Columns
from hpsearch.wording import nearest

PARAMS = ("config/", "config.", "params_", "params.", "params/", "param_", "hparams/", "hparams.")
RESULTS = (
    "value_", "values_", "summary.", "summary/", "metrics.", "metrics/", "summary_metrics.",
)  # fmt: skip
STATES = ("state", "status", "trial_status", "run_state")
STEPS = ("training_iteration", "_step", "step", "epoch", "epochs")
SECONDS = ("duration", "time_total_s", "runtime", "_runtime", "seconds")

_RUN = """
name id run run_id run_name trial trial_id trial_number number experiment experiment_id
experiment_tag notes user tags group sweep created updated created_at end_time start_time
start_timestamp timestamp date hostname host node_ip pid logdir log_dir checkpoint_dir_name done
datetime_start datetime_complete time_this_iter_s time_since_restore iterations_since_restore
timesteps_total timesteps_since_restore episodes_total version worker worker_id gpu job_type
artifact_uri lifecycle_stage mean_fit_time std_fit_time mean_score_time std_score_time
"""
BOOKKEEPING = frozenset(_RUN.split())
"""Columns, by lower-case name, that say which run it was and not how it was set."""
RESULT = re.compile(
    r"(^|[_./ ])(loss|acc|accuracy|auc|f1|rmse|mse|mae|perplexity|reward|score|error)\d*$"
    r"|^(train|training|val|valid|validation|test|eval)[_./]|^(split\d+|mean|std|rank)_test_",
    re.IGNORECASE,
)
"""Names of numbers that come out of a run."""


@dataclass(frozen=True)
class Layout:
    """The part of each column. `params` and `attrs` map a name to its column."""

    metrics: tuple[str, ...]
    params: dict[str, str]
    attrs: dict[str, str]
    state: str | None
    step: str | None
    seconds: str | None
    left_out: tuple[str, ...]
    """Columns that might have been taken for parameters, kept as attributes."""


def find_layout(
    columns: Columns, where: str, metrics: Sequence[str], chosen: Sequence[str], ignored: set[str]
) -> Layout:
    """The parts of the columns of a table from elsewhere.

    `metrics` are as typed, `chosen` the names or columns of the only parameters (all that seem to
    be some, if empty). Raises InputError where a column is missing or no parameter is left.
    """
    results = tuple(find_metric(columns, where, name) for name in metrics)
    lower = {name.lower(): name for name in reversed(columns)}
    state, step, seconds = (
        next((lower[name] for name in names if name in lower), None)
        for names in (STATES, STEPS, SECONDS)
    )
    taken = {*results, *filter(None, (state, step, seconds))}
    prefix = next((p for p in PARAMS if any(name.startswith(p) for name in columns)), "")
    if chosen:
        params = dict(_chosen(columns, where, prefix, name) for name in chosen)
    else:
        params = {
            name.removeprefix(prefix): name
            for name in columns
            if name.startswith(prefix) and name not in taken
        }
    for name in ignored:
        params.pop(_chosen(columns, where, prefix, name)[0], None)
    left_out = []
    if not chosen:
        left_out = [n for n, c in params.items() if _is_no_param(n, columns[c], bool(prefix))]
    for name in left_out:
        del params[name]
    if not params:
        raise InputError(
            f"{where} has no column that looks like a parameter: name them with --param "
            f"(its columns are {quoted(columns)})."
        )
    attrs = {name: name for name in columns if name not in taken | set(params.values())}
    return Layout(results, params, attrs, state, step, seconds, tuple(left_out))


def find_metric(columns: Columns, where: str, name: str) -> str:
    """The column of the metric `name`: of that name, or with what the tools put before it."""
    if not name:
        raise InputError(
            f"Which column of {where} is the result? Name it with --metric "
            f"(its columns are {quoted(columns)})."
        )
    for column in (name, *(prefix + name for prefix in RESULTS)):
        if column in columns:
            return column
    raise InputError(
        f"{where} has no column {name!r}{nearest(name, columns)}: give --metric one of its "
        f"columns, {quoted(columns)}."
    )


def _chosen(columns: Columns, where: str, prefix: str, name: str) -> tuple[str, str]:
    """(parameter, its column) for a name as typed, with or without the table's prefix."""
    for column in (prefix + name, name):
        if column in columns:
            return column.removeprefix(prefix), column
    raise InputError(f"{where} has no column {name!r}{nearest(name, columns)}.")


def _is_no_param(name: str, cells: Sequence[Any], prefixed: bool) -> bool:
    """Whether a column is about a run, or what came out of it, and not how it was set."""
    if name.lower() in ("seed", "random_seed", "random_state") or name.startswith(("_", "hps_")):
        return True
    known = [cell for cell in cells if cell is not NOTHING and cell is not None]
    if not known:
        return True
    words = [cell for cell in known if isinstance(cell, str)]
    if len(words) > len(known) / 2 and len(set(words)) > max(len(known) / 2, 20):
        return True  # another text in every row: a name
    if prefixed:
        return False
    if any(hasattr(cell, "isoformat") for cell in known) or name.lower() in BOOKKEEPING:
        return True
    return not words and RESULT.search(name) is not None
