"""A classifier on a GPU: what the processor gives, the same to the bit when done again, from graphs
what single launches give, in every stage and both directions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from hpsearch.trainers.contract import TrialSetup
from hpsearch.trainers.shared.stages import Epoch
from hpsearch.trainers.step.cuda_graph import CapturedStep
from hpsearch.trainers.step.dropout_masks import Masks
from hpsearch.trainers.step.schedule import OneCycle
from hpsearch.trainers.text.batches import DocumentBatches, Documents, training_order
from hpsearch.trainers.text.classifier import fit
from hpsearch.trainers.text.classifier.fit import ClassifierFit, plan_stages
from hpsearch.trainers.text.classifier.saved import (
    load_classifier,
    predict_batches,
    predict_documents,
)
from hpsearch.trainers.text.classifier.train import train_classifier
from hpsearch.trainers.text.config import ClassifierConfig, LanguageModelConfig
from hpsearch.trainers.text.language_model.files import (
    SavedLanguageModel,
    new_language_model,
    save_language_model,
)
from hpsearch.trainers.text.networks import chunks
from hpsearch.trainers.text.networks.awd_lstm import AWDLSTM, CLASSIFIER_DROPOUTS
from hpsearch.trainers.text.networks.classifier import TextClassifier
from hpsearch.trainers.text.numbered_texts import Texts
from hpsearch.trainers.text.tokens.tokenizer import SPECIALS
from hpsearch.trainers.text.tokens.vocab import Vocab

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")

V = 2000
VOCAB = Vocab((*SPECIALS, *(f"word{i}" for i in range(V - len(SPECIALS)))))
SIZES = LanguageModelConfig(emb=64, hidden=160, layers=3, epochs=1)
CONFIG = ClassifierConfig(
    bs=16, seq_len=24, max_len=120, epochs=1, lr=0.01, drop_mult=0.5, precision="bfloat16"
)
PRECISIONS = ["float32", "bfloat16"]


def texts(n_train=400, n_valid=150, longest=300):
    """Texts of random words of which a few say the class."""
    rng = np.random.default_rng(0)
    parts, labels = {}, {}
    for name, n in (("train", n_train), ("valid", n_valid)):
        lengths = np.clip(rng.lognormal(4.2, 0.6, n), 3, longest).astype(int)
        labels[name] = rng.integers(0, 2, n)
        ids = rng.zipf(1.3, lengths.sum()) % (V - 20) + 20
        of = np.repeat(labels[name], lengths)
        tells = rng.random(len(ids)) < 0.1
        ids[tells] = 10 + of[tells]
        parts[name] = Documents(ids.astype(np.int32), np.concatenate([[0], np.cumsum(lengths)]))
    return Texts(
        "made up", None, "whitespace", ("text",), VOCAB, ("no", "yes"), parts, labels, "test", 0
    )


TEXTS = texts()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Language models of both directions."""
    made = []
    for backward in (False, True):
        folder = tmp_path_factory.mktemp("language-model")
        config = replace(SIZES, backward=backward, seed=int(backward))
        model = new_language_model(config, V)
        with torch.no_grad():
            model.encoder.embedding.weight.mul_(10)  # as large as training makes them
        save_language_model(folder, SavedLanguageModel(model, VOCAB, config, "whitespace"))
        made.append(folder)
    return made


@pytest.fixture
def recorded(monkeypatch):
    """Every stage is recorded, however short; the steps that were made."""
    made = []

    def captured(step, **options):
        made.append(CapturedStep(step, **{**options, "warm": 1}))
        return made[-1]

    monkeypatch.setattr(fit, "CapturedStep", captured)
    monkeypatch.setattr(fit, "RECORDED_STEPS", 0)
    return made


def train(folders, config=CONFIG, device="cuda", **options):
    records = []
    report = options.pop("report", lambda _: None)

    def hear(record):
        records.append(record)
        report(record)

    setup = TrialSetup(seed=5, device=device, report=hear, **options)
    train_classifier(config, TEXTS, folders, setup)
    return [(r.stage, r.train_loss, r.valid_loss, r.metrics) for r in records]


def losses(facts):
    return [loss for _, *both, _ in facts for loss in both]


