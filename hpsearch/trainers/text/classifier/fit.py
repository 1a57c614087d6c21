"""One classifier in training: its texts in its direction, its optimiser, the rates of a stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hpsearch.errors import HpsearchError
from hpsearch.trainers.shared.device import resolve_precision
from hpsearch.trainers.shared.metrics import balanced_weights, scores
from hpsearch.trainers.shared.stages import Epoch, Stage, Trained
from hpsearch.trainers.step.cuda_graph import CapturedStep
from hpsearch.trainers.step.dropout_masks import Masks
from hpsearch.trainers.step.gradients import gradients
from hpsearch.trainers.step.optimiser import GroupedAdamW
from hpsearch.trainers.step.param_groups import discriminative_lrs, freeze_to, optimiser_groups
from hpsearch.trainers.step.schedule import OneCycle, parse_moms
from hpsearch.trainers.text.batches import DocumentBatches, training_order
from hpsearch.trainers.text.classifier.label_metrics import (
    choose,
    label_loss,
    label_scores,
    label_weights,
)
from hpsearch.trainers.text.classifier.saved import Probabilities, build_classifier, predict_batches
from hpsearch.trainers.text.config import ClassifierConfig
from hpsearch.trainers.text.language_model.files import load_language_model
from hpsearch.trainers.text.networks import chunks
from hpsearch.trainers.text.numbered_texts import Labels, Texts
from hpsearch.trainers.text.split_texts import Rows

RECORDED_STEPS = 200
"""From how many steps a stage on they are recorded as CUDA graphs. Each of some ten lengths is
recorded for itself, which takes about as long as three plain steps."""


def plan_stages(config: ClassifierConfig, n_groups: int) -> list[Stage]:
    """The stages of a classifier's training.

    They follow the recipe of the 2018 lesson: layer groups are thawed one after the other, from the
    head down, at lr, lr/2 and lr/4; then all groups train at lr/20 for twice as many epochs.
    Without `unfreeze` there is one stage, in which all groups train for as many epochs in total.
    """

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


class ClassifierFit:
    """A classifier in training: a language model's encoder with a new head, and the texts in the
    direction that it reads them in."""

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
        self.model = build_classifier(
            config, saved.model.encoder, len(texts.classes), several=texts.several
        )
        self.model.head.init_weights(torch.Generator().manual_seed(seed))
        self.model.to(device)
        self.train, self.valid = (
            DocumentBatches(docs.reversed() if self.backward else docs, device)
            for docs in (texts.parts["train"], texts.parts["valid"])
        )
        labels = texts.labels["train"]
        self.labels = torch.from_numpy(labels).to(device)
        self.class_weights: Tensor | None = None
        if config.class_weights == "balanced":
            weights = (
                label_weights(labels)
                if texts.several
                else balanced_weights(labels, len(texts.classes))
            )
            self.class_weights = torch.from_numpy(weights).to(device)
        self.groups = self.model.layer_groups()
        self.n_groups = len(self.groups)
        self.dtype = resolve_precision(config.precision, device)
        self.masks = Masks(seed, torch.device(device))

    def start_stage(self, stage: Stage) -> None:
        """Thaw the stage's groups; the optimiser starts without memory, as fastai's does."""
        freeze_to(self.groups, stage.freeze_to)
        self.lrs = stage.lrs
        self.optimiser = GroupedAdamW(optimiser_groups(self.groups, self.config.wd))
        self._in_turn = _Gradients(self, self.model)
        self._side_by_side: CapturedStep | _Gradients | None = None
        if chunks.pays_on(self.device):
            self._side_by_side = _Gradients(self, self.model.forward_side_by_side)
            if stage.epochs * len(self.train.lengths) >= RECORDED_STEPS * self.config.bs:
                self._side_by_side = CapturedStep(
                    self._side_by_side,
                    device=self.device,
                    generators=[self.masks.generator],
                    most=len(chunks.BUCKETS),
                )

    def train_epoch(self, epoch: Epoch, progress: Callable[[int, int], None]) -> Trained:
        """Train one epoch.

        Order and dropout depend on the seed and the epoch alone, so that a resumed trial continues
        as the uninterrupted one would.

        Returns:
            The mean cross-entropy in nats, and the highest rate of each layer group.
        """
        rng = np.random.default_rng([self.seed, epoch.number])
        self.masks.restart(int(rng.integers(2**62)))
        batches = training_order(self.train.lengths, self.config.bs, rng)
        moms = parse_moms(self.config.moms)
        cycle = OneCycle(len(batches) * epoch.stage.epochs, self.config.pct_start, moms)
        total = torch.zeros((), device=self.device)
        self.model.train()
        steps = range(epoch.k * len(batches), (epoch.k + 1) * len(batches))
        for i, which, rows in zip(steps, batches, self.train.rows(batches), strict=True):
            total += self.step(which, rows, cycle, i) * len(which)
            progress(i - steps.start + 1, len(batches))
        highest = cycle.highest(steps)
        return total.item() / len(self.train.lengths), tuple(lr * highest for lr in self.lrs)

    def step(self, which: Rows, rows: Tensor, cycle: OneCycle, i: int) -> Tensor:
        """Train on one batch of documents.

        Args:
            which: The numbers of the documents (batch,), the longest document first.
            rows: The same numbers on the device.
            i: The step of `cycle` that says the rates.

        Returns:
            The mean cross-entropy in nats (scalar). The next step overwrites it.
        """
        labels = self.labels[rows]
        seq_len, longest = self.config.seq_len, int(self.train.lengths[which[0]])
        n_chunks = chunks.bucket(longest, seq_len)
        if self._side_by_side is not None and n_chunks is not None:
            tokens, lengths = self.train.pad_to(n_chunks * seq_len, rows)
            loss, *grads = self._side_by_side(tokens, lengths, labels)
        else:
            loss, *grads = self._in_turn(*self.train.pad(which), labels)
        share, momentum = cycle.at(i)
        self.optimiser.step(grads, [lr * share for lr in self.lrs], momentum)
        return loss

    def predict(self) -> Probabilities:
        """Class probabilities (texts, classes) of the held-out texts."""
        return predict_batches(self.model, self.valid, self.dtype)


class _Gradients:
    """What a step computes before the optimiser.

    It does not refer to the fit: a cycle of references would keep the memory of both.
    """

    def __init__(self, fit: ClassifierFit, read: Callable[..., tuple[Tensor, Tensor]]) -> None:
        self.read, self.masks, self.dtype = read, fit.masks, fit.dtype
        self.weights, self.class_weights = fit.optimiser.weights, fit.class_weights

    def __call__(self, tokens: Tensor, lengths: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """Documents (T, B) and their classes (B,), or their labels (B, labels) as 0 and 1 ->
        cross-entropy, a gradient for each weight."""
        logits, penalty = self.read(tokens, lengths, self.masks, self.dtype)
        if labels.ndim == 2:
            weights = None
            if self.class_weights is not None:
                weights = torch.where(labels > 0, self.class_weights[1], self.class_weights[0])
            loss = nn.functional.binary_cross_entropy_with_logits(logits, labels.float(), weights)
        elif self.class_weights is None:
            loss = nn.functional.cross_entropy(logits, labels)
        else:  # not divided by the batch's weights: a batch without the rare class counts less
            each = nn.functional.cross_entropy(logits, labels, reduction="none")
            loss = (each * self.class_weights[labels]).mean()
        return loss.detach(), *gradients(loss + penalty, self.weights)


def measure(fits: Sequence[ClassifierFit], truth: Labels) -> tuple[dict[str, float], float]:
    """The metrics and the mean cross-entropy of the fits' averaged probabilities; with several
    directions also the first metric (accuracy or f1_micro) of each alone."""
    threshold = fits[0].config.threshold

    def judged(found: Probabilities) -> dict[str, float]:
        if truth.ndim == 1:
            return scores(found, truth)
        return label_scores(found, truth, choose(found, truth, threshold))

    each = [fit.predict() for fit in fits]
    probabilities = np.mean(each, axis=0)
    metrics = judged(probabilities)
    if len(fits) > 1:
        first = next(iter(metrics))
        for fit, alone in zip(fits, each, strict=True):
            way = "backward" if fit.backward else "forward"
            metrics[f"{way}_{first}"] = judged(alone)[first]
    if truth.ndim == 2:
        return metrics, label_loss(probabilities, truth)
    of_truth = probabilities[np.arange(len(probabilities)), truth]
    return metrics, float(-np.log(np.maximum(of_truth, 1e-30)).mean())
