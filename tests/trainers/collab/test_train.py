"""The trainer learns, repeats itself to the bit, resumes to the same end; its gradients are
those of autograd, its steps those of torch's AdamW."""

from dataclasses import replace
from functools import partial
from types import MappingProxyType

import numpy as np
import pytest
import torch
from graph_tape import Tape
from torch_adamw import set_rates

from hpsearch.errors import InputError
from hpsearch.trainers.collab import fit as run
from hpsearch.trainers.collab import train as trainer
from hpsearch.trainers.collab.config import CollabConfig, parse_y_range
from hpsearch.trainers.collab.fit import DotBiasLoop, new_optimiser
from hpsearch.trainers.collab.model import DotBias, Link
from hpsearch.trainers.collab.prepare import number_ratings
from hpsearch.trainers.collab.saved import load_collab
from hpsearch.trainers.contract import DivergedError, TrialSetup
from hpsearch.trainers.shared.lr_finder import find_lr, restored
from hpsearch.trainers.step.cuda_graph import CapturedStep
from hpsearch.trainers.step.schedule import OneCycle

pytestmark = pytest.mark.processor

MODELS = ("dot-bias", "neural-net")
LINKS = [Link((0.0, 5.5)), Link(None), Link(None, implicit=True)]


def fit(data, *, seed=0, report=None, params=MappingProxyType({}), **given):
    records = []
    result = trainer.train(
        {"k": 5},
        {"epochs": 3, "bs": 16, "lr": 0.02, "n_factors": 8, **params},
        data,
        TrialSetup(seed=seed, device="cpu", report=report or records.append, **given),
    )
    return result, records


def facts(records):
    return [(r.stage, r.epoch, r.train_loss, r.valid_loss, r.metrics, r.lrs) for r in records]


@pytest.fixture(scope="module")
def explicit(dataset):
    return number_ratings(dataset, CollabConfig())


@pytest.fixture(scope="module")
def choices(dataset):
    """Who rated what above 3, without the rating."""
    liked = dataset.ratings[dataset.ratings["rating"] > 3].drop(columns="rating")
    return number_ratings(replace(dataset, ratings=liked), CollabConfig())


@pytest.mark.parametrize("link", LINKS)
def test_the_gradient_by_hand_is_that_of_autograd(link):
    model = DotBias(6, 5, 7)
    model.init_weights(torch.Generator().manual_seed(0))
    model.table.data.mul_(50)
    users, items = torch.randint(0, 5, (32,)), torch.randint(0, 7, (32,))  # many duplicates
    targets = torch.rand(32)
    loss = link.loss(model(users, items), targets)
    loss.backward()
    loop = DotBiasLoop(model, new_optimiser(model, 0.1), link, 0.1, 32)
    scores = torch.empty(32)
    loop.gradient(torch.cat([users, items + 5]), loop._wanted(targets), scores)
    torch.testing.assert_close(loop.grad, model.table.grad, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(link.loss(scores, targets), loss.detach())


@pytest.mark.parametrize("link", LINKS)
def test_an_epoch_is_that_of_torch_with_autograd_and_adamw(link):
    rng = torch.Generator().manual_seed(1)
    pairs = torch.stack([torch.randint(0, 9, (160,)), torch.randint(0, 11, (160,))], 1)
    targets = torch.rand(160, generator=rng)
    ours, peer = DotBias(5, 9, 11), DotBias(5, 9, 11)
    ours.init_weights(rng)
    peer.load_state_dict(ours.state_dict())
    cycle = OneCycle(20, 0.25)
    loop = DotBiasLoop(ours, new_optimiser(ours, 0.1), link, 0.1, 16)
    loss = loop.train_epoch(pairs, targets, cycle, 0, 0.05)
    optimiser = torch.optim.AdamW(peer.parameters(), betas=(0.9, 0.99), eps=1e-5, weight_decay=0.1)
    optimiser.param_groups[0]["layer_group"] = 0
    losses = []
    for i, (batch, wanted) in enumerate(zip(pairs.split(16), targets.split(16), strict=True)):
        share, momentum = cycle.at(i)
        set_rates(optimiser, [0.05 * share], momentum)
        one = link.loss(peer(batch[:, 0], batch[:, 1]), wanted)
        optimiser.zero_grad()
        one.backward()
        optimiser.step()
        losses.append(one.item())
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-5)
    torch.testing.assert_close(ours.table, peer.table, rtol=1e-4, atol=1e-6)


