"""Reading all chunks of a batch side by side, with their gradient.

A document's gradient ends where its chunk begins: there the state is cut from the graph, as in
fastai. So once the states at the chunks' edges are known, no chunk waits for another. A first pass
reads the documents from chunk to chunk without a graph and keeps the states; a second reads all
chunks as one batch of (chunks x documents) sequences, and only that one is differentiated. On a
GPU, where a step of a small batch takes as long as one of a large batch, K chunks cost K + 2 times
the latency of one instead of 3 K. On a processor the first pass would be work done twice.

Shapes: S steps a chunk, K chunks, B documents, E width of the outputs, H of a layer.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from hpsearch.trainers.text.networks.awd_lstm import AWDLSTM, EncoderDropout
from hpsearch.trainers.text.networks.lstm import Weights, read_layer

BUCKETS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 34, 40)
"""Batches are padded to one of these numbers of chunks, so that there are few shapes. For a longer
document `bucket` is None: such a document is rare, and padding all others to it costs too much."""
BYTES = 4 * 2**30
"""About as much memory as the second pass may take. It does not depend on the memory that is free:
the order of summation follows from it, and must not depend on other processes."""


def bucket(n_tokens: int, seq_len: int) -> int | None:
    """The number of chunks that a batch is padded to if its longest document has `n_tokens`."""
    n_chunks = -(-n_tokens // seq_len)
    return next((n for n in BUCKETS if n >= n_chunks), None)


def pays_on(device: str) -> bool:
    """Whether it is faster on this device to read chunks side by side."""
    return torch.device(device).type == "cuda"


def read_side_by_side(
    encoder: AWDLSTM,
    tokens: Tensor,
    seq_len: int,
    dropout: EncoderDropout,
    dtype: torch.dtype,
    max_bytes: int = BYTES,
) -> Tensor:
    """Read all chunks of a batch of documents.

    Outputs of padding are computed like all others; the caller masks them.

    Args:
        tokens: The documents (K * S, B), padded at the end.
        seq_len: S, the length of a chunk.
        dtype: The type of the products and of the outputs.
        max_bytes: If the graphs of all chunks would take more memory, the chunks are read in
            groups, and the backward pass reads each group once more.

    Returns:
        The outputs of the last layer (K * S, B, E). Their graph is cut between the chunks.
    """
    chunks = tokens.view(-1, seq_len, tokens.shape[1]).transpose(0, 1)
    n_chunks, batch = chunks.shape[1:]
    thawed = _first_thawed(encoder)
    layers = [
        _Layer(layer.weights(weight), dtype)
        for layer, weight in zip(encoder.layers, dropout.weights, strict=True)
    ]
    with torch.no_grad():
        x = encoder.embed(chunks, dropout)
        edges: list[tuple[Tensor, Tensor]] = []
        for i, (layer, mask) in enumerate(zip(layers, dropout.hidden, strict=True)):
            if i == thawed:
                # Only the second pass needs the outputs of the last chunk.
                start, x = x, x[:, : n_chunks - 1]
            x, states = _read_in_turn(layer, x, mask)
            edges.append(states)
    if thawed == len(layers):
        return x.transpose(0, 1).flatten(0, 1)

    def read(first: int, stop: int) -> Tensor:
        part = dropout.chunks(first, stop, batch)
        if encoder.embedding.weight.requires_grad:
            x = encoder.embed(chunks[:, first:stop], part)
        else:
            x = start[:, first:stop]
        for i in range(thawed, len(layers)):
            h, c = (edge[first:stop].flatten(0, 1)[None] for edge in edges[i])
            out, _ = layers[i](x.flatten(1, 2), (h, c))
            x = out.view(seq_len, stop - first, batch, -1)
            mask = part.hidden[i]
            x = x if mask is None else x * mask
        return x

    size = max(1, max_bytes // max(1, _bytes_of_a_chunk(encoder, thawed, seq_len * batch, dtype)))
    if size >= n_chunks:
        out = read(0, n_chunks)
    else:
        again = partial(checkpoint, read, use_reentrant=False, preserve_rng_state=False)
        groups = range(0, n_chunks, size)
        out = torch.cat([again(k, min(k + size, n_chunks)) for k in groups], dim=1)
    return out.transpose(0, 1).flatten(0, 1)


def _first_thawed(encoder: AWDLSTM) -> int:
    """The first layer that needs a gradient, its own or that of what lies below it."""
    if encoder.embedding.weight.requires_grad:
        return 0
    learns = [any(p.requires_grad for p in layer.parameters()) for layer in encoder.layers]
    return learns.index(True) if any(learns) else len(learns)


class _Layer:
    """An LSTM layer whose weights are converted to `dtype` once, not for every chunk."""

    def __init__(self, weights: Weights, dtype: torch.dtype) -> None:
        ih, hh, bias_ih, bias_hh = (weight.to(dtype) for weight in weights)
        self.weights, self.dtype, self.width = (ih, hh, bias_ih, bias_hh), dtype, hh.shape[1]

    def __call__(
        self, x: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        return read_layer(x, state, self.weights, self.dtype)


def _read_in_turn(
    layer: _Layer, x: Tensor, mask: Tensor | None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """A layer's inputs x (S, K, B, n), chunk after chunk -> outputs (S, K, B, H) times the mask
    (K, B, H), and the states h and c (K + 1, B, H) before each chunk and after the last."""
    n_chunks, batch = x.shape[1:3]
    zero = x.new_zeros((1, batch, layer.width), dtype=layer.dtype)
    states, outs = [(zero, zero)], [x.new_empty((len(x), 0, batch, layer.width), dtype=layer.dtype)]
    for k in range(n_chunks):
        out, state = layer(x[:, k].contiguous(), states[k])
        outs.append((out if mask is None else out * mask[k])[:, None])
        states.append(state)
    h, c = (torch.cat(kind) for kind in zip(*states, strict=True))
    return torch.cat(outs, 1), (h, c)


def _bytes_of_a_chunk(encoder: AWDLSTM, thawed: int, rows: int, dtype: torch.dtype) -> int:
    """About what the graph of one chunk of `rows` tokens keeps: of every thawed layer its inputs,
    gates, cells and outputs."""
    widths = [layer.weight_ih.shape[1] + 8 * layer.n_out for layer in encoder.layers[thawed:]]
    return rows * sum(widths) * dtype.itemsize
