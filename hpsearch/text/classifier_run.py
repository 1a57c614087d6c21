"""One classifier in training: its texts in its direction, its optimiser, the rates of a stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hpsearch.errors import HpsearchError
from hpsearch.text.batches import DocumentBatches, training_order
from hpsearch.text.config import ClassifierConfig
from hpsearch.text.language_model import load_language_model
from hpsearch.text.saved_classifier import Probabilities, build_classifier, predict_documents
from hpsearch.text.splits import Rows
from hpsearch.text.texts import Labels, Texts
from hpsearch.training.device import autocast, resolve_precision
from hpsearch.training.fields import parse_moms
from hpsearch.training.loop import optimiser_step
from hpsearch.training.masks import Masks
from hpsearch.training.metrics import scores
from hpsearch.training.param_groups import discriminative_lrs, freeze_to, make_adam
from hpsearch.training.schedule import OneCycle
from hpsearch.training.stages import Epoch, Stage


def plan_stages(config: ClassifierConfig, n_groups: int) -> list[Stage]:
    """The lesson's recipe: thaw from the head down at lr, lr/2, lr/4, then all at lr/20, twice as
    long. Without `unfreeze`: one stage of as many epochs with everything thawed."""

    def stage(name: str, n_thawed: int, lr: float, epochs: int) -> Stage:
        n_frozen = n_groups - n_thawed
        lrs = discriminative_lrs(lr, config.lr_decay, n_groups)
        return Stage(name, n_frozen, (0.0,) * n_frozen + lrs[n_frozen:], epochs)

    names = ["head"] + [f"rnn{i}" for i in reversed(range(n_groups - 2))]
    partial = [
        stage(names[k - 1], k, config.lr / 2 ** (k - 1), config.epochs)
        for k in range(1, min(3, n_groups - 1) + 1)
    ]
    total = config.epochs * (len(partial) + 2)
    if not config.unfreeze:
        return [stage("all", n_groups, config.lr, total)]
    return [*partial, stage("all", n_groups, config.lr / 20, 2 * config.epochs)]


class ClassifierRun:
    """A language model's encoder with a new head, and the texts in the direction it reads in."""

    def __init__(
        self,
        config: ClassifierConfig,
        texts: Texts,
        language_model: Path,
        *,
        seed: int,
        device: str,
    ) -> None:
        """Raises HpsearchError if the language model's vocabulary is not that of the texts."""
        saved = load_language_model(language_model)
        if saved.vocab.fingerprint != texts.vocab.fingerprint:
            raise HpsearchError(
                f"The language model in {language_model} knows {len(saved.vocab):,} tokens and "
                f"the texts of {texts.source} are numbered with {len(texts.vocab):,} others; "
                "train them from the same vocabulary."
            )
        self.config, self.seed, self.device = config, seed, device
        self.backward = saved.config.backward
        self.sizes = saved.config.sizes
        self.model = build_classifier(config, saved.model.encoder, len(texts.classes))
        self.model.head.init_weights(torch.Generator().manual_seed(seed))
        self.model.to(device)
        self.train = texts.parts["train"].reversed() if self.backward else texts.parts["train"]
        self.valid = texts.parts["valid"].reversed() if self.backward else texts.parts["valid"]
        self.batches = DocumentBatches(self.train, device)
        self.labels = torch.from_numpy(texts.labels["train"]).to(device)
        self.groups = self.model.layer_groups()
        self.n_groups = len(self.groups)
        self.dtype = resolve_precision(config.precision, device)

    def start_stage(self, stage: Stage) -> None:
        """Thaw the stage's groups; the optimiser starts without memory, as fastai's does."""
        freeze_to(self.groups, stage.freeze_to)
        self.lrs = stage.lrs
        self.optimiser = make_adam(self.groups, self.config.wd)

    def train_epoch(
        self, epoch: Epoch, progress: Callable[[int, int], None]
    ) -> tuple[float, tuple[float, ...]]:
        """Train one epoch: mean cross-entropy, and the groups' highest rates.

        Order and dropout depend on seed and epoch alone, so that a resumed trial goes on as the
        uninterrupted one would.
        """
        rng = np.random.default_rng([self.seed, epoch.number])
        masks = Masks(int(rng.integers(2**62)), torch.device(self.device))
        batches = training_order(self.train.lengths, self.config.bs, rng)
        moms = parse_moms(self.config.moms)
        cycle = OneCycle(len(batches) * epoch.stage.epochs, self.config.pct_start, moms)
        total = torch.zeros((), device=self.device)
        self.model.train()
        steps = range(epoch.k * len(batches), (epoch.k + 1) * len(batches))
        for i, which in zip(steps, batches, strict=True):
            total += self.step(which, masks, cycle, i) * len(which)
            progress(i - steps.start + 1, len(batches))
        highest = cycle.highest(steps)
        return total.item() / len(self.train), tuple(lr * highest for lr in self.lrs)

    def step(self, which: Rows, masks: Masks, cycle: OneCycle, i: int) -> Tensor:
        """Train on the documents `which` with the rates of step `i`; their mean cross-entropy."""
        tokens, lengths = self.batches.pad(which)
        labels = self.labels[torch.from_numpy(which).to(self.labels.device, non_blocking=True)]
        with autocast(self.device, self.dtype):
            logits, penalty = self.model(tokens, lengths, masks)
        loss = nn.functional.cross_entropy(logits.float(), labels)
        optimiser_step(loss + penalty, self.optimiser, cycle, i, self.lrs)
        return loss.detach()

    def predict(self) -> Probabilities:
        """Class probabilities (texts, classes) of the held-out texts."""
        return predict_documents(self.model, self.valid, self.device, self.dtype)


def measure(runs: Sequence[ClassifierRun], truth: Labels) -> tuple[dict[str, float], float]:
    """The metrics and the mean cross-entropy of the runs' averaged probabilities; with several
    directions also the accuracy of each alone."""
    each = [run.predict() for run in runs]
    probabilities = np.mean(each, axis=0)
    metrics = scores(probabilities, truth)
    if len(runs) > 1:
        for run, alone in zip(runs, each, strict=True):
            way = "backward" if run.backward else "forward"
            metrics[f"{way}_accuracy"] = scores(alone, truth)["accuracy"]
    of_truth = probabilities[np.arange(len(probabilities)), truth]
    return metrics, float(-np.log(np.maximum(of_truth, 1e-30)).mean())
