"""How much faster than fastai 2.8.12 the text trainers are, and where their time goes.

    PYTHONPATH=.venv/lib/python3.11/site-packages:/tmp/peers/lib/python3.11/site-packages:. \
        HPSEARCH_DATA=../shared/data OMP_NUM_THREADS=2 GOMP_SPINCOUNT=1000 \
        /tmp/peers/bin/python tests/benchmarks/bench_speed.py

(bench_fastai_parity.py says how to make /tmp/peers.) Both sides in one process, in turns, same
sizes, same reviews, same threads; medians of the rounds. Ours is in the precision that it chooses
by itself, fastai's is float32, its default on a processor. fastai's loaders run in the process:
workers would cost it more; its tokenizer runs in as many processes as there are threads.
`--cpu-time` measures one thread on a busy machine (and no tokenizer: that has processes).
"""

import argparse
import statistics
import time
from functools import partial

import fastai_peer as peer
import numpy as np
import torch
from fastai_cases import (
    Reviews,
    classifier_config,
    fastai_classifier,
    language_config,
    saved_model,
)
from speed_limits import Machine, where_time_goes

from hpsearch.trainers.contract import TrialSetup
from hpsearch.trainers.shared.device import keep_freed_memory
from hpsearch.trainers.shared.stages import Epoch
from hpsearch.trainers.text.batches import by_length
from hpsearch.trainers.text.classifier.fit import ClassifierFit, plan_stages
from hpsearch.trainers.text.classifier.saved import SavedClassifier
from hpsearch.trainers.text.language_model.files import new_language_model
from hpsearch.trainers.text.language_model.fit import train_language_model

VOCABULARY = 6624
FULL, MIDDLE, SMALL = (400, 1152, 3), (200, 400, 3), (160, 400, 2)
N_TEST = 25_000


class Clock:
    """Seconds of `work`, wall time or CPU time, medians over alternating rounds."""

    def __init__(self, rounds, *, cpu_time):
        self.rounds, self.now = rounds, time.process_time if cpu_time else time.perf_counter

    def seconds(self, work):
        started = self.now()
        work()
        return self.now() - started

    def compare(self, name, unit, amount, ours, theirs, goal):
        """`ours` and `theirs` make a fresh piece of work at each call; only the work is timed. A
        round before the first warms up both: memory, compiled kernels."""
        pairs = [(self.seconds(theirs()), self.seconds(ours())) for _ in range(self.rounds + 1)]
        del pairs[0]
        slow, fast = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(t / o for t, o in pairs)
        verdict = "" if goal is None else f" (at least {goal}: {'yes' if ratio >= goal else 'NO'})"
        print(
            f"{name:42} fastai {amount / slow:9,.0f} {unit}/s, ours {amount / fast:9,.0f}: "
            f"{ratio:.2f} times{verdict}",
            flush=True,
        )
        return amount / fast, ratio


def language_model(clock, machine, reviews, sizes, steps):
    end = int(np.searchsorted(reviews.docs.offsets, steps * 48 * 70))
    docs = reviews.docs.take(np.arange(end))
    few = reviews.docs.take(np.arange(1))
    config = language_config(sizes)

    def ours():
        model = new_language_model(config, len(reviews.vocab))
        return partial(
            train_language_model,
            config,
            model,
            docs,
            few,
            TrialSetup(seed=0, device="cpu", report=lambda _: None),
        )

    def theirs():
        model = peer.peer_language_model(len(reviews.vocab), sizes, config.drop_mult)
        train = peer.stream_loader(docs, 48, 70)
        one = peer.learner(model, train, train, peer.awd_lstm_lm_split)
        return partial(peer.fit, one, config.lr)

    name = f"language model {sizes}"
    _, ratio = clock.compare(name, "tokens", len(docs.ids), ours, theirs, 2.5)
    where_time_goes(machine, ours(), sizes, len(reviews.vocab), len(docs.ids), decoder=True)
    return ratio >= 2.5


def batches_of_one_epoch(reviews, n, bs=48):
    """n whole batches, of all lengths, as an epoch over thousands of reviews has them."""
    batches = by_length(reviews.docs.lengths[: 50 * bs], bs)
    return np.concatenate([batches[i] for i in np.linspace(2, 47, n).astype(int)])


