"""The type that is recorded is the type that multiplies, on every device by one code.

A step runs on torch's meta device, which takes the way of a GPU and computes nothing; what is
written down are the kernels that it asks for. (cuDNN's own LSTM is one kernel on a GPU; here it is
the products that torch makes of it.)
"""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from hpsearch.trainers.step.dropout_masks import Masks
from hpsearch.trainers.step.gradients import gradients
from hpsearch.trainers.step.param_groups import freeze_to
from hpsearch.trainers.text.batches import Documents
from hpsearch.trainers.text.config import LanguageModelConfig
from hpsearch.trainers.text.language_model import files, fit
from hpsearch.trainers.text.language_model.files import evaluate_language_model, new_language_model
from hpsearch.trainers.text.language_model.fit import LanguageModelFit, plan_stages
from hpsearch.trainers.text.language_model.generate import _read
from hpsearch.trainers.text.networks.awd_lstm import AWDLSTM, Dropouts
from hpsearch.trainers.text.networks.classifier import TextClassifier

aten = torch.ops.aten
PRODUCTS = {aten.mm, aten.addmm, aten.bmm, aten.baddbmm, aten.linear, aten._cudnn_rnn}
WAITS = {aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten._unique2, aten.equal}
CONFIG = LanguageModelConfig(emb=8, hidden=12, layers=3, bs=4, seq_len=5, drop_mult=1.0, clip=0.1)


class Kernels(TorchDispatchMode):
    """Writes down the products' types, all types, all devices, and what would wait."""

    def __init__(self):
        super().__init__()
        self.products, self.types, self.devices, self.waits = [], set(), set(), []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        leaves = tree_flatten((args, kwargs, out))[0]
        tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
        self.types |= {t.dtype for t in tensors}
        self.devices |= {t.device.type for t in tensors}
        if func.overloadpacket in PRODUCTS:
            self.products.append({t.dtype for t in tensors})
        if func.overloadpacket in WAITS:
            self.waits.append(func)
        return out


class MetaMasks(Masks):
    """Masks without a generator: the meta device has none."""

    def __init__(self, seed, device):
        self.generator = None

    def restart(self, seed):
        pass


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(fit, "Masks", MetaMasks)

    def run(precision):
        ids = np.arange(90, dtype=np.int32) % 40
        docs = Documents(ids, np.array([0, 50, 90]))
        model = new_language_model(CONFIG, 40)
        run = LanguageModelFit(CONFIG, model, docs, device="meta", precision=precision)
        run.start_stage(plan_stages(CONFIG, len(run.groups))[-1])
        return run

    return run


TOKENS = torch.zeros(5, 4, dtype=torch.long, device="meta")


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_a_step(run, precision):
    dtype = getattr(torch, precision)
    run = run(precision)
    with Kernels() as kernels:
        loss, *grads = run._gradients(TOKENS, TOKENS)
    # Three layers: products with inputs and weights, forward and backward; decoder: four.
    assert len(kernels.products) >= 3 * 4 + 4
    assert all(types == {dtype} for types in kernels.products)
    assert kernels.devices == {"meta"}
    assert kernels.waits == []
    assert torch.float16 not in kernels.types
    assert {t.dtype for t in (loss, *grads)} == {torch.float32}


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_a_held_out_batch(run, precision, monkeypatch):
    dtype, run, seen = getattr(torch, precision), run(precision), []
    batch = files.CapturedStep

    def captured(step, **options):
        seen.append(step)
        return batch(step, **options)

    monkeypatch.setattr(files, "CapturedStep", captured)
    with pytest.raises(RuntimeError, match="meta"):  # the mean loss, at the end
        evaluate_language_model(run.model, run.train, CONFIG, "meta", dtype)
    with torch.no_grad(), Kernels() as kernels:
        loss, right = seen[0](TOKENS, TOKENS)
    assert all(types == {dtype} for types in kernels.products)
    assert (kernels.devices, kernels.waits) == ({"meta"}, [])
    assert (loss.dtype, right.dtype) == (torch.float32, torch.int64)


@pytest.mark.parametrize("n_thawed", [1, 2, 5], ids=["head", "one layer", "all"])
@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_a_classifiers_step(precision, n_thawed):
    dtype = getattr(torch, precision)
    encoder = AWDLSTM(40, 8, 12, 3, Dropouts(0.3, 0.2, 0.4, 0.1, 0.3))
    model = TextClassifier(encoder, 2, lin_ftrs=5, drop_mult=1.0, seq_len=5, max_len=12).to("meta")
    freeze_to(model.layer_groups(), -n_thawed)
    weights = [p for p in model.parameters() if p.requires_grad]
    tokens, rows = (torch.zeros(shape, dtype=torch.long, device="meta") for shape in ((20, 4), 4))
    with Kernels() as kernels:
        logits, penalty = model.forward_side_by_side(tokens, rows, MetaMasks(0, "meta"), dtype)
        loss = torch.nn.functional.cross_entropy(logits, rows) + penalty
        grads = gradients(loss, weights)
    # The head is small, and float32: two products, each with its two gradients.
    encoders = len(kernels.products) - (6 if dtype != torch.float32 else 0)
    assert kernels.products.count({dtype}) == encoders
    assert encoders >= 3 * 4 * 2
    assert kernels.devices == {"meta"}
    assert kernels.waits == []
    assert torch.float16 not in kernels.types
    assert {t.dtype for t in grads} == {torch.float32}


def test_what_is_generated(run):
    with torch.inference_mode(), Kernels() as kernels:
        _read(run("float32").model, [3, 4, 5])
    assert kernels.products
    assert all(types == {torch.float32} for types in kernels.products)
