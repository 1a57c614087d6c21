"""The questionnaire on MovieLens 100K: a few ratings of people whom training never saw.

    HPSEARCH_DATA=/folder/of/ml-100k.zip OMP_NUM_THREADS=1 python tests/benchmarks/bench_new_user.py

Both models are trained without 200 of the 943 people (five seeds, other people each). From 1 to 20
random ratings of each, their vector is solved for (recommender/new_user.py), and predicts their
other ratings. Beside it: the prediction for the average user, the item's mean, and this shifted by
the user's mean difference from it (both shrunk by 5 ratings). Exits with 1 unless ten ratings beat
all three for both models.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import new_people
from movielens import movielens

SEEDS, PEOPLE, RATINGS = range(5), 200, (1, 3, 5, 10, 15)


def main():
    dataset = movielens()
    failed = False
    for model in ("dot-bias", "neural-net"):
        tables = {n: [] for n in RATINGS}
        for seed in SEEDS:
            saved, rest = new_people.train_without(dataset, PEOPLE, seed=seed, model=model)
            for n in RATINGS:
                tables[n].append(new_people.errors(saved, rest, n))
        for n, found in tables.items():
            mse = {name: np.mean([one[name] for one in found]) for name in found[0]}
            print(model, n, {name: round(float(value), 4) for name, value in mse.items()})
            failed |= n == 10 and min(mse, key=mse.get) != "solved for"
    sys.exit(failed)


if __name__ == "__main__":
    main()
