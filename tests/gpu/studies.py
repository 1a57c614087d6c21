"""Trials an hour of whole studies on this GPU: tables and ratings beside fastai with Optuna and
beside the machine's processors, and the text classifiers.

Ours is `hpsearch run` as a user types it, without pruning, so that all trials have all their
epochs. fastai's is what one would write: processes side by side, each with its loaders made once
and learners in a plain Optuna loop on one SQLite study (tests/benchmarks/bench_study_speed.py),
measured for a trial each and scaled: the time to the first trial once, and that of a trial 64 / n
times.
"""

import datetime
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna
from bench_study_speed import STUDIES
from gpu.made_up import write_studies
from gpu.measure import (
    DEVICE,
    SIZES,
    TINY,
    each,
    keep,
    limited,
    new_model_folder,
    seconds_left,
)

TRIALS = 4 if TINY else 64
PROCESSES = 4
"""Of fastai's, on the one GPU."""
SECONDS = 6 if TINY else 45
"""How long text trials are begun for."""
N_FULL = 60 if TINY else 5000
"""The full-size classifier is trained on so many reviews, and its rate scaled to 25,000."""
COUNTED = 60 if TINY else 25_000


def run(study, folder, *options, env=None, limit=None):
    """(seconds of the command, the study's finished trials). Raises RuntimeError if it fails."""
    storage = f"sqlite:///{folder}/trials.db"
    command = [sys.executable, "-m", "hpsearch", "run", str(study), "--storage", storage]
    began = time.perf_counter()
    status, printed = limited(
        [*command, *options], seconds_left() if limit is None else limit, env,
        show="worker|GPU|device|trials to run|an hour",
    )  # fmt: skip
    seconds = time.perf_counter() - began
    if status is None:
        return None, []
    if status:
        raise RuntimeError(f"hpsearch run {study} failed: {printed[-2000:]}")
    trials = []
    for name in optuna.get_all_study_names(storage):
        trials += optuna.load_study(study_name=name, storage=storage).trials
    return seconds, [trial for trial in trials if trial.state.name == "COMPLETE"]


def study_of_64(kind, name):
    """On the GPU, fastai's, and on the processors (in tiny form these are all there is)."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if TINY:
            write_studies(folder)
            study = folder / f"{'table' if kind == 'tabular' else 'ratings'}.toml"
        else:
            study = folder / "study.toml"
            study.write_text(STUDIES[kind])
        ours = rate_on(DEVICE, study, name)
        if ours is not None and not TINY:
            begun, trial = fastai_trials(kind, folder)
            peer = 3600 * TRIALS / (begun + trial * TRIALS / PROCESSES)
            keep(
                f"{name}, beside fastai and Optuna", ours, "trials an hour", peer=peer,
                note=f"fastai's trial takes {trial:.1f} s, {PROCESSES} at a time",
            )  # fmt: skip
        theirs = ours if TINY else rate_on("cpu", study, name)
        if ours is not None and theirs is not None:
            keep(
                f"{name}, beside the processors", ours, "trials an hour", peer=theirs,
                note=f"{os.cpu_count()} of them",
            )  # fmt: skip


def rate_on(device, study, name):
    """Trials an hour of the whole study on a device; None where they took too long."""
    folder = study.parent / device
    folder.mkdir()
    took, trials = run(
        study, folder, "--preset", "quick", "--pruner", "none", "--trials", str(TRIALS),
        env={"HPSEARCH_DEVICE": device},
        limit=None if TINY else min(70, max(5, seconds_left())),
    )  # fmt: skip
    if took is None:
        keep(
            f"{name} on {device}", note=f"{TRIALS} trials took more than 70 s, or there was no time"
        )
        return None
    assert len(trials) == TRIALS, f"{len(trials)} of {TRIALS} trials are complete"
    keep(f"{name}, {TRIALS} trials on {device}", took, "s")
    return 3600 * TRIALS / took


def fastai_trials(kind, folder):
    """(seconds until the first trial begins, of a trial) of PROCESSES at once, a trial each."""
    database = folder / "fastai.db"
    # Processes that make one SQLite study at once are in each other's way.
    optuna.create_study(
        study_name=kind, storage=f"sqlite:///{database}",
        direction="minimize" if kind == "collab" else "maximize",
    )  # fmt: skip
    started = time.time()
    work = (
        "from gpu import stubs; stubs.install(); import bench_study_speed;"
        "bench_study_speed.fastai_process({!r}, {!r}, 1, {})"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", work.format(kind, str(database), i)], stdout=subprocess.PIPE
        )
        for i in range(PROCESSES)
    ]
    told = []
    for process in running:
        printed = process.communicate(timeout=min(600, max(5, seconds_left())))[0]
        told.append(json.loads(printed.splitlines()[-1]))
    begun = statistics.mean(one["began"] for one in told) - started
    return begun, statistics.mean(second for one in told for second in one["seconds"])


def rate_of(trials):
    """Trials an hour from the first one's start to the last one's end."""
    began = min(trial.datetime_start for trial in trials)
    ended = max(trial.datetime_complete for trial in trials)
    return 3600 * len(trials) / ((ended - began) / datetime.timedelta(seconds=1))


def texts_study(name, options, what, share=1.0, note=""):
    """Trials of imdb-clas begun for SECONDS, after one that prepares what all share."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        study = folder / "study.toml"
        study.write_text(name)
        most = ["--timeout", f"{min(SECONDS, max(5, int(seconds_left() - 20)))}s"]
        (folder / "first").mkdir()
        run(study, folder / "first", *options, "--trials", "1", "--pruner", "none")
        _, trials = run(
            study, folder, *options, "--trials", "10000", "--pruner", "none", *most
        )  # fmt: skip
        if not trials:
            raise RuntimeError(f"{what}: no trial was finished")
        keep(what, rate_of(trials) * share, "trials an hour",
             note=f"{len(trials)} trials were measured{note}")  # fmt: skip


