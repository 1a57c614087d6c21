"""The pictures of the statistics page, from studies whose truth is known: `make pictures`."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import optuna

import hpsearch
from hpsearch.core.words import format_value, log_ticks

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

FOLDER = Path(__file__).parent / "pictures"
# Seen on white and on black.
BLUE, GREY, ORANGE, TEXT = "#3d84c6", "#8a9099", "#e0722e", "#767f8b"
NOISE = 0.01


def accuracy(lr: float, drop: float) -> float:
    """Best at lr = 0.01 where drop is 0.2; too much dropout hides what the learning rate does."""
    peak = math.exp(-((math.log10(lr) + 2) ** 2) / 0.8)
    return 0.6 + 0.3 * peak * max(0.0, 1 - 4 * abs(drop - 0.2))


def made_study(trials: int, value: Callable[[float, float], float], seed: int) -> optuna.Study:
    """A study of random settings, each measured with noise."""
    rng = random.Random(seed)
    study = optuna.create_study(direction="maximize", study_name="known")
    space = {
        "lr": optuna.distributions.FloatDistribution(1e-4, 1.0, log=True),
        "drop": optuna.distributions.FloatDistribution(0.0, 0.6),
    }
    for _ in range(trials):
        params = {"lr": 10 ** rng.uniform(-4, 0), "drop": rng.uniform(0, 0.6)}
        result = value(**params) + rng.gauss(0, NOISE)
        study.add_trial(optuna.trial.create_trial(params=params, distributions=space, value=result))
    return study


def draw_curve(axes: Axes) -> None:
    """Trials, the curve where the other parameter is set well, the mean, and the truth."""
    study = made_study(150, accuracy, seed=0)
    found = hpsearch.explain(study)
    effect = next(one for one in found.effects if one.param == "lr")
    tried = [(t.params["lr"], t.value) for t in study.trials]
    axes.scatter(*zip(*tried, strict=True), s=8, color=GREY, label="a trial")
    axes.fill_between(effect.values, effect.low, effect.high, color=BLUE, alpha=0.2)
    axes.plot(effect.values, effect.mean, color=BLUE, label="dropout set well, with its band")
    axes.plot(effect.values, effect.whole, "--", color=BLUE, label="mean over all dropouts")
    values = np.array(effect.values, dtype=float)
    drops = np.linspace(0, 0.6, 121)
    best_quarter = [np.sort([accuracy(lr, d) for d in drops])[-30:].mean() for lr in values]
    axes.plot(values, best_quarter, ":", color=ORANGE, label="the truth, dropout set well")
    axes.set(xscale="log", xlabel="learning rate", ylabel="accuracy", ylim=(0.55, 1.1))
    ticks = log_ticks(1e-4, 1.0)
    axes.set_xticks(ticks, [format_value(tick) for tick in ticks])
    axes.set_yticks([0.6, 0.7, 0.8, 0.9])


def draw_null(axes: Axes) -> None:
    """How well the forest predicts, where there is something to find and where there is not."""
    studies = {
        "the learning rate matters": accuracy,
        "nothing matters": lambda lr, drop: 0.7,
    }
    for row, (_label, value) in enumerate(studies.items()):
        quality = hpsearch.explain(made_study(60, value, seed=1)).quality
        axes.barh(row, quality.r2, color=BLUE if quality.r2 > quality.null else GREY, height=0.5)
        axes.plot([quality.null] * 2, [row - 0.35, row + 0.35], color=ORANGE, linewidth=2)
        axes.text(quality.null, row + 0.38, "chance", color=ORANGE, ha="center", va="bottom")
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set(yticks=range(len(studies)), yticklabels=list(studies), ylim=(-0.6, 1.8))
    axes.set(xlabel="R2 on trials that the forest has not seen")


def draw_curse(axes: Axes) -> None:
    """The best of many equal settings looks better than it is; a new run of it does not."""
    rng = np.random.default_rng(0)
    counts = [1, 3, 10, 30, 100, 300]
    best = [0.7 + NOISE * rng.normal(size=(2000, n)).max(axis=1).mean() for n in counts]
    axes.plot(counts, best, "o-", color=BLUE, label="the best of so many trials")
    axes.plot(counts, [0.7] * len(counts), "--", color=ORANGE, label="the same settings, run again")
    axes.set(xscale="log", xlabel="trials", ylabel="accuracy", xticks=counts, xticklabels=counts)
    axes.set_ylim(0.695, 0.735)


def main() -> None:
    """Write docs/pictures/*.svg anew."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    FOLDER.mkdir(exist_ok=True)
    plt.rcParams.update({"svg.hashsalt": "hpsearch", "svg.fonttype": "path", "font.size": 11})
    plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
    words = ("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor")
    plt.rcParams.update(dict.fromkeys(words, TEXT))
    for name, draw in (("curve", draw_curve), ("null", draw_null), ("curse", draw_curse)):
        figure, axes = plt.subplots(figsize=(5.4, 3.6), layout="constrained")
        draw(axes)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=10, loc="upper left")
            axes.xaxis.minorticks_off()
        figure.savefig(FOLDER / f"{name}.svg", metadata={"Date": None}, transparent=True)
        plt.close(figure)


if __name__ == "__main__":
    main()
