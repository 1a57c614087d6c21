"""`full` from nothing: what the recipes of a language model without WikiText-103 come to.

Each recipe is `hpsearch train imdb-clas --preset full` with settings of its own, the most promising
first, both directions after the forward one of the first recipe; as many as there is time for.
Stages that were trained before (on a machine that is still warm) are taken from the cache, and one
that was cut off goes on after its last epoch. RECIPES=2,3 chooses.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from gpu.measure import DEVICE, TINY, each, keep, limited, seconds_left

from hpsearch.data import home

RECIPES = {
    "1": ("the study's own", ()),
    "2": (
        "dropouts and decay of fast.ai's own WikiText training",
        ("language_model.drop_mult=0.1", "language_model.wd=0.1"),
    ),
    "3": (
        "longer, with more dropout",
        ("language_model.epochs=14", "language_model.drop_mult=0.5"),
    ),
    "4": (
        "the classifier of fast.ai's 95.4% notebook on the first language model",
        ("bs=128", "lr=0.05", "wd=0.1"),
    ),
}
"""What is changed of the preset: 2 and 3 other language models, 4 another classifier."""
SMALL = (
    "language_model.emb=16", "language_model.hidden=24", "language_model.max_vocab=300",
    "language_model.n_reviews=60", "language_model.epochs=1", "language_model.bs=4",
    "train_reviews=40", "max_len=80", "bs=16",
)  # fmt: skip


def train(sets, seconds):
    """The finished model's facts: its metrics, what it took. None where there was not the time."""
    with tempfile.TemporaryDirectory() as name:
        output = Path(name) / "model"
        command = [sys.executable, "-m", "hpsearch", "train", study(), "--preset", "full"]
        command += ["--output", str(output)]
        command += [word for one in (*SMALL * TINY, *sets) for word in ("--set", one)]
        status, _ = limited(command, seconds)
        facts = output / "training.json"
        found = json.loads(facts.read_text("utf-8")) if facts.is_file() else {}
    if status:
        raise RuntimeError(f"hpsearch train ended with status {status}")
    return found if "metrics" in found else None


def study():
    """imdb-clas; in its tiny form of made-up texts, since the test has no time for IMDb."""
    if not TINY:
        return "imdb-clas"
    from tiny_corpus import write_reviews

    from hpsearch.study.defaults import builtin_folder

    folder = Path(tempfile.gettempdir()) / f"hpsearch-gpu-tiny-{os.getpid()}"
    if not folder.is_dir():
        folder.mkdir()
        write_reviews(folder / "reviews.csv", 120, 40)
        text = (builtin_folder() / "imdb-clas/study.toml").read_text("utf-8")
        assert 'source = "imdb"' in text
        (folder / "study.toml").write_text(
            text.replace('source = "imdb"', 'path = "reviews.csv"\nsplit = "split"'), "utf-8"
        )
    return str(folder / "study.toml")


def recipe(number, *, both):
    """Train with a recipe in one or both directions, and keep how good it is."""
    name, sets = RECIPES[number]
    left = seconds_left() - 10
    if left < (5 if TINY else 60):
        print(f"recipe {number} ({name}) is not begun: {left:.0f} s are left", flush=True)
        return
    what = "both directions" if both else "forward"
    began = time.monotonic()
    facts = train([*sets, *(["bidirectional=true"] if both else [])], left)
    took = time.monotonic() - began
    if facts is None:
        print(f"recipe {number} ({name}), {what}: not finished within {left:.0f} s", flush=True)
        return
    metrics = facts["metrics"]
    accuracy = metrics.get("test_accuracy", metrics["accuracy"])
    assert facts["device"].startswith(DEVICE), facts["device"]
    label = f"accuracy, {what}" + ("" if number == "1" else f", recipe {number}")
    keep(label, accuracy, note=f"{name}: {describe(facts['settings'])}; {took:.0f} s")
    SECONDS[what] = took
    if number == "1" and both and "forward" in SECONDS and FRESH:
        # The second training takes texts and forward language model from the first.
        keep("seconds in all, both directions", sum(SECONDS.values()), "s",
             note="the forward classifier counts twice")  # fmt: skip


SECONDS = {}
FRESH = not (home() / "stages").is_dir()
"""Whether nothing is prepared yet, so that the seconds are those of the whole."""


def describe(settings):
    model = settings["language_model"]
    keys = ("epochs", "lr", "bs", "drop_mult", "wd")
    return "language model " + ", ".join(f"{key} {model[key]:g}" for key in keys)


def main():
    wanted = os.environ.get("RECIPES", "1,2,4,3").split(",")
    pieces = []
    for number in wanted:
        pieces.append(lambda number=number: recipe(number.strip(), both=False))
        if number.strip() == "1":
            pieces.append(lambda: recipe("1", both=True))
    try:
        each(*pieces)
    finally:
        shutil.rmtree(Path(tempfile.gettempdir()) / f"hpsearch-gpu-tiny-{os.getpid()}", True)


if __name__ == "__main__":
    main()
