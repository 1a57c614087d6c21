"""Trials of every kind, for tests of who reads them."""

import math

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial


def motley_trials(n=200, *, moved=False):
    """Changed ranges and choices, branches, replicates, every state, reports, infinite values."""
    rng = np.random.default_rng(3)
    wide, narrow = FloatDistribution(1e-5, 1.0, log=True), FloatDistribution(1e-4, 0.1, log=True)
    kinds = [CategoricalDistribution(["b", "a"]), CategoricalDistribution(["a", "b", None, 3])]
    steps = IntDistribution(1, 9)
    trials = []
    for number in range(n):
        lr = narrow if number % 3 else wide
        kind = kinds[number > n // 2 and moved]
        params = {"lr": float(np.exp(rng.uniform(-9, -3))), "kind": kind.choices[number % 2]}
        space = {"lr": lr, "kind": kind}
        if params["kind"] == "a":
            params["n"], space["n"] = int(rng.integers(1, 10)), steps
        attrs = {"hps_cohort": "design", "hps_seed": number, "other": [1]}
        if number % 20 == 19:
            params, space = trials[number - 5].params, trials[number - 5].distributions
            attrs["hps_replicate_of"] = number - 5
        state = TrialState.COMPLETE
        if number % 7 == 6:
            state = (TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING)[number % 3]
        value = -((math.log(params["lr"]) + 5) ** 2) + rng.normal()
        reports = {1: value - 1, 2: math.nan if number == 6 else value}
        trials.append(
            create_trial(
                state=state, params=params, distributions=space, user_attrs=attrs,
                value=value if state == TrialState.COMPLETE else None,
                intermediate_values=reports if number % 4 else {},
            )
        )  # fmt: skip
    trials[11] = create_trial(
        value=math.inf, params=trials[11].params, distributions=trials[11].distributions
    )
    return trials
