"""A trainer for tests, a formula instead of a model; its text becomes hps_fake_trainer.py."""

import hashlib
import json
import math
import os
import random
import signal
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hpsearch.data import home
from hpsearch.data.cache.stages import cached_stage
from hpsearch.trainers.contract import DivergedError, EpochRecord, TrainResult

KEEPS_BEST = False
SPEED = None
ASSESS = train_side_by_side = lr_test = missing_pretrained = None


@dataclass
class Prepared:
    source: str
    fingerprint: str
    summary: str = "nothing was prepared"
    precision: str = "fp32"
    stages: tuple = ()
    facts: dict = field(default_factory=dict)
    metrics: tuple = ()

    def check(self, settings):
        pass


def note(settings, **entry):
    """One line a call: appends below 4 KiB are whole, also from several processes."""
    with Path(settings["journal"]).open("a") as file:
        file.write(json.dumps({"pid": os.getpid(), "at": time.time(), **entry}) + "\n")


def prepare(data, settings, setup):
    note(settings, what="prepare")
    if settings.get("cached"):
        cached_stage("fake", {}, lambda folder: build(settings, folder))
    setup.progress("preparing", 0, 1)
    setup.progress("preparing", 1, 1)
    text = json.dumps(data, sort_keys=True) + str(setup.data_path)
    return Prepared(
        f"source {setup.data_path or 'fake'}", hashlib.sha256(text.encode()).hexdigest()
    )


def build(settings, folder):
    note(settings, what="build")
    time.sleep(0.5)
    (folder / "shared.txt").write_text("shared")


def read_cache(settings):
    """As a classifier reads its language model in every trial."""
    if settings.get("cached"):
        places = [one for one in (home() / "stages").glob("fake-*") if one.is_dir()]
        (places[0] if places else home() / "gone").joinpath("shared.txt").read_text()


def score(params, seed, epoch, epochs):
    """Best at x = 0.3, lr = 0.01; the seed's noise has a spread of 0.01."""
    noise = int(hashlib.sha256(str(seed).encode()).hexdigest()[:8], 16) / 2**32 - 0.5
    value = 1 - (params["x"] - 0.3) ** 2 - 0.05 * abs(math.log10(params["lr"]) + 2)
    return (value + 0.02 * noise) * epoch / epochs


def own_noise(settings, params, seed):
    """What no other run shares, not even one of the same seed, of this standard deviation."""
    return random.Random(f"{seed} {params}").gauss(0, settings.get("noise", 0))


def train(settings, params, data, setup):
    seed, report, checkpoint = setup.seed, setup.report, setup.checkpoint
    epochs, name = settings["epochs"], settings.get("metric", "score")
    state = None if checkpoint is None else Path(checkpoint) / "state.json"
    records = json.loads(state.read_text()) if state and state.exists() else []
    start = len(records) + 1
    note(settings, what="train", seed=seed, params=params, start=start, device=setup.device)
    meet(settings)
    for record in records:  # one may have been killed after its checkpoint, before its report
        report(EpochRecord(**record))
    for epoch in range(len(records) + 1, epochs + 1):
        time.sleep(settings.get("sleep", 0))
        print("." * settings.get("chatter", 0), end="", flush=True)
        misbehave(settings, params, epoch)
        read_cache(settings)
        value = score(params, seed, epoch, epochs)
        metrics, lrs = {name: value}, (params["lr"],)
        record = EpochRecord("main", epoch, epochs, 1.0, 1 - value, metrics, lrs, 0.0)
        records.append(asdict(record))
        if state and not settings.get("no_checkpoint"):
            state.parent.mkdir(parents=True, exist_ok=True)
            filling = " " * settings.get("checkpoint_bytes", 0)
            state.with_suffix(".new").write_text(json.dumps(records) + filling)
            state.with_suffix(".new").replace(state)
        report(record)
    note(settings, what="end", seed=seed)
    final = score(params, seed, 1, 1) + own_noise(settings, params, seed)
    if settings.get("nan"):
        final = math.nan
    return TrainResult({name: final, "loss": 1 - final}, epochs, 0.5)


def meet(settings):
    """Stand until as many processes have begun a trial as the test wants beside each other."""
    wanted, deadline = settings.get("meet", 1), time.monotonic() + 60
    while len(training(Path(settings["journal"]))) < wanted:
        assert time.monotonic() < deadline, "no other worker began a trial"
        time.sleep(0.02)


def training(journal):
    """The processes that have begun a trial."""
    entries = map(json.loads, journal.read_text().splitlines())
    return {entry["pid"] for entry in entries if entry["what"] == "train"}


def misbehave(settings, params, epoch):
    bad = settings.get("bad")
    if bad is None or params["x"] < settings.get("bad_above", -2) or epoch < 2:
        return
    once = Path(settings["journal"] + ".once")
    if bad == "raise":
        raise ValueError(f"x is {params['x']}\nsecond line")
    if bad == "diverge":
        raise DivergedError(f"the loss became nan in epoch {epoch}")
    if bad == "memory" or (bad == "large batch" and params["bs"] > 16):
        raise MemoryError
    if bad == "memory once" and not once.exists():
        once.touch()
        raise MemoryError
    if bad == "greedy":
        hoard = bytearray(500_000_000)
        time.sleep(5)
        del hoard
    if bad == "slow":
        time.sleep(30)
    if bad == "kill" or (bad == "kill once" and not once.exists()):
        once.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if bad == "interrupt once" and not once.exists():
        once.touch()
        os.kill(os.getpid(), signal.SIGINT)
    if bad == "exit":
        print("last words of the trainer")
        os._exit(3)