def imdb_study():
    """The study's text; in tiny form of made-up texts and with no language model to train."""
    from hpsearch.study.defaults import builtin_folder

    return (builtin_folder() / "imdb-clas/study.toml").read_text("utf-8")


def cpu_preset():
    text = tiny(imdb_study())
    texts_study(text, ["--preset", "cpu"], "imdb-clas, preset cpu")


def full_classifier():
    from hpsearch.trainers.text.config import LanguageModelConfig

    emb, hidden, layers = SIZES
    place = Path(tempfile.mkdtemp(prefix="hpsearch-gpu-lm-"))
    config = LanguageModelConfig(emb=emb, hidden=hidden, layers=layers)
    try:
        model = new_model_folder(place / "model", config)
        text = tiny(imdb_study()).replace(
            "train_reviews = 0\nvalid_reviews = 5000", f"train_reviews = {N_FULL}\n"
            f"valid_reviews = {N_FULL // 5}"
        )  # fmt: skip
        assert f"train_reviews = {N_FULL}" in text
        texts_study(
            text, ["--preset", "full", "--language-model", str(model)],
            "full-size classifier, 25,000 reviews", share=N_FULL / COUNTED,
            note=f", of {N_FULL:,} reviews each: a {COUNTED / N_FULL:g}th" if not TINY else "",
        )  # fmt: skip
    finally:
        shutil.rmtree(place, ignore_errors=True)


def tiny(text):
    if not TINY:
        return text
    from tiny_corpus import write_reviews

    path = Path(tempfile.gettempdir()) / f"hpsearch-gpu-{os.getuid()}" / "tiny.csv"
    write_reviews(path, 120)
    cpu = "train_reviews = 3000\nvalid_reviews = 2500"
    assert cpu in text
    return text.replace('source = "imdb"', f'path = "{path}"').replace(
        cpu, "train_reviews = 60\nvalid_reviews = 30"
    )


if __name__ == "__main__":
    if sys.argv[1] == "tables":
        each(lambda: study_of_64("tabular", "adult"), lambda: study_of_64("collab", "movielens"))
    else:
        each(cpu_preset, full_classifier)
