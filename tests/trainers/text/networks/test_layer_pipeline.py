"""Layers as a pipeline compute what they compute one after another."""

import pytest
import torch

from hpsearch.trainers.step.dropout_masks import Masks
from hpsearch.trainers.text.networks import layer_pipeline
from hpsearch.trainers.text.networks.awd_lstm import AWDLSTM, Dropouts
from hpsearch.trainers.text.networks.layer_pipeline import read_in_pipeline

DROP = Dropouts(input=0.2, hidden=0.3, weight=0.4, embedding=0.1, output=0)


def reading(steps, n_steps=23, frozen=0):
    """Outputs, states and gradients of a chunk; `steps` None: layer by layer."""
    encoder = AWDLSTM(50, 8, 12, 3, DROP).double()
    encoder.init_weights(torch.Generator().manual_seed(0))
    for rnn in encoder.layers[:frozen]:
        rnn.requires_grad_(requires_grad=False)
    draw = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, 50, (n_steps, 4), generator=draw)
    state = [
        tuple(torch.randn(s.shape, generator=draw, dtype=s.dtype) for s in pair)
        for pair in encoder.zero_state(4)
    ]
    masks = Masks(2, torch.device("cpu"))
    dropout = encoder.draw_dropout(masks, 1, 4, torch.float64)
    if steps is None:
        out, new = encoder.read(tokens, state, dropout, torch.float64)
    else:
        x = encoder.embed(tokens[:, None], dropout)[:, 0]
        out, new = read_in_pipeline(
            encoder.layers, x, state, dropout.weights, dropout.hidden, torch.float64, steps
        )
    weights = [p for p in encoder.parameters() if p.requires_grad]
    grads = torch.autograd.grad(out.square().sum(), weights)
    return [out, *(s for pair in new for s in pair), *grads]


@pytest.mark.parametrize("steps", [1, 10, 23, 40])
@pytest.mark.parametrize("frozen", [0, 2])
def test_outputs_states_and_gradients_are_the_same(steps, frozen):
    for one, two in zip(reading(steps, frozen=frozen), reading(None, frozen=frozen), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-11, atol=1e-12)


def test_the_states_carry_no_graph():
    assert not any(s.requires_grad for s in reading(10)[1:7])


class FakeStream:
    def __init__(self, name, said):
        self.name, self.said = name, said

    def wait_stream(self, other):
        self.said.append((self.name, "waits for", other.name))


def test_each_layer_waits_for_the_one_below_and_memory_is_held_for_who_reads_it(monkeypatch):
    said, read = [], []
    lanes = [FakeStream(name, said) for name in "abc"]
    monkeypatch.setattr(layer_pipeline, "_layer_streams", lambda device, n: lanes[:n])
    monkeypatch.setattr(
        layer_pipeline, "_mark_as_used", lambda lane, *t: read.append((lane.name, len(t)))
    )

    class On:
        def __init__(self, lane):
            said.append((lane.name, "works"))

        def __enter__(self):
            pass

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(torch.cuda, "stream", On)
    reading(10, n_steps=20)
    part = [("a", "works"), ("b", "waits for", "a"), ("b", "works"), ("c", "waits for", "b"),
            ("c", "works")]  # fmt: skip
    assert said == [*part, *part, ("a", "waits for", "c")]
    # Four weights, two states and a mask each; outputs of the layer below; at last everything.
    each, below = [(name, 7) for name in "abc"], [("b", 1), ("c", 1)]
    assert read == [*each, *below, *below, ("a", 2 + 6)]
