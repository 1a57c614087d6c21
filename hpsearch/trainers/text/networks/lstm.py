"""One LSTM layer, and the training of a large one in bfloat16 on a processor.

Shapes: T steps, B documents, H width of the layer, n_in of its input. torch's own LSTM is nearly as
fast as the processor multiplies in float32 and where no gradient is wanted. Its bfloat16 gradient
reaches less than half of that once the weights outgrow the cache: there `_TrainedLSTM` takes over.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# cuDNN wants all weights of a layer in one block of memory, and copies them into one at each call.
# Weight drop makes a new matrix for each call, so that nothing is lost by it.
warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous")

State = list[tuple[Tensor, Tensor]]
"""Per layer (h, c), each (1, B, width)."""

LARGE = 2_000_000
"""From how many weights on `_TrainedLSTM` is the faster one (4 MB of them in bfloat16)."""

Weights = tuple[Tensor, Tensor, Tensor, Tensor]
"""Input-to-hidden and hidden-to-hidden matrix, and their biases."""


class LSTMLayer(nn.Module):
    """One LSTM layer whose hidden-to-hidden matrix can be given anew at each call (weight drop)."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.n_out = n_out
        self.weight_ih = nn.Parameter(torch.empty(4 * n_out, n_in))
        self.weight_hh = nn.Parameter(torch.empty(4 * n_out, n_out))
        self.bias_ih = nn.Parameter(torch.empty(4 * n_out))
        self.bias_hh = nn.Parameter(torch.empty(4 * n_out))

    def forward(
        self,
        x: Tensor,
        state: tuple[Tensor, Tensor],
        weight_hh: Tensor,
        dtype: torch.dtype = torch.float32,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """`read_layer` with the layer's weights."""
        return read_layer(x, state, self.weights(weight_hh), dtype)

    def weights(self, weight_hh: Tensor) -> Weights:
        """The layer's weights, with another hidden-to-hidden matrix."""
        return self.weight_ih, weight_hh, self.bias_ih, self.bias_hh


def read_layer(
    x: Tensor, state: tuple[Tensor, Tensor], weights: Weights, dtype: torch.dtype
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Read inputs with one LSTM layer.

    Products and outputs are of type `dtype`, whatever the types of the arguments.

    Args:
        x: The inputs (T, B, n_in).

    Returns:
        The outputs (T, B, H), and the state after the last step. The state is cut from the graph:
        gradients reach back to the beginning of `x`, no further.
    """
    grad = torch.is_grad_enabled() and any(t.requires_grad for t in (x, *weights))
    large = weights[0].numel() + weights[1].numel() >= LARGE
    if grad and large and x.device.type == "cpu" and dtype == torch.bfloat16:
        out, h, c = _TrainedLSTM.apply(x, *state, *weights)  # type: ignore[no-untyped-call]
    else:
        # torch's LSTM multiplies in the type that all its tensors have.
        x, (h, c) = x.to(dtype), (s.to(dtype) for s in state)
        low = [weight.to(dtype) for weight in weights]
        # arguments: bias, number of layers, dropout, training, bidirectional, batch first
        out, h, c = torch._VF.lstm(x, (h, c), low, True, 1, 0.0, grad, False, False)
    return out, (h.detach(), c.detach())


class _TrainedLSTM(torch.autograd.Function):
    """Features come first and documents last: so the products of a step, (4H, H) @ (H, B), reach
    the processor's speed. Gates and cell states are float32, what is multiplied is bfloat16."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        x: Tensor,
        h: Tensor,
        c: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor,
        bias_hh: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x (T, B, n_in), h and c (1, B, H) -> outputs (T, B, H), h and c (1, B, H)."""
        (steps, batch, _), width = x.shape, weight_hh.shape[1]
        ih, hh = weight_ih.bfloat16(), weight_hh.bfloat16()
        # tanh(a) = 2 sigmoid(2a) - 1: one sigmoid for all gates; torch's tanh is far slower.
        double = torch.ones(4 * width, 1, dtype=torch.bfloat16)
        double[2 * width : 3 * width] = 2
        bias = (bias_ih + bias_hh).bfloat16()[:, None] * double
        columns = _columns(x.bfloat16())
        inner = torch.addmm(bias, ih * double, columns).view(-1, steps, batch)
        inner = inner.transpose(0, 1).contiguous()
        doubled = hh * double
        hidden = torch.empty(steps + 1, width, batch, dtype=torch.bfloat16)
        cells, tanh_cells = torch.empty(steps + 1, width, batch), torch.empty(steps, width, batch)
        hidden[0], cells[0] = h[0].t(), c[0].t()
        gates = torch.empty(steps, 4 * width, batch)
        for t in range(steps):
            torch.addmm(inner[t], doubled, hidden[t], out=inner[t])
            i, f, g, o = gates[t].copy_(inner[t]).sigmoid_().chunk(4)
            g.mul_(2).sub_(1)
            cell = torch.mul(f, cells[t], out=cells[t + 1]).addcmul_(i, g)
            tanh = torch.mul(cell, 2, out=tanh_cells[t]).sigmoid_().mul_(2).sub_(1)
            hidden[t + 1] = o * tanh
        ctx.save_for_backward(columns, ih, hh, hidden, gates, cells, tanh_cells)
        h, c = (states[-1:].transpose(1, 2).contiguous() for states in (hidden, cells))
        ctx.mark_non_differentiable(h, c)
        return hidden[1:].transpose(1, 2), h, c

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """grad (T, B, H) of the outputs -> gradients of x, h, c (None) and the weights."""
        columns, ih, hh, hidden, gates, cells, tanh_cells = ctx.saved_tensors
        steps, width, batch = tanh_cells.shape
        to_gates = torch.empty(steps, 4 * width, batch, dtype=torch.bfloat16)
        to_out, to_cell = grad.transpose(1, 2).float(), torch.zeros(width, batch)
        back = hh.t().contiguous()
        part = torch.empty(4 * width, batch)
        part_i, part_f, part_g, part_o = part.chunk(4)
        for t in reversed(range(steps)):
            i, f, g, o = gates[t].chunk(4)
            to_h = to_out[t]
            if t + 1 < steps:
                to_h = to_h + torch.mm(back, to_gates[t + 1]).float()
            to_cell += torch.ops.aten.tanh_backward(to_h * o, tanh_cells[t])
            torch.mul(to_cell, g, out=part_i)
            torch.mul(to_cell, cells[t], out=part_f)
            torch.mul(to_cell, i, out=part_g)
            torch.mul(to_h, tanh_cells[t], out=part_o)
            for own, gate in ((part[: 2 * width], gates[t, : 2 * width]), (part_o, o)):
                torch.ops.aten.sigmoid_backward.grad_input(own, gate, grad_input=own)
            torch.ops.aten.tanh_backward.grad_input(part_g, g, grad_input=part_g)
            to_cell *= f
            to_gates[t] = part
        flat = to_gates.transpose(0, 1).flatten(1)
        to_x = None
        if ctx.needs_input_grad[0]:
            to_x = (ih.t().contiguous() @ flat).view(-1, steps, batch).permute(1, 2, 0)
        to_ih = (flat @ columns.t()).float()
        to_hh = (flat @ _columns(hidden[:-1].transpose(1, 2)).t()).float()
        bias = (flat @ flat.new_ones(flat.shape[1], 1)).float()[:, 0]
        return to_x, None, None, to_ih, to_hh, bias, bias


def _columns(x: Tensor) -> Tensor:
    """(T, B, width) -> (width, T * B), contiguous."""
    return x.permute(2, 0, 1).flatten(1).contiguous()
