"""Gradients and their clipping, and losses that end a trial."""

import math

import pytest
import torch

from hpsearch.trainers.contract import DivergedError
from hpsearch.trainers.step.gradients import check_finite, gradients


@pytest.mark.parametrize(("clip", "norm"), [(0.0, 10.0), (0.1, 0.1), (50.0, 10.0)])
def test_gradients_are_clipped_together_even_where_two_weights_share_one(clip, norm):
    class Shared(torch.autograd.Function):
        """As oneDNN's LSTM does with the gradients of its two biases: one tensor for both."""

        @staticmethod
        def forward(ctx, a, b):
            return a + b

        @staticmethod
        def backward(ctx, grad):
            return grad, grad

    a, b = (torch.zeros(2, requires_grad=True) for _ in range(2))
    loss = Shared.apply(a, b) @ torch.tensor([3.0, 4.0]) * 2**0.5  # a gradient of norm 10
    grads = gradients(loss, [a, b], clip)
    assert torch.cat(grads).norm().item() == pytest.approx(norm, rel=1e-4)
    assert torch.equal(*grads)
    assert a.grad is None


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_trial(loss):
    with pytest.raises(DivergedError, match="validation loss became"):
        check_finite(loss, "validation loss")
    assert check_finite(1.5, "validation loss") == 1.5
