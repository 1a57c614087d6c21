"""Somebody tuned the same thing on four data sets and asks what to use on a fifth."""

import math
import random


def test_studies_are_pooled(me):
    rng = random.Random(0)
    for number in range(4):
        best = math.exp(rng.gauss(math.log(0.02), 0.2))
        rows = []
        for _ in range(40):
            lr, drop = 10 ** rng.uniform(-4, 0), rng.random()
            rows.append((lr, drop, (math.log10(lr / best)) ** 2 + rng.gauss(0, 0.1)))
        me.table(f"runs{number}.csv", ["lr", "dropout", "loss"], rows)
        me.types("import", f"runs{number}.csv", "--study", f"set{number}", "--metric", "loss", "--log", "lr")  # fmt: skip  # noqa: E501
    names = [f"set{number}" for number in range(4)]
    said = me.types("explain", *names, "--pool")
    assert "lr" in said
    assert "4 studies" in said
