"""The names of all attributes that hpsearch gives to Optuna's studies and trials.

They stand in users' databases: docs/database.md says what each holds, and a name never changes.
No other module spells one.
"""

from __future__ import annotations

PREFIX = "hps_"
"""All begin with it, as our tables do; attributes without it are the user's."""

# Of a study
UID = "hps_uid"
"""What no other study has, also not one of the same name and number in another store."""
STUDY = "hps_study"
"""The name in its study.toml."""
FILE = "hps_file"
"""The path of its study.toml where that is the user's own, else null; of a function alone its
folder with module:function behind it."""
CODE = "hps_code"
"""A digest of the user's own code that trains; null for the trainers of hpsearch."""
PRESET = "hps_preset"
METRIC = "hps_metric"
ALSO = "hps_also"
"""Its further objectives."""
SPACE = "hps_space"
WHEN = "hps_when"
"""Of conditional parameters the values of others under which trials have them."""
DEFAULTS = "hps_defaults"
SETTINGS = "hps_settings"
DATA = "hps_data"
"""What its study.toml declares of the data, their source and their fingerprint."""
LANGUAGE_MODEL = "hps_language_model"
"""The language model that a run was given for it."""
FROM_SCRATCH = "hps_from_scratch"
"""Whether its language model starts from nothing."""
SHARED = "hps_shared"
"""Of what its trials share: the cached stages, such as its language model, by names that are
digests of all that made them, the trainer, and numbers: how many rows are trained on, or that
model's perplexity."""
BASELINE = "hps_baseline"
"""What a simple model makes of its data: its name and its metrics."""
WHOSE = "hps_whose"
"""Of a study in memory: which of its trials are the user's and which are recorded ones."""
VERIFIES = "hps_verifies"
"""Of a study of pairs: the name of the study whose rule they verify."""

# Of a study and of each of its trials
SEED = "hps_seed"

# Of a trial
COHORT = "hps_cohort"
"""Why it was planned: baseline, design, exploit ..."""
REPLICATE_OF = "hps_replicate_of"
"""The number of the trial that it repeats with another seed."""
IN_PLACE_OF = "hps_in_place_of"
"""Of a copy: the number of the trial that another program took from the queue."""
BATCH_SIZE = "hps_bs"
"""The batch size it was trained with, where its own did not fit into the memory."""
METRICS = "hps_metrics"
FAILURE = "hps_failure"
"""Why it failed."""
INFEASIBLE = "hps_infeasible"
"""Which of its run's limits it is over."""

# Of a trial, among Optuna's system attributes
CMAES = "hps_cmaes"
"""The generation it was drawn in, and the mean at which the first began."""

# Columns of an exported table (hpsearch.exchange.export_trials), no attributes
STUDY_COLUMN = "hps_study"
REPORTS_COLUMN = "hps_reports"
DISTRIBUTIONS_COLUMN = "hps_distributions"

REQUIRED = {
    UID: str, STUDY: str, PRESET: str, METRIC: str, SPACE: dict, DEFAULTS: dict, SETTINGS: dict,
    DATA: dict, SEED: int,
}  # fmt: skip
"""The attributes that every study of ours has, with their types."""
OF_PLAN = {SEED: int, REPLICATE_OF: int, COHORT: str}
"""The attributes of a trial that plans and analyses stand on, with their types."""
