"""The work of a classifier's trial in pieces, for `hpsearch.trainers.shared.speed`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.shared.device import keep_freed_memory
from hpsearch.trainers.shared.speed import Part, Work
from hpsearch.trainers.shared.stages import Stage
from hpsearch.trainers.step.param_groups import discriminative_lrs
from hpsearch.trainers.step.schedule import OneCycle
from hpsearch.trainers.text.batches import DocumentBatches, training_order
from hpsearch.trainers.text.classifier.fit import ClassifierFit, plan_stages
from hpsearch.trainers.text.classifier.saved import predict_batches
from hpsearch.trainers.text.config import ClassifierConfig
from hpsearch.trainers.text.language_model.prepared_texts import PreparedTexts
from hpsearch.trainers.text.numbered_texts import Texts
from hpsearch.trainers.text.split_texts import Rows

UNIT = "reviews"
LOWEST_LR = 1e-9
SAMPLED = 64
"""So many held-out texts are read at a time ..."""
SAMPLED_ON_GPU = 2048
"""... and here, where a batch is larger."""
QUANTILES = (0.5, 0.25, 0.75, 0.1, 0.9)
"""Of the batches by their length, those that are trained on, the first of them first."""


def work(settings: Mapping[str, Any], params: Mapping[str, Any], data: PreparedTexts) -> Work:
    """Reviews, each as often as it is trained on, by each direction."""
    config = parse_config(ClassifierConfig, settings, params)
    epochs = count_epochs(config)
    reviews = epochs * len(data.texts.parts["train"]) * len(config.directions)
    return Work(UNIT, float(reviews), epochs)


def count_epochs(config: ClassifierConfig) -> int:
    """Of a classifier of at least two layers."""
    return sum(stage.epochs for stage in plan_stages(config, 4))


def parts(
    settings: Mapping[str, Any], params: Mapping[str, Any], data: PreparedTexts, *, device: str
) -> list[Part]:
    """Steps with everything thawed, steps with the head alone, and held-out texts."""
    keep_freed_memory()
    config = parse_config(ClassifierConfig, settings, params)
    return classifier_parts(config, data.texts, data.language_models[0].folder, device)


def classifier_parts(
    config: ClassifierConfig, texts: Texts, language_model: Path, device: str
) -> list[Part]:
    """The work of training a classifier on the language model.

    Of two directions one is timed, and counts for both. The time of a step is taken as proportional
    to the tokens of its batch, and between the times of one and of all thawed layer groups it is
    interpolated.
    """
    fit = ClassifierFit(config, texts, language_model, seed=0, device=device)
    stages = plan_stages(config, fit.n_groups)
    directions = len(config.directions)
    tokens = float(fit.train.lengths.sum()) * directions
    share = {one.name: _thawed(one, fit.n_groups) for one in stages}
    whole = sum(one.epochs * share[one.name] for one in stages)
    frozen = sum(one.epochs * (1 - share[one.name]) for one in stages)
    # On a GPU the step for each length is recorded as a graph after two calls, and replayed then.
    warm_up = 1 + 3 * len(QUANTILES) if device.startswith("cuda") else 1
    found = [Part(_Steps(fit, 0, stages[-1].epochs), whole * tokens, warm_up=warm_up)]
    if frozen:
        found.append(Part(_Steps(fit, -1, stages[0].epochs), frozen * tokens, warm_up=warm_up))
    held_out = texts.parts["valid"].reversed() if fit.backward else texts.parts["valid"]
    middle = np.argsort(held_out.lengths, kind="stable")
    size = SAMPLED_ON_GPU if device.startswith("cuda") else SAMPLED
    place = max(0, (len(middle) - size) // 2)
    sample = DocumentBatches(held_out.take(middle[place : place + size]), device)

    def measured(n: int) -> float:
        for _ in range(n):
            predict_batches(fit.model, sample, fit.dtype)
        return float(n * sample.lengths.sum())

    epochs = sum(one.epochs for one in stages)
    if len(sample.lengths):
        total = float(epochs * held_out.lengths.sum() * directions)
        found.append(Part(measured, total, trains=False))
    return found


def _thawed(stage: Stage, n_groups: int) -> float:
    """0 where the stage thaws the head alone, 1 where it thaws everything."""
    return 1 - stage.freeze_to / (n_groups - 1)


class _Steps:
    """Training steps on batches of middling length with groups before `freeze_to` frozen. On a GPU
    the very first is the longest batch there is: it needs the most memory."""

    def __init__(self, fit: ClassifierFit, freeze_to: int, epochs: int) -> None:
        self.fit, config = fit, fit.config
        lrs = discriminative_lrs(LOWEST_LR, config.lr_decay, fit.n_groups)
        self.stage = Stage("measured", freeze_to, lrs, epochs)
        self.flat = OneCycle.flat(config.moms)
        order = training_order(fit.train.lengths, config.bs, np.random.default_rng(0))
        typical = _typical_batches(fit, order)
        self.given = cycle(list(zip(typical, fit.train.rows(typical), strict=True)))
        longest = zip(order[:1], fit.train.rows(order[:1]), strict=True)
        self.longest = next(longest) if fit.device.startswith("cuda") else None
        self.begun = False

    def __call__(self, n: int) -> float:
        if not self.begun:  # the part before it has ended
            self.fit.start_stage(self.stage)
            self.begun = True
        self.fit.model.train()
        tokens = 0
        for _ in range(n):
            longest, self.longest = self.longest, None
            which, rows = next(self.given) if longest is None else longest
            self.fit.step(which, rows, self.flat, 0)
            tokens += int(self.fit.train.lengths[which].sum())
        return float(tokens)


def _typical_batches(fit: ClassifierFit, order: Sequence[Rows]) -> list[Rows]:
    """Whole batches from all over the order by length."""
    whole = [
        which for which in order if len(which) >= min(fit.config.bs, len(fit.train.lengths))
    ] or order
    ordered = sorted(whole, key=lambda which: int(fit.train.lengths[which].sum()))
    return [ordered[int(share * (len(ordered) - 1))] for share in QUANTILES]
