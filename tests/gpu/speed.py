"""How fast the text trainers are on this GPU, and fastai 2.8.12 in mixed precision beside them.

Ours are whole epochs of the trainers' own functions, by the seconds that they report; the first
epoch of a stage, with its compiling and capturing, does not count. fastai's are whole epochs of its
own learners and loaders after a short first one. Made-up reviews with IMDb's lengths: no data set
is needed, and neither side's speed depends on the words.
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from gpu.measure import (
    DEVICE,
    SIZES,
    TINY,
    VOCABULARY,
    documents,
    each,
    has_fastai,
    keep,
    new_model_folder,
    texts,
    timed,
)

from hpsearch.trainers.contract import TrialSetup
from hpsearch.trainers.text.classifier.saved import SavedClassifier, build_classifier
from hpsearch.trainers.text.classifier.train import train_classifier
from hpsearch.trainers.text.config import ClassifierConfig, LanguageModelConfig
from hpsearch.trainers.text.language_model.files import new_language_model
from hpsearch.trainers.text.language_model.fit import train_language_model

BS = 8 if TINY else 48
N_REVIEWS = 40 if TINY else 2400
N_PREDICTED = 40 if TINY else 20_000
N_FASTAI = 40 if TINY else 2400
STEPS = 4 if TINY else 120


def config_of(bs, epochs=3):
    emb, hidden, layers = SIZES
    return LanguageModelConfig(
        emb=emb, hidden=hidden, layers=layers, bs=bs, seq_len=70, epochs=epochs, drop_mult=0.3
    )


def language_model_rate(bs, steps=STEPS):
    """Tokens a second of our language model."""
    docs, config = documents(n_tokens=bs * 70 * steps), config_of(bs)
    model = new_language_model(config, VOCABULARY)
    records = []
    train_language_model(
        config,
        model,
        docs,
        documents(n_documents=1),
        TrialSetup(seed=0, device=DEVICE, report=records.append),
    )
    return len(docs.ids) / min(record.seconds for record in records[1:])


def fastai():
    """fastai's parts, imported only here: without it our own figures are still measured."""
    from gpu import stubs

    stubs.install()
    import fastai_peer

    return fastai_peer


def mixed(learner):
    """The learner on this device, in mixed precision where it is a GPU."""
    learner.dls.device = torch.device(DEVICE)
    if DEVICE == "cuda":
        from fastai.callback.fp16 import MixedPrecision

        learner.add_cb(MixedPrecision())
    return learner


def fastai_language_model_rate(bs, steps=STEPS):
    peer = fastai()
    docs, few = documents(n_tokens=bs * 70 * steps), documents(n_tokens=bs * 70 * 3)
    model = peer.peer_language_model(VOCABULARY, SIZES, 0.3)

    def fit(some):
        train = peer.stream_loader(some, bs, 70)
        peer.fit(mixed(peer.learner(model, train, train, peer.awd_lstm_lm_split)), 1e-3)

    fit(few)
    return len(docs.ids) / timed(partial(fit, docs))


def language_model(bs):
    """Both, ours first: it is what has to be known."""
    what = f"language model, bs {bs}"
    ours = language_model_rate(BS if TINY else bs)
    keep(what, ours, "tokens/s")
    if has_fastai():
        peer = fastai_language_model_rate(BS if TINY else bs, STEPS // 2)
        keep(what, ours, "tokens/s", peer=peer)


def classifier_rates():
    """Reviews a second in each of our stages."""
    data = texts(N_REVIEWS)
    config = ClassifierConfig(bs=BS, epochs=2, lr=1e-3)
    records = []
    with tempfile.TemporaryDirectory() as name:
        folder = new_model_folder(Path(name) / "model", config_of(48))
        train_classifier(
            config, data, [folder], TrialSetup(seed=0, device=DEVICE, report=records.append)
        )
    rates, stage = {}, None
    for record in records:
        if record.stage == stage:  # not its first epoch
            rates[stage] = max(rates.get(stage, 0), N_REVIEWS / record.seconds)
        stage = record.stage
    return rates


def fastai_classifier_rate(freeze, lr):
    peer = fastai()
    docs, few = documents(n_documents=N_FASTAI), documents(n_documents=3 * BS, seed=1)
    model = peer.peer_classifier(VOCABULARY, SIZES, 0.5)

    def fit(some):
        train = peer.documents_loader(some, np.arange(len(some)) % 2, BS, shuffle=True)
        learner = mixed(peer.learner(model, train, train, peer.awd_lstm_clas_split))
        peer.fit(learner, slice(lr / 2.6**4, lr), freeze)

    fit(few)
    return N_FASTAI / timed(partial(fit, docs))


def classifier():
    rates = classifier_rates()
    for stage, rate in rates.items():
        keep(f"classifier, bs 48, {stage}", rate, "reviews/s")
    if not has_fastai():
        return
    for freeze, (stage, rate) in zip((-1, -2, -3, 0), rates.items(), strict=True):
        peer = fastai_classifier_rate(freeze, 1e-3)
        keep(f"classifier, bs 48, {stage}", rate, "reviews/s", peer=peer)


def prediction():
    docs = documents(n_documents=N_PREDICTED)
    config = ClassifierConfig()
    encoder = new_language_model(config_of(48), VOCABULARY).encoder
    model = build_classifier(config, encoder, 2)
    model.head.init_weights(torch.Generator().manual_seed(0))
    saved = SavedClassifier([model], [False], [SIZES], None, ("neg", "pos"), "en", config)
    saved.predict_documents(docs.take(np.arange(len(docs) // 10 + 1)), device=DEVICE)
    ours = N_PREDICTED / timed(partial(saved.predict_documents, docs, device=DEVICE))
    keep("prediction, full size", ours, "reviews/s")
    if not has_fastai():
        return
    peer, few = fastai(), docs.take(np.arange(min(len(docs), N_FASTAI)))
    other = peer.peer_classifier(VOCABULARY, SIZES, 0.5)
    loader = peer.documents_loader(few, np.zeros(len(few)), 64, shuffle=False)
    learner = mixed(peer.learner(other, loader, loader, peer.awd_lstm_clas_split))

    def predict():
        with learner.no_bar():
            learner.get_preds(dl=loader)

    predict()
    keep("prediction, full size", ours, "reviews/s", peer=len(few) / timed(predict))


if __name__ == "__main__":
    {
        "language-model": lambda: each(partial(language_model, 48), partial(language_model, 256)),
        "classifier": lambda: each(classifier),
        "prediction": lambda: each(prediction),
    }[sys.argv[1]]()
