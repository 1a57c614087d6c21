"""The softmax in chunks against torch's own cross-entropy."""

import pytest
import torch
from torch import nn

from hpsearch.trainers.text.networks.softmax import CHUNK, softmax_loss, softmax_score

pytestmark = pytest.mark.processor


def case(n, dtype=torch.float32):
    torch.manual_seed(0)
    hidden = torch.randn(n, 8).to(dtype).requires_grad_()
    weight, bias = torch.randn(50, 8).requires_grad_(), torch.randn(50).requires_grad_()
    return (hidden, weight, bias), torch.randint(0, 50, (n,))


@pytest.mark.parametrize("n", [1, CHUNK, 2 * CHUNK + 7])
def test_loss_and_gradients_are_those_of_torch(n):
    tensors, targets = case(n)
    (3 * softmax_loss(*tensors, targets)).backward()
    ours = [t.grad.clone() for t in tensors]
    for t in tensors:
        t.grad = None
    expected = nn.functional.cross_entropy(nn.functional.linear(*tensors), targets)
    (3 * expected).backward()
    assert softmax_loss(*tensors, targets).item() == pytest.approx(expected.item(), rel=1e-6)
    for mine, t in zip(ours, tensors, strict=True):
        torch.testing.assert_close(mine, t.grad, rtol=1e-4, atol=1e-7)


def test_bfloat16_is_as_exact_as_bfloat16_can_be():
    (hidden, weight, bias), targets = case(500, torch.bfloat16)
    softmax_loss(hidden, weight, bias, targets).backward()
    got = weight.grad.clone()
    weight.grad = None
    exact = nn.functional.linear(hidden.detach().float(), weight, bias)
    nn.functional.cross_entropy(exact, targets).backward()
    assert (got - weight.grad).norm() / weight.grad.norm() < 0.01


def test_the_score_counts_the_targets_that_have_the_highest_logit():
    tensors, targets = case(CHUNK + 3)
    logits = nn.functional.linear(*tensors)
    loss, right = softmax_score(*tensors, targets)
    assert right == (logits.argmax(1) == targets).sum()
    expected = nn.functional.cross_entropy(logits, targets, reduction="sum").item()
    assert loss.item() == pytest.approx(expected, rel=1e-5)
