"""The layer's own bfloat16 training against torch's LSTM in float32."""

import pytest
import torch

from hpsearch.trainers.text.networks import lstm
from hpsearch.trainers.text.networks.lstm import LSTMLayer

pytestmark = pytest.mark.processor


def run(layer, x, state, *, low):
    """Outputs, state and gradients of x and weights for a fixed gradient of the outputs."""
    x = x.clone().requires_grad_()
    layer.zero_grad()
    dtype = torch.bfloat16 if low else torch.float32
    out, (h, c) = layer(x, state, layer.weight_hh, dtype)
    torch.manual_seed(1)
    out.backward(torch.randn(out.shape).to(out.dtype))
    return [out, h, c, x.grad, *(p.grad for p in layer.parameters())]


@pytest.mark.parametrize(("n_in", "width", "batch"), [(6, 10, 3), (33, 17, 1), (64, 48, 16)])
def test_large_layers_train_in_bfloat16_as_in_float32_but_for_its_rounding(
    monkeypatch, n_in, width, batch
):
    torch.manual_seed(0)
    layer = LSTMLayer(n_in, width)
    for parameter in layer.parameters():
        torch.nn.init.uniform_(parameter, -0.5, 0.5)
    x, state = torch.randn(12, batch, n_in), (torch.randn(1, batch, width) / 4,) * 2
    expected = run(layer, x, state, low=False)
    calls = []
    plain = lstm._TrainedLSTM.apply
    monkeypatch.setattr(lstm._TrainedLSTM, "apply", lambda *a: calls.append(1) or plain(*a))
    monkeypatch.setattr(lstm, "LARGE", 0)
    got = run(layer, x, state, low=True)
    assert calls
    monkeypatch.setattr(lstm, "LARGE", 10**9)
    torchs = run(layer, x, state, low=True)
    assert len(calls) == 1
    for mine, theirs, exact in zip(got, torchs, expected, strict=True):
        assert mine.shape == exact.shape
        error, torch_error = ((t.float() - exact).norm() / exact.norm() for t in (mine, theirs))
        assert error < max(0.01, 1.5 * torch_error)


def test_a_frozen_layer_below_gets_no_gradient_and_the_weights_theirs(monkeypatch):
    monkeypatch.setattr(lstm, "LARGE", 0)
    torch.manual_seed(0)
    layer = LSTMLayer(5, 8)
    for parameter in layer.parameters():
        torch.nn.init.uniform_(parameter, -0.5, 0.5)
    x, state = torch.randn(4, 3, 5), (torch.zeros(1, 3, 8),) * 2
    grads = []
    for needs in (True, False):
        layer.zero_grad()
        below = x.clone().requires_grad_(needs)
        out, _ = layer(below, state, layer.weight_hh, torch.bfloat16)
        out.sum().backward()
        grads.append([p.grad.clone() for p in layer.parameters()])
    for one, two in zip(*grads, strict=True):
        torch.testing.assert_close(one, two)