def classifier(clock, machine, reviews, sizes, n_batches):
    which = batches_of_one_epoch(reviews, n_batches)
    folder, lm = saved_model(reviews, language_config(sizes))
    texts = reviews.split(which, which[:2])
    docs, labels = texts.parts["train"], texts.labels["train"]
    config = classifier_config("auto")
    good = True
    for stage in plan_stages(config, sizes[2] + 2):

        def ours(stage=stage):
            run = ClassifierFit(config, texts, folder, seed=0, device="cpu")
            run.start_stage(stage)
            return partial(run.train_epoch, Epoch(stage, 0, 1, 1), lambda *_: None)

        def theirs(stage=stage):
            model = fastai_classifier(reviews, lm, sizes, config.drop_mult)
            train = peer.documents_loader(docs, labels, config.bs, shuffle=True)
            one = peer.learner(model, train, train, peer.awd_lstm_clas_split)
            return partial(
                peer.fit, one, slice(stage.lrs[-1] / 2.6**4, stage.lrs[-1]), stage.freeze_to
            )

        name = f"classifier {sizes}, {stage.name} thawed"
        _, ratio = clock.compare(name, "reviews", len(which), ours, theirs, 2.5)
        good &= ratio >= 2.5
    where_time_goes(machine, ours(), sizes, 0, len(docs.ids), decoder=False)
    return good


def prediction(clock, reviews, sizes, n, *, from_text):
    """Class probabilities of n reviews, given as numbers or as text."""
    which = np.arange(n)
    folder, lm = saved_model(reviews, language_config(sizes))
    texts = reviews.split(which, which[:2])
    config = classifier_config("auto")
    run = ClassifierFit(config, texts, folder, seed=0, device="cpu")
    saved = SavedClassifier(
        [run.model], [False], [sizes], reviews.vocab, tuple(reviews.classes), "en", config
    )
    strings = reviews.texts[:n]

    def ours():
        if from_text:
            return partial(saved.predict, strings)
        return partial(saved.predict_documents, texts.parts["train"])

    def theirs():
        other = fastai_classifier(reviews, lm, sizes, config.drop_mult)

        def predict():
            docs = texts.parts["train"]
            if from_text:
                docs = peer.tokenised(strings, reviews.vocab, torch.get_num_threads())
            loader = peer.documents_loader(docs, np.zeros(n), 64, shuffle=False)
            one = peer.learner(other, loader, loader, peer.awd_lstm_clas_split)
            with one.no_bar():
                one.get_preds(dl=loader)

        return predict

    name = f"prediction {sizes}, {'from text' if from_text else 'model alone'}"
    rate, ratio = clock.compare(name, "reviews", n, ours, theirs, 4)
    print(f"    {N_TEST:,} reviews would take {N_TEST / rate:.0f} s")
    return ratio >= 4


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--reviews", type=int, default=2000, help="how many to predict")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--only", choices=["lm", "classifier", "prediction"])
    args = parser.parse_args()
    keep_freed_memory()  # fastai profits from it too
    machine = Machine.measure()
    print(f"{torch.get_num_threads()} threads; {machine}")
    reviews = Reviews(max(args.reviews, 2400), VOCABULARY)
    clock = Clock(args.rounds, cpu_time=args.cpu_time)
    good = True
    if args.only in (None, "lm"):
        good &= language_model(clock, machine, reviews, MIDDLE, 30)
        good &= language_model(clock, machine, reviews, FULL, 6)
    if args.only in (None, "classifier"):
        good &= classifier(clock, machine, reviews, SMALL, 12)
        good &= classifier(clock, machine, reviews, FULL, 2)
    if args.only in (None, "prediction"):
        good &= prediction(clock, reviews, SMALL, args.reviews, from_text=True)
        good &= prediction(clock, reviews, SMALL, args.reviews, from_text=False)
        good &= prediction(clock, reviews, FULL, args.reviews // 10, from_text=False)
    raise SystemExit(not good)


if __name__ == "__main__":
    main()
