"""A training that is made up: how good a classifier of film reviews gets, epoch by epoch."""

import math
import random


def accuracy(lr, dropout=0.4, lr_decay=2.6, pool="concat", shift=0.0, trial=None, seed=0):
    rng = random.Random(f"{seed} {lr} {dropout} {lr_decay} {pool} {shift}")
    if lr > 0.03 and rng.random() < 0.8:
        raise FloatingPointError("The loss is not finite.")
    off = math.log10(lr) + 2.5 + shift - 1.5 * (dropout - 0.4)
    end = 0.93 - 0.03 * off**2 - 0.15 * (dropout - 0.4) ** 2 - 0.02 * math.log(lr_decay / 2.6) ** 2
    end -= 0.015 * (pool == "mean")
    for epoch in range(1, 6):
        value = end - 0.25 * math.exp(-epoch / 1.1) + rng.gauss(0, 0.003)
        trial.report(value, epoch)
        if trial.should_prune():
            break
    return value


def accuracy_and_seconds(lr, width, depth, seed=0):
    rng = random.Random(f"{seed} {lr} {width} {depth}")
    good = 0.95 - 0.03 * (math.log10(lr) + 2.5) ** 2 - 0.3 / math.log(width * depth)
    return good + rng.gauss(0, 0.005), 1 + 0.004 * width * depth + rng.gauss(0, 0.1)
