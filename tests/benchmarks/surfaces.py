"""Six parameters of which two or three matter, on surfaces with a known truth.

x0 (with x1, for the ridge) has the shape, x2 a straight line, x3 to x5 nothing.
"""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

D = 6
SPACE = {f"x{j}": FloatDistribution(0.0, 1.0) for j in range(D)}
DEFAULTS = {"x0": 0.9, "x2": 0.2}
SLOPE = 0.7  # of x2, in standard deviations of the shape
GRID = (np.arange(400) + 0.5) / 400


def bump(u, centre, width):
    return np.exp(-0.5 * ((u - centre) / width) ** 2)


SHAPES = {
    "peak": (lambda u, v: bump(u, 0.4, 0.2) + 0 * v, (0.4, 0.4)),
    "skewed": (lambda u, v: u**1.5 * np.exp(-5 * u) + 0 * v, (0.3, 0.3)),
    "plateau": (lambda u, v: -np.maximum(u - 0.5, 0.0) + 0 * v, (0.0, 0.5)),
    "edge": (lambda u, v: u + 0 * v, (1.0, 1.0)),
    "ridge": (lambda u, v: -((u - v) ** 2), (0.5, 0.5)),
    "two peaks": (lambda u, v: np.maximum(bump(u, 0.25, 0.1), 0.8 * bump(u, 0.75, 0.1)) + 0 * v,
                  (0.25, 0.25)),
    "nothing": (lambda u, v: 0 * u * v, (0.0, 1.0)),
}  # fmt: skip


def truth(shape):
    """Scale of the shape; marginals (400,) of x0 and x2 on that scale; their true shares."""
    surface = SHAPES[shape][0](GRID[:, None], GRID[None, :])
    scale = surface.std() or 1.0
    slope = 0.0 if shape == "nothing" else SLOPE * np.sqrt(12)
    marginals = {"x0": surface.mean(axis=1) / scale, "x2": slope * (GRID - 0.5)}
    total = (surface / scale).var() + marginals["x2"].var() or 1.0
    return scale, marginals, {name: m.var() / total for name, m in marginals.items()}


def simulate(shape, n, noise, sampler_name, seed):
    rng = np.random.default_rng(seed)
    scale, marginals, _ = truth(shape)
    function, slope = SHAPES[shape][0], marginals["x2"][-1] / (GRID[-1] - 0.5)
    spread = noise * np.sqrt(1 + SLOPE**2)

    def objective(x):
        signal = function(x[0], x[1]) / scale + slope * (x[2] - 0.5)
        return float(signal + spread * rng.normal())

    samplers = {
        "qmc": partial(optuna.samplers.QMCSampler, scramble=True),  # as our own searches do
        "tpe": optuna.samplers.TPESampler,
    }
    if sampler_name == "random":
        study = optuna.create_study(direction="maximize")
        for x in rng.random((n, D)):  # the same as RandomSampler, without its overhead
            params = {f"x{j}": float(x[j]) for j in range(D)}
            study.add_trial(create_trial(params=params, distributions=SPACE, value=objective(x)))
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sampler = samplers[sampler_name](seed=seed)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.optimize(lambda t: objective([t.suggest_float(f"x{j}", 0, 1) for j in range(D)]), n)
    study.set_user_attr("hps_defaults", DEFAULTS)
    return study
