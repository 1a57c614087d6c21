"""Where a training step's time goes: how long the GPU works of it, and at which kernels."""

import tempfile
from pathlib import Path

import torch
from gpu.measure import DEVICE, TINY, documents, each, keep, new_model_folder, synchronise, texts
from gpu.speed import BS, VOCABULARY, config_of
from torch.profiler import ProfilerActivity, profile

from hpsearch.trainers.contract import TrialSetup
from hpsearch.trainers.text.classifier.train import train_classifier
from hpsearch.trainers.text.config import ClassifierConfig
from hpsearch.trainers.text.language_model.files import new_language_model
from hpsearch.trainers.text.language_model.fit import train_language_model

TOP = 6
FIRST, LAST = (1, 3) if TINY else (60, 90)
"""The steps that are watched: behind what is compiled and captured at the beginning."""


class Watch:
    """A profiler that is on from the FIRST step of a training until its LAST one."""

    def __init__(self):
        kinds = [ProfilerActivity.CPU] if TINY else [ProfilerActivity.CUDA]
        self.profile, self.steps, self.on = profile(activities=kinds), 0, False

    def __call__(self, *_):
        self.steps += 1
        if self.steps == FIRST:
            synchronise()
            self.profile.start()
            self.on = True
        elif self.steps == LAST and self.on:
            synchronise()
            self.profile.stop()
            self.on = False

    def report(self, what):
        """Keep the share of the time in which the GPU works, a step's milliseconds, and the kernels
        that it works longest at."""
        if self.on or self.steps < LAST:
            raise RuntimeError(f"{what} took {self.steps} steps, fewer than {LAST}")
        wanted = torch.autograd.DeviceType.CPU if TINY else torch.autograd.DeviceType.CUDA
        events = [event for event in self.profile.events() if event.device_type == wanted]
        spans = sorted((event.time_range.start, event.time_range.end) for event in events)
        began, ended = spans[0][0], max(end for _, end in spans)
        busy = covered(spans)
        steps = LAST - FIRST
        keep(f"{what}, a step", (ended - began) / steps / 1e3, "ms")
        keep(f"{what}, the GPU works of it", busy / steps / 1e3, "ms")
        keep(f"{what}, share in which the GPU works", busy / (ended - began))
        own = {}
        for event in events:
            own[event.name] = own.get(event.name, 0) + event.time_range.elapsed_us()
        whole = sum(own.values())
        for name, spent in sorted(own.items(), key=lambda pair: -pair[1])[:TOP]:
            short = name.replace("|", "/")[:70]
            keep(f"{what}: `{short}`", spent / steps / 1e3, "ms", note=f"{spent / whole:.0%}")


def covered(spans):
    """How much of the line the sorted (start, end) cover together."""
    total, reached = 0, float("-inf")
    for start, end in spans:
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


def language_model(bs):
    """Of one epoch of our language model."""
    watch, config = Watch(), config_of(bs, epochs=1)
    docs = documents(n_tokens=bs * 70 * (LAST + 20))
    train_language_model(
        config, new_language_model(config, VOCABULARY), docs, documents(n_documents=1),
        TrialSetup(seed=0, device=DEVICE, report=lambda _: None, progress=watch)
    )  # fmt: skip
    watch.report(f"language model, bs {bs}")


def classifier():
    """Of one epoch of a classifier of which everything is thawed."""
    watch, config = Watch(), ClassifierConfig(bs=BS, epochs=1, lr=1e-3, unfreeze=False)
    data = texts(BS * (LAST + 20))
    with tempfile.TemporaryDirectory() as name:
        folder = new_model_folder(Path(name) / "model", config_of(48))
        train_classifier(
            config,
            data,
            [folder],
            TrialSetup(seed=0, device=DEVICE, report=lambda _: None, progress=watch),
        )
    watch.report("classifier, bs 48, all")


if __name__ == "__main__":
    if TINY:
        each(lambda: language_model(BS), classifier)
    else:
        each(lambda: language_model(48), lambda: language_model(256), classifier)