@pytest.mark.parametrize("unfreeze", [True, False])
def test_the_processor_gives_the_same_without_dropout(folders, unfreeze):
    config = replace(CONFIG, drop_mult=0.0, precision="float32", unfreeze=unfreeze)
    on_cpu, on_gpu = (train(folders[:1], config, device) for device in ("cpu", "cuda"))
    assert [one[0] for one in on_gpu] == [one[0] for one in on_cpu]
    assert losses(on_gpu) == pytest.approx(losses(on_cpu), rel=2e-3)
    assert on_gpu[0][1] == pytest.approx(on_cpu[0][1], rel=1e-4)


@pytest.mark.parametrize("n_thawed", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_side_by_side_is_in_turn(dtype, n_thawed):
    """On the GPU itself, with dropout: the same masks in both."""
    drop = replace(CLASSIFIER_DROPOUTS, embedding=0.1)
    encoder = AWDLSTM(V, 64, 160, 3, drop)
    encoder.init_weights(torch.Generator().manual_seed(1))
    model = TextClassifier(encoder, 2, lin_ftrs=20, drop_mult=0, seq_len=24, max_len=100)
    # Batch norm would blow the rounding of the pools up.
    model.head = torch.nn.Linear(3 * 64, 2, bias=False)
    model.head.forward = lambda pooled, masks: torch.nn.functional.linear(pooled, model.head.weight)
    model.cuda().train()
    for i, group in enumerate(model.layer_groups()):
        group.requires_grad_(i >= 5 - n_thawed)
    weights = [p for p in model.parameters() if p.requires_grad]
    docs = DocumentBatches(TEXTS.parts["train"], "cuda")
    which = training_order(docs.lengths, 16, np.random.default_rng(0))[0]
    (rows,) = docs.rows([which])
    n = -(-int(docs.lengths[which[0]]) // 24) * 24
    tokens, lengths = docs.pad_to(n, rows)
    found = []
    for read, given in ((model, lengths.cpu()), (model.forward_side_by_side, lengths)):
        logits, penalty = read(tokens, given, Masks(3, torch.device("cuda")), dtype)
        loss = torch.nn.functional.cross_entropy(logits, rows % 2) + penalty
        found.append([loss.detach(), *torch.autograd.grad(loss, weights)])
    tolerance = 1e-5 if dtype == torch.float32 else 2**-6
    largest = max(grad.abs().max().item() for grad in found[0])
    for one, two in zip(*found, strict=True):
        assert (one - two).abs().max().item() <= tolerance * largest


def test_bfloat16_learns_what_float32_learns(folders):
    config = replace(CONFIG, epochs=2, lr=0.02)
    low, full = (train(folders[:1], replace(config, precision=p)) for p in reversed(PRECISIONS))
    assert low[-1][2] == pytest.approx(full[-1][2], rel=0.15)


class Kernels(TorchDispatchMode):
    """The types of the recurrent products, and all types."""

    def __init__(self):
        super().__init__()
        self.recurrent, self.types = set(), set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        leaves = tree_flatten((args, kwargs, out))[0]
        # cuDNN's workspace is of bytes.
        found = {t.dtype for t in leaves if isinstance(t, torch.Tensor)} - {torch.uint8}
        self.types |= found
        if "cudnn_rnn" in func.overloadpacket.__name__:
            self.recurrent |= found
        return out


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_is_said_is_what_multiplies(folders, precision):
    config = replace(CONFIG, precision=precision)
    run = ClassifierFit(config, TEXTS, folders[0], seed=0, device="cuda")
    stage = plan_stages(config, run.n_groups)[-1]
    run.start_stage(stage)
    with Kernels() as kernels:
        run.train_epoch(Epoch(stage, 0, 1, 1), lambda *_: None)
        run.predict()
    assert kernels.recurrent == {getattr(torch, precision)}
    assert torch.float16 not in kernels.types


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_same_seed_is_the_same_result_to_the_bit(folders, precision):
    config = replace(CONFIG, precision=precision)
    assert train(folders, config) == train(folders, config)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_graphs_give_what_single_launches_give_to_the_bit(
    folders, recorded, monkeypatch, precision
):
    config = replace(CONFIG, precision=precision, epochs=2)
    from_graphs = train(folders[:1], config)
    assert len(recorded) == 4  # the stages
    assert all(one._graphs and one.fallback is None for one in recorded)
    monkeypatch.setattr(fit, "RECORDED_STEPS", 10**9)
    assert train(folders[:1], config) == from_graphs


@pytest.mark.parametrize("killed_after", [2, 4])
def test_a_killed_trial_of_both_directions_resumes_to_the_same_end(
    folders, recorded, tmp_path, killed_after
):
    uninterrupted = train(folders)
    seen = []

    def kill(record):
        seen.append(record)
        if len(seen) == killed_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(folders, report=kill, checkpoint=tmp_path)
    assert train(folders, checkpoint=tmp_path) == uninterrupted
    assert "backward_accuracy" in uninterrupted[-1][3]


def test_an_epoch_waits_for_nothing(folders, monkeypatch):
    run = ClassifierFit(CONFIG, TEXTS, folders[0], seed=0, device="cuda")
    stage = plan_stages(CONFIG, run.n_groups)[-1]
    run.start_stage(stage)
    rng = np.random.default_rng(0)
    order = training_order(run.train.lengths, CONFIG.bs, rng)
    rows, cycle = run.train.rows(order), OneCycle(len(order))
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for i, (which, one) in enumerate(zip(order, rows, strict=True)):
            run.step(which, one, cycle, i)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_document_longer_than_every_bucket_trains_and_groups_fit_into_memory(
    folders, monkeypatch
):
    whole = train(folders[:1])
    monkeypatch.setattr(chunks, "BUCKETS", (1, 2, 3, 4))
    in_turn = train(folders[:1])
    assert np.isfinite(losses(in_turn)).all()
    monkeypatch.undo()
    config = replace(CONFIG, drop_mult=0.0, precision="float32")
    expected = train(folders[:1], config)
    monkeypatch.setattr(chunks.read_side_by_side, "__defaults__", (1,))  # byte: a chunk a group
    assert losses(train(folders[:1], config)) == pytest.approx(losses(expected), rel=2e-3)
    assert losses(whole) != losses(in_turn)  # other masks, and another order of summation


def test_what_was_trained_on_a_gpu_predicts_on_a_processor(folders, tmp_path):
    train(folders[:1], replace(CONFIG, precision="float32"), keep=tmp_path)
    saved, docs = load_classifier(tmp_path), TEXTS.parts["valid"]
    on_cpu, on_gpu = (saved.predict_documents(docs, device=device) for device in ("cpu", "cuda"))
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-4)


def test_documents_alone_and_in_one_large_batch_get_the_same_prediction(folders):
    run = ClassifierFit(CONFIG, TEXTS, folders[0], seed=0, device="cuda")
    docs = TEXTS.parts["valid"]
    large = predict_batches(run.model, run.valid, torch.float32)
    small = predict_documents(run.model, docs, "cuda", torch.float32, bs=7)
    np.testing.assert_allclose(large, small, atol=1e-4)


def test_memory_stays_flat_over_thirty_trials(folders, recorded):
    used = []
    for _ in range(30):
        train(folders[:1], replace(CONFIG, unfreeze=False))
        recorded.clear()
        used.append((torch.cuda.memory_allocated(), torch.cuda.memory_reserved()))
    allocated, reserved = zip(*used, strict=True)
    assert allocated[-1] <= 1.05 * allocated[4]
    assert reserved[-1] <= 1.05 * reserved[4]


def test_the_longest_bucket_of_the_full_size_fits_beside_others():
    """48 documents of 40 chunks in bfloat16: 2,880 tokens each, all layers thawed."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    encoder = AWDLSTM(60_000, 400, 1152, 3, CLASSIFIER_DROPOUTS)
    model = TextClassifier(encoder, 2, lin_ftrs=50, drop_mult=0.5, seq_len=72, max_len=1440)
    encoder.init_weights(torch.Generator().manual_seed(0))
    model.head.init_weights(torch.Generator().manual_seed(0))
    model.cuda().train()
    tokens = torch.randint(2, 60_000, (40 * 72, 48), device="cuda")
    lengths = torch.randint(2000, 2880, (48,), device="cuda")
    masks = Masks(0, torch.device("cuda"))
    before = torch.cuda.memory_allocated()
    logits, penalty = model.forward_side_by_side(tokens, lengths, masks, torch.bfloat16)
    (logits.sum() + penalty).backward()
    used = torch.cuda.max_memory_allocated() - before
    assert used < 4 * chunks.BYTES
