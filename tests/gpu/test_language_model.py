"""A language model on a GPU: what the processor gives, in the type that is said, the same to the
bit when done again, and from a graph what single launches give."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from hpsearch.trainers.contract import TrialSetup
from hpsearch.trainers.shared.lr_finder import restored
from hpsearch.trainers.step.cuda_graph import CapturedStep
from hpsearch.trainers.text.batches import Documents, stream_batches
from hpsearch.trainers.text.config import LanguageModelConfig
from hpsearch.trainers.text.language_model import files, fit
from hpsearch.trainers.text.language_model.files import SavedLanguageModel, new_language_model
from hpsearch.trainers.text.language_model.fit import (
    LanguageModelFit,
    plan_stages,
    train_language_model,
)
from hpsearch.trainers.text.language_model.generate import generate
from hpsearch.trainers.text.tokens.tokenizer import SPECIALS
from hpsearch.trainers.text.tokens.vocab import Vocab

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")

V, STEPS = 3000, 20
CONFIG = LanguageModelConfig(
    emb=64, hidden=160, layers=3, bs=16, seq_len=30, epochs=2, lr=0.01, drop_mult=1.0, clip=0.5
)
PRECISIONS = ["float32", "bfloat16"]
aten = torch.ops.aten


def texts(n, seed=0):
    ids = np.random.default_rng(seed).zipf(1.3, n) % V
    return Documents(ids.astype(np.int32), np.array([0, n // 3, n]))


READ, HELD_OUT = texts(16 * 30 * STEPS + 100), texts(16 * 30 * 6 + 50, 1)


def train(config=CONFIG, precision="bfloat16", device="cuda", **options):
    records = []
    report = options.pop("report", lambda _: None)

    def hear(record):
        records.append(record)
        report(record)

    model = train_language_model(
        config,
        new_language_model(config, V),
        READ,
        HELD_OUT,
        TrialSetup(seed=0, device=device, report=hear, **options),
        precision=precision,
    )
    facts = [(r.train_loss, r.valid_loss, r.metrics) for r in records]
    return facts, [p.detach().cpu() for p in model.parameters()]


def same(one, two):
    return one[0] == two[0] and all(map(torch.equal, one[1], two[1]))


def begun(device="cuda", precision="bfloat16", config=CONFIG):
    run = LanguageModelFit(
        config, new_language_model(config, V), READ, device=device, precision=precision
    )
    run.start_stage(plan_stages(config, len(run.groups))[-1])
    run.start_stream(3)
    return run


def losses(run, n=STEPS):
    batches = stream_batches(READ, CONFIG.bs, CONFIG.seq_len, run.device)
    return [run.step(x, y, i).item() for i, (x, y) in zip(range(n), batches, strict=False)]


def test_the_processor_gives_the_same_without_dropout():
    config = replace(CONFIG, drop_mult=0.0)
    on_cpu, on_gpu = (losses(begun(device, "float32", config)) for device in ("cpu", "cuda"))
    assert on_gpu == pytest.approx(on_cpu, rel=1e-5)
    assert on_gpu[-1] < on_gpu[0]


def test_bfloat16_learns_what_float32_learns():
    (low, _), (full, _) = (train(precision=precision) for precision in reversed(PRECISIONS))
    assert low[-1][1] == pytest.approx(full[-1][1], rel=0.01)


class Kernels(TorchDispatchMode):
    """The types of the products, and all types."""

    def __init__(self):
        super().__init__()
        self.products, self.types = {}, set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        leaves = tree_flatten((args, kwargs, out))[0]
        # cuDNN's workspace is of bytes.
        found = {t.dtype for t in leaves if isinstance(t, torch.Tensor)} - {torch.uint8}
        self.types |= found
        name = func.overloadpacket.__name__
        if name in ("mm", "addmm", "bmm") or "cudnn_rnn" in name:
            self.products.setdefault(name, set()).update(found)
        return out


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_is_said_is_what_multiplies_and_cudnn_does_it(precision):
    run = begun(precision=precision)
    tokens = torch.zeros(30, 16, dtype=torch.long, device="cuda")
    with Kernels() as kernels:
        fit._Gradients(run)(tokens, tokens)
    assert {"mm", "addmm", "_cudnn_rnn", "_cudnn_rnn_backward"} <= kernels.products.keys()
    assert set().union(*kernels.products.values()) == {getattr(torch, precision)}
    assert torch.float16 not in kernels.types


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_same_seed_is_the_same_result_to_the_bit(precision):
    assert same(train(precision=precision), train(precision=precision))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_graphs_give_what_single_launches_give_to_the_bit(precision, monkeypatch):
    made = []

    def captured(step, **options):
        made.append(CapturedStep(step, **options))
        return made[-1]

    def plain(step, **_):
        return step

    results = []
    for kind in (captured, plain):
        monkeypatch.setattr(fit, "CapturedStep", kind)
        monkeypatch.setattr(files, "CapturedStep", kind)
        results.append(train(precision=precision))
    assert same(*results)
    assert len(made) == 3  # of the training, and of two validations
    assert all(len(one._graphs) == 1 and one.fallback is None for one in made)


def test_a_killed_training_goes_on_to_the_same_result(tmp_path):
    config = replace(CONFIG, frozen_epochs=1)
    uninterrupted = train(config)

    def kill(record):
        if record.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, report=kill, checkpoint=tmp_path)
    assert same(train(config, checkpoint=tmp_path), uninterrupted)


def test_a_range_test_leaves_no_trace():
    run = begun()
    seen = []
    for _ in range(2):
        with restored([run.model], [run.optimiser], [run.masks.generator]):
            seen.append(losses(run, 8))
        run.start_stream(3)
    assert seen[0] == seen[1]


def test_trainings_in_threads_are_to_the_bit_those_alone():
    alone = [train(replace(CONFIG, seed=seed)) for seed in range(3)]
    beside = [None] * 3

    def work(seed):
        with torch.cuda.stream(torch.cuda.Stream()):
            beside[seed] = train(replace(CONFIG, seed=seed))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(map(same, alone, beside))


def test_memory_stays_flat_over_thirty_trainings():
    used = []
    for _ in range(30):
        train(replace(CONFIG, epochs=1))
        used.append((torch.cuda.memory_allocated(), torch.cuda.memory_reserved()))
    allocated, reserved = zip(*used, strict=True)
    assert allocated[-1] <= 1.05 * allocated[4]
    assert reserved[-1] <= 1.05 * reserved[4]


def test_the_full_size_in_one_graph():
    config = LanguageModelConfig(emb=400, hidden=1152, layers=3, bs=48, seq_len=70, epochs=1)
    rng = np.random.default_rng(0)
    n = 48 * 70 * 8 + 1
    docs = Documents((rng.zipf(1.2, n) % 60_000).astype(np.int32), np.array([0, n]))
    model = new_language_model(config, 60_000)
    run = LanguageModelFit(config, model, docs, device="cuda", precision="bfloat16")
    run.start_stage(plan_stages(config, len(run.groups))[-1])
    run.start_stream(0)
    batches = list(stream_batches(docs, 48, 70, "cuda"))
    found = [run.step(x, y, i).item() for i, (x, y) in enumerate(batches)]
    assert found[0] == pytest.approx(np.log(60_000), abs=0.1)
    assert found[-1] < found[0] - 1
    assert run._gradients.fallback is None
    assert run._gradients._graphs


def test_layers_as_a_pipeline_give_the_same_but_for_rounding_and_each_time_the_same_bits():
    def in_parts(steps, precision):
        run = begun(precision=precision)
        run.model.encoder.pipeline_steps = steps
        return losses(run)

    assert in_parts(8, "float32") == pytest.approx(in_parts(0, "float32"), rel=1e-4)
    low = in_parts(8, "bfloat16")
    assert low == pytest.approx(in_parts(0, "bfloat16"), rel=0.02)
    assert low == in_parts(8, "bfloat16")


def test_it_writes_texts():
    vocab = Vocab((*SPECIALS, *(f"word{i}" for i in range(V - len(SPECIALS)))))
    model = new_language_model(CONFIG, V).cuda()
    saved = SavedLanguageModel(model, vocab, CONFIG, "whitespace")
    one, two = (generate(saved, "word3 word4", tokens=20, seed=1) for _ in range(2))
    assert one == two
    assert len(one.split()) > 10