def test_biases_may_decay_otherwise_than_factors():
    rng = torch.Generator().manual_seed(1)
    pairs = torch.stack([torch.randint(0, 9, (160,)), torch.randint(0, 11, (160,))], 1)
    targets, link, cycle = torch.rand(160, generator=rng), Link((0.0, 1.5)), OneCycle(10)
    model = DotBias(5, 9, 11)
    model.init_weights(rng)
    factors, biases = (model.table.detach()[:, part].clone() for part in (slice(5), slice(5, 6)))
    groups = [{"params": [factors.requires_grad_()], "weight_decay": 3.0, "layer_group": 0}]
    groups += [{"params": [biases.requires_grad_()], "weight_decay": 0.5, "layer_group": 0}]
    optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.99), eps=1e-5)
    for i, (batch, wanted) in enumerate(zip(pairs.split(16), targets.split(16), strict=True)):
        users, items = batch[:, 0], batch[:, 1] + 9
        dots = (factors[users] * factors[items]).sum(1)
        share, momentum = cycle.at(i)
        set_rates(optimiser, [0.05 * share], momentum)
        optimiser.zero_grad()
        link.loss(dots + biases[users, 0] + biases[items, 0], wanted).backward()
        optimiser.step()
    loop = DotBiasLoop(model, new_optimiser(model, 3.0), link, 3.0, 16, bias_wd=0.5)
    loop.train_epoch(pairs, targets, cycle, 0, 0.05)
    torch.testing.assert_close(model.table, torch.cat([factors, biases], 1), rtol=1e-4, atol=1e-6)


def test_it_learns_more_than_the_biases(explicit):
    result, records = fit(explicit, params={"epochs": 10, "wd": 0.01})
    biases = explicit.train.values.mean()
    item_mean = np.array([
        explicit.train.values[explicit.train.items == i].mean()
        for i in range(1, len(explicit.item_ids))
    ])  # fmt: skip
    known = explicit.valid.items > 0
    error = explicit.valid.values[known] - item_mean[explicit.valid.items[known] - 1]
    assert result.metrics["mse"] < 0.5 * np.square(error).mean()
    assert result.metrics["mse"] < 0.5 * np.square(explicit.valid.values - biases).mean()
    assert records[-1].train_loss < records[0].train_loss


@pytest.mark.parametrize("model", MODELS)
def test_choices_are_ranked_better_than_by_chance(choices, model):
    result, _ = fit(choices, params={"epochs": 6, "wd": 0.01, "model": model})
    by_chance = 5 / (len(choices.item_ids) - 1)
    assert set(result.metrics) == {"recall", "ndcg", "map"}
    assert result.metrics["recall"] > 1.5 * by_chance


@pytest.mark.parametrize("model", MODELS)
def test_the_same_seed_gives_the_same_result_to_the_bit_and_another_does_not(explicit, model):
    params = {"model": model, "emb_drop": 0.1}
    (_, one), (_, two), (_, other) = (fit(explicit, params=params, seed=seed) for seed in (0, 0, 1))
    assert facts(one) == facts(two)
    assert facts(one) != facts(other)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("killed_after", [1, 2])
def test_a_killed_trial_resumes_to_the_result_of_an_uninterrupted_one(
    explicit, tmp_path, model, killed_after
):
    params = {"model": model, "emb_drop": 0.1}
    _, uninterrupted = fit(explicit, params=params)
    seen = []

    def kill(record):
        seen.append(record)
        if len(seen) == killed_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(explicit, params=params, report=kill, checkpoint=tmp_path)
    _, resumed = fit(explicit, params=params, checkpoint=tmp_path)
    assert facts(resumed) == facts(uninterrupted)


