"""Layers of an LSTM as a pipeline on a GPU: while one reads steps 10 to 19, the one above it reads
steps 0 to 9.

A step of one layer is a product of some microseconds that fills a third of a large GPU; three
layers on three streams fill it. What comes out is the same but for rounding: a weight's gradient
is a sum over the parts.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import torch
from torch import Tensor

from hpsearch.trainers.text.networks.lstm import LSTMLayer, State

Stream = torch.cuda.Stream | None

_streams = threading.local()


def read_in_pipeline(
    layers: Sequence[LSTMLayer],
    x: Tensor,
    state: State,
    weights_hh: Sequence[Tensor],
    masks: Sequence[Tensor | None],
    dtype: torch.dtype,
    steps: int,
) -> tuple[Tensor, State]:
    """Read the inputs in parts of `steps`, each layer on a stream of its own.

    Args:
        x: The inputs (T, B, n_in).
        weights_hh: The recurrent weights of the layers, with weight drop applied.
        masks: The dropout masks on the layers' outputs (1, B, H); None where nothing is dropped.

    Returns:
        The outputs of the last layer (T, B, H), and the state, cut from the graph.
    """
    streams = _layer_streams(x.device, len(layers))
    weights = [
        [w.to(dtype) for w in (rnn.weight_ih, hh, rnn.bias_ih, rnn.bias_hh)]
        for rnn, hh in zip(layers, weights_hh, strict=True)
    ]
    states = [(h.to(dtype), c.to(dtype)) for h, c in state]
    for stream, own, pair, mask in zip(streams, weights, states, masks, strict=True):
        _mark_as_used(stream, *own, *pair, mask)
    outputs = []
    for out in torch.split(x.to(dtype), steps):
        for i, stream in enumerate(streams):
            if stream and i:
                stream.wait_stream(streams[i - 1] or stream)
                _mark_as_used(stream, out)
            mask = masks[i]
            with torch.cuda.stream(stream):
                # arguments: bias, number of layers, dropout, training, bidirectional, batch first
                read, h, c = torch._VF.lstm(
                    out, states[i], weights[i], True, 1, 0.0, torch.is_grad_enabled(), False, False
                )
                states[i], out = (h, c), read if mask is None else read * mask
        outputs.append(out)
    # The last layer's last step comes after all others.
    if streams[0]:
        streams[0].wait_stream(streams[-1] or streams[0])
    _mark_as_used(streams[0], *outputs, *(tensor for pair in states for tensor in pair))
    return torch.cat(outputs), [(h.detach(), c.detach()) for h, c in states]


def _layer_streams(device: torch.device, n: int) -> list[Stream]:
    """A stream for each layer: the current one and n - 1 others, always the same of this thread
    (cuBLAS keeps a workspace for each). On a processor there are none."""
    if device.type != "cuda":
        return [None] * n
    others: list[Stream] = _streams.__dict__.setdefault(str(device), [])
    while len(others) < n - 1:
        others.append(torch.cuda.Stream(device))  # type: ignore[no-untyped-call]
    return [torch.cuda.current_stream(device), *others[: n - 1]]


def _mark_as_used(stream: Stream, *tensors: Tensor | None) -> None:
    """Tell the allocator that `stream` reads these too, so that nobody gets their memory before."""
    for tensor in tensors:
        if stream and tensor is not None:
            tensor.record_stream(stream)
