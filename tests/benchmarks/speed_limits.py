"""What the machine can do, and how near to it the parts of a training come."""

import time
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from hpsearch.trainers.shared.device import resolve_precision
from hpsearch.trainers.step import dropout_masks
from hpsearch.trainers.step.optimiser import GroupedAdamW
from hpsearch.trainers.text.networks import awd_lstm, pools


def best(work, repeats=5):
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


@dataclass(frozen=True)
class Machine:
    """Products in floating-point operations a second, copies in bytes read and written a second."""

    product: float
    product_float32: float
    copy: float

    @staticmethod
    def measure():
        rates = []
        for dtype in (resolve_precision("auto", "cpu"), torch.float32):
            a, b = (torch.randn(2048, 2048).to(dtype) for _ in range(2))
            rates.append(2 * 2048**3 / best(lambda a=a, b=b: a @ b))
        x = torch.randn(64_000_000)
        y = torch.empty_like(x)
        return Machine(*rates, 2 * x.nbytes / best(lambda: y.copy_(x)))

    def __str__(self):
        products = f"{self.product / 1e9:.0f} GFLOP/s (float32 {self.product_float32 / 1e9:.0f})"
        return f"products {products}, copies {self.copy / 1e9:.0f} GB/s"


PARTS = {
    "recurrent products": (
        "aten::mkldnn_rnn_layer", "aten::mkldnn_rnn_layer_backward", "_TrainedLSTM",
        "_TrainedLSTMBackward",
    ),
    "decoder and loss": ("_SoftmaxLoss", "_SoftmaxLossBackward"),
    "embedding": ("embed", "aten::embedding_dense_backward"),
    "dropout masks": ("masks",),
    "pools and penalty, forward": ("pools", "penalty"),
    "optimiser": ("optimiser",),
}  # fmt: skip


def _labelled(owner, name, label):
    """Record the method under `label` in profiles."""
    plain = getattr(owner, name)

    def recorded(*args, **kwargs):
        with record_function(label):
            return plain(*args, **kwargs)

    setattr(owner, name, recorded)
    return lambda: setattr(owner, name, plain)


def where_time_goes(machine, work, sizes, n_vocab, n_tokens, *, decoder):
    """Run `work` once more under torch's profiler and print its parts; of the products also their
    share of the machine's rate (three products a weight: forward, to inputs, to weights), of the
    optimiser that of the machine's copies (four numbers of each weight read, three written)."""
    undo = [
        _labelled(dropout_masks.Masks, "draw", "masks"),
        _labelled(awd_lstm.AWDLSTM, "embed", "embed"),
        _labelled(pools.Pools, "add", "pools"),
        _labelled(pools.Penalty, "add", "penalty"),
        _labelled(GroupedAdamW, "step", "optimiser"),
    ]
    with profile(activities=[ProfilerActivity.CPU]) as run, record_function("everything"):
        work()
    for one in undo:
        one()
    # torch's LSTM calls itself once more under the same name: its own time is the one to count.
    total_of = {
        event.key: (event.self_cpu_time_total if "rnn" in event.key else event.cpu_time_total) / 1e6
        for event in run.key_averages()
    }
    optimiser = next(e for e in run.key_averages() if e.key == PARTS["optimiser"][0])
    # Gradients are made on the profiled thread too: all lies inside "everything".
    everything = total_of["everything"]
    emb, hidden, layers = sizes
    widths = [emb, *[hidden] * (layers - 1), emb]
    weights = sum(4 * b * (a + b) for a, b in pairwise(widths))
    limit_of = {"recurrent products": 6 * weights * n_tokens / machine.product}
    if decoder:
        limit_of["decoder and loss"] = 6 * emb * n_vocab * n_tokens / machine.product
        numbers = weights + emb * n_vocab
        limit_of["optimiser"] = 7 * 4 * numbers * optimiser.count / machine.copy
    left = everything
    for part, names in PARTS.items():
        seconds = sum(total_of.get(name, 0.0) for name in names)
        left -= seconds
        line = f"    {part:28} {seconds / everything:5.1%}"
        if seconds and part in limit_of:
            line += f", at {limit_of[part] / seconds:.0%} of the machine's rate"
        if seconds:
            print(line)
    print(f"    {'everything else':28} {left / everything:5.1%}", flush=True)
