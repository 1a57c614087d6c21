"""scikit-surprise's SVD and SVD++ on the five folds of MovieLens 100K: its defaults, and tuned.

    python3 -m venv /tmp/peers-surprise
    /tmp/peers-surprise/bin/pip install "numpy<2" scikit-surprise
    /tmp/peers-surprise/bin/python tests/benchmarks/surprise_folds.py ../shared/data/ml-100k.zip

It runs without hpsearch. Tuned: the best of random settings (SVD 200, SVD++ 20, which takes a
hundred times as long) on a fifth of u1's training part, held out at random; then all folds.
"""

import argparse
import random
import statistics
import tempfile
import time
import zipfile

from surprise import SVD, Dataset, Reader, SVDpp, accuracy
from surprise.model_selection import PredefinedKFold, train_test_split

PEERS = {"SVD": (SVD, 200), "SVD++": (SVDpp, 20)}


def drawn(rng):
    """One random setting of a matrix factorisation."""
    return {
        "n_factors": round(10 ** rng.uniform(1, 2.3)),
        "n_epochs": rng.randint(10, 60),
        "lr_all": 10 ** rng.uniform(-2.7, -1.7),
        "reg_all": 10 ** rng.uniform(-2, -0.7),
    }


def mse(peer, settings, train, test):
    fitted = peer(random_state=0, **settings).fit(train)
    return accuracy.mse(fitted.test(test), verbose=False)


def tuned(peer, n, train_file):
    """The best of n settings on a fifth of the file's ratings."""
    data = Dataset.load_from_file(train_file, Reader("ml-100k"))
    train, held = train_test_split(data, test_size=0.2, random_state=0)
    rng = random.Random(0)
    tried = [drawn(rng) for _ in range(n)]
    return min(tried, key=lambda settings: mse(peer, settings, train, held))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("archive")
    parser.add_argument("--trials", type=int, nargs=2, default=[n for _, n in PEERS.values()])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(given.archive) as archive:
        archive.extractall(folder)
        files = [
            (f"{folder}/ml-100k/u{i}.base", f"{folder}/ml-100k/u{i}.test") for i in range(1, 6)
        ]
        folds = list(PredefinedKFold().split(Dataset.load_from_folds(files, Reader("ml-100k"))))
        for (name, (peer, _)), n in zip(PEERS.items(), given.trials, strict=True):
            started = time.time()
            for how, settings in (("defaults", {}), ("tuned", tuned(peer, n, files[0][0]))):
                found = [mse(peer, settings, train, test) for train, test in folds]
                mean = statistics.mean(found)
                print(
                    f"{name}, {how} {settings or ''}: {' '.join(f'{one:.4f}' for one in found)}; "
                    f"mean MSE {mean:.4f} (RMSE {mean**0.5:.4f}), {time.time() - started:.0f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
