"""The network and its gradient, held against the same network out of torch's own layers."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from hpsearch.trainers.tabular.network.losses import weighted
from hpsearch.trainers.tabular.network.model import Sizes, TabularModel
from hpsearch.trainers.tabular.network.stack import DropMasks, Rows, Stack

pytestmark = pytest.mark.processor

NONE = DropMasks(None, [None, None])


class Reference(nn.Module):
    """Embeddings, batch norm of the numbers, (Linear, ReLU, BN) a layer, Linear."""

    def __init__(self, sizes):
        super().__init__()
        self.embeddings = nn.ModuleList(
            nn.Embedding(*shape) for shape in zip(sizes.n_categories, sizes.widths, strict=True)
        )
        widths = [sizes.n_in, *sizes.layers]
        self.linears = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm1d(n) for n in (sizes.n_continuous, *sizes.layers))
        self.out = nn.Linear(widths[-1], sizes.n_out)

    def forward(self, codes, numbers, drop=NONE):
        x = torch.cat([e(codes[:, i]) for i, e in enumerate(self.embeddings)], 1)
        x = x if drop.embeddings is None else x * drop.embeddings
        x = torch.cat([x, self.norms[0](numbers)], 1)
        for linear, norm, mask in zip(self.linears, self.norms[1:], drop.layers, strict=False):
            x = norm(torch.relu(linear(x)))
            x = x if mask is None else x * mask
        return self.out(x)

    def named(self):
        """Weights under our model's names."""
        named = {f"embedding.{i}": e.weight for i, e in enumerate(self.embeddings)}
        named |= {f"linear.{i}": one.weight for i, one in enumerate(self.linears)}
        for i, norm in enumerate(self.norms):
            named |= {f"norm.{i}.weight": norm.weight, f"norm.{i}.bias": norm.bias}
        return {**named, "out": self.out.weight, "out.bias": self.out.bias}


def pair(sizes, **options):
    torch.manual_seed(0)
    model, reference = TabularModel(sizes, **options), Reference(sizes)
    model.init_weights(torch.Generator().manual_seed(1))
    for name, weight in reference.named().items():
        weight.data.copy_(model.flat.weight[name] + 0.1 * torch.randn(weight.shape))
        model.flat.weight[name].copy_(weight.data)
    return model, reference


def batch(sizes, n=16):
    generator = torch.Generator().manual_seed(2)
    columns = [torch.randint(k, (n,), generator=generator) for k in sizes.n_categories]
    codes = torch.stack(columns, 1) if columns else torch.zeros(n, 0, dtype=torch.long)
    return codes, torch.randn(n, sizes.n_continuous, generator=generator)


def gradient(model, codes, numbers, targets, drop=NONE):
    """The mean loss of a model alone, its gradient in `model.flat`."""
    stack = Stack([model])
    loss = stack.gradient(stack.batch([Rows(codes, numbers, targets, drop)]))
    stack.write_back()
    return loss[0]


SIZES = Sizes((5, 30, 2), 4, (20, 10), 3)


@pytest.mark.parametrize("dropout", [False, True])
def test_loss_and_gradient_of_classes_are_torchs(dropout):
    model, reference = pair(SIZES)
    codes, numbers = batch(SIZES)
    targets = torch.arange(16) % 3
    drop = NONE
    if dropout:
        masks = [(torch.rand(16, w) > 0.3) / 0.7 for w in (sum(SIZES.widths), 20, 10)]
        drop = DropMasks(masks[0], masks[1:])
    loss = gradient(model, codes, numbers, targets, drop)
    expected = nn.functional.cross_entropy(reference(codes, numbers, drop), targets)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    for name, weight in reference.named().items():
        torch.testing.assert_close(model.flat.grad[name], weight.grad, rtol=1e-4, atol=1e-7)
    stack = Stack([model])
    stack.grads.fill_(7)  # what was there before does not matter
    stack.gradient(stack.batch([Rows(codes, numbers, targets, drop)]))
    for name, weight in reference.named().items():
        torch.testing.assert_close(model.flat.grad[name], weight.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("y_range", [None, (-1.0, 4.0)])
def test_loss_and_gradient_of_numbers_are_torchs(y_range):
    sizes = Sizes((5, 30), 2, (8,), 1)
    model, reference = pair(sizes, y_range=y_range)
    codes, numbers = batch(sizes)
    targets = torch.linspace(-0.5, 3, 16)
    loss = gradient(model, codes, numbers, targets, DropMasks(None, [None]))
    out = reference(codes, numbers)[:, 0]
    out = out if y_range is None else torch.sigmoid(out) * 5 - 1
    expected = nn.functional.mse_loss(out, targets)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    for name, weight in reference.named().items():
        torch.testing.assert_close(model.flat.grad[name], weight.grad, rtol=1e-4, atol=1e-6)


def test_predictions_use_the_running_statistics_as_torch_does():
    model, reference = pair(SIZES)
    codes, numbers = batch(SIZES)
    for _ in range(3):
        gradient(model, codes, numbers, torch.zeros(16).long())
        reference(codes, numbers)
    reference.eval()
    torch.testing.assert_close(model(codes, numbers), reference(codes, numbers).detach())
    other = TabularModel(SIZES)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(codes, numbers), model(codes, numbers))


@pytest.mark.parametrize(
    "sizes", [Sizes((), 3, (4,), 2), Sizes((3, 4), 0, (4,), 2), Sizes((3,), 1, (), 2)],
    ids=["no categories", "no numbers", "no hidden layer"],
)  # fmt: skip
def test_tables_of_one_kind_of_column_and_models_without_hidden_layers(sizes):
    model = TabularModel(sizes)
    model.init_weights(torch.Generator().manual_seed(0))
    codes, numbers = batch(sizes, 64)
    of = codes[:, 0] == 1 if sizes.n_categories else numbers[:, 0] > 0
    stack = Stack([model])
    optimiser = model.flat.optimiser(0.0)
    drop = DropMasks(None, [None] * len(sizes.layers))
    rows = stack.batch([Rows(codes, numbers, of.long(), drop)])
    losses = []
    for _ in range(60):
        losses.append(stack.gradient(rows).item())
        optimiser.step(0.05, 0.9)
    assert losses[-1] < 0.2 * losses[0]


def test_embedding_widths_are_the_rule_of_thumb():
    assert Sizes((2, 10, 43, 10**6), 0, (), 1).widths == [2, 6, 13, 600]


def test_only_embeddings_and_matrices_decay():
    flat = TabularModel(SIZES).flat
    decaying = sum(flat.weight[name].numel() for name in flat.weight if "norm" not in name) - 3
    assert flat.n_decayed == decaying
    assert [part.wd for part in flat.optimiser(0.1).parts] == [0.1, 0.0]


def test_weighted_loss_and_gradient_are_torchs():
    generator = torch.Generator().manual_seed(0)
    out = torch.randn(30, 3, generator=generator, requires_grad=True)
    targets = torch.randint(3, (30,), generator=generator)
    weights = torch.tensor([0.5, 1.0, 7.0])
    loss, back = weighted(weights)(out.detach(), targets)
    each = torch.nn.functional.cross_entropy(out, targets, reduction="none")
    expected = (each * weights[targets]).mean()
    (gradient,) = torch.autograd.grad(expected, out)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(back, gradient)