@pytest.mark.parametrize("model", MODELS)
def test_the_range_test_lowers_the_loss_and_leaves_no_trace(explicit, model):
    config = CollabConfig(model=model, bs=16, n_factors=8)
    test = trainer.lr_test(config, explicit, stage="all", seed=0, device="cpu")
    before = [p.detach().clone() for p in test.model.parameters()]
    with restored([test.model], [test.optimiser]):
        curve = find_lr(test.step)
    assert min(curve.smoothed[20:]) < 0.9 * curve.smoothed[20]
    assert 1e-4 < curve.suggestions.minimum < 1
    assert all(torch.equal(p, q) for p, q in zip(before, test.model.parameters(), strict=True))


def test_a_training_that_diverges_says_so(explicit):
    with pytest.raises(DivergedError):
        fit(explicit, params={"lr": 1e25, "y_range": "none", "epochs": 4, "wd": 0.0})


def test_a_range_that_leaves_ratings_out_is_told_before_training(explicit, choices, tmp_path):
    with pytest.raises(InputError, match=r"from \S+ to 5, but y_range = 0/4 keeps"):
        fit(explicit, params={"y_range": "0/4"})
    fit(explicit, params={"y_range": "none", "epochs": 1})
    # "auto" goes a tenth of the ratings' span beyond them, and the model knows the numbers.
    keep = tmp_path / "auto"
    fit(explicit, params={"y_range": "auto", "epochs": 1}, keep=keep)
    low, high = parse_y_range(load_collab(keep).config.y_range)
    least, most = explicit.train.values.min(), explicit.train.values.max()
    assert (low, high) == pytest.approx(
        (least - (most - least) / 10, most + (most - least) / 10), abs=1e-6
    )
    fit(choices, params={"y_range": "3/4", "epochs": 1})  # of choices it says nothing


@pytest.mark.parametrize("model", MODELS)
def test_a_kept_model_predicts_as_measured_in_the_order_asked(few_steps, explicit, tmp_path, model):
    result, _ = fit(explicit, params={"model": model}, keep=tmp_path)
    saved = load_collab(tmp_path)
    names = [("?", *ids.names) for ids in (explicit.user_ids, explicit.item_ids)]
    users = [names[0][i] for i in explicit.valid.users]
    items = [names[1][i] for i in explicit.valid.items]
    predicted = saved.predict(users, items)
    mse = np.square(predicted - explicit.valid.values, dtype=np.float64).mean()
    assert mse == pytest.approx(result.metrics["mse"], rel=1e-5)
    np.testing.assert_allclose(saved.predict(users[::-1], items[::-1]), predicted[::-1], rtol=1e-5)
    assert saved.titles()[0] == "Film 0"
    assert saved.users.loc["u3", "age"] == 23


@pytest.mark.parametrize("damage", ["weights.safetensors", "recommender.json"])
def test_damaged_files_are_told_in_one_sentence(few_steps, explicit, tmp_path, damage):
    fit(explicit, keep=tmp_path)
    whole = (tmp_path / damage).read_bytes()
    (tmp_path / damage).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        load_collab(tmp_path)


def test_an_empty_folder_is_no_recommender(tmp_path):
    with pytest.raises(InputError, match="holds no recommender"):
        load_collab(tmp_path)


def test_the_published_figure_is_in_reach(real):
    """Five epochs at 5e-3, 40 factors, 10% held out: .8147 over ten seeds (bench_movielens.py)."""
    config = CollabConfig(n_factors=40, valid_share=0.1)
    data = number_ratings(real, config)
    assert len(data.valid) == 10_000
    result, _ = fit(data, params={"n_factors": 40, "lr": 5e-3, "bs": 64, "epochs": 5})
    assert result.metrics["mse"] < 0.83


def test_a_network_trains_the_same_where_its_steps_are_recorded(explicit, monkeypatch):
    params, tape = {"model": "neural-net", "emb_drop": 0.1, "drop": 0.2}, Tape()
    _, plain = fit(explicit, params=params)
    monkeypatch.setattr(run, "CapturedStep", partial(CapturedStep, recorder=tape))
    _, recorded = fit(explicit, params=params)
    assert facts(recorded) == facts(plain)
    assert tape.recorded == 3  # once an epoch
    assert tape.replayed > 10 * tape.ran
