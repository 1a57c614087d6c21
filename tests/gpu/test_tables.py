"""Tables and ratings on a GPU: what the processor gives, the same to the bit when done again."""

import numpy as np
import pandas as pd
import pytest
import torch

from hpsearch.data.ratings import RatingsDataset
from hpsearch.trainers.collab import train as collab
from hpsearch.trainers.collab.config import CollabConfig
from hpsearch.trainers.collab.prepare import number_ratings
from hpsearch.trainers.contract import Member, PrepareSetup, TrialSetup
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.tabular import train as tabular
from hpsearch.trainers.tabular.config import TabularConfig

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here")

N = 4000
TABLE = [
    {"layers": "200/100", "lr": 0.01, "epochs": 3, "bs": 64},
    {"layers": "20/10", "lr": 0.03, "wd": 0.1, "epochs": 3, "bs": 64},
    {"layers": "64/33", "drop": 0.3, "emb_drop": 0.2, "epochs": 3, "bs": 64},
]
RATINGS = [
    {"model": "dot-bias", "n_factors": 20, "epochs": 3, "bs": 64},
    {"model": "dot-bias", "n_factors": 20, "epochs": 3, "bs": 64, "bias_wd": 0.0},
    {"model": "neural-net", "emb_drop": 0.1, "drop": 0.2, "epochs": 3, "bs": 64},
]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    rng = np.random.default_rng(0)
    color, size = rng.choice(["red", "green", "blue"], N), rng.normal(10, 3, N)
    weight = rng.normal(0, 1, N)
    price = 2 * size + 5 * (color == "red") * weight + rng.normal(0, 1, N)
    folder = tmp_path_factory.mktemp("table")
    frame = pd.DataFrame({"color": color, "size": size, "weight": weight, "big": price > 22})
    frame.to_csv(folder / "table.csv", index=False)
    data = {"path": str(folder / "table.csv"), "target": "big"}
    return tabular.prepare(data, {}, PrepareSetup(data_path=None, device="cpu"))


@pytest.fixture(scope="module")
def ratings():
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 80, N), rng.integers(0, 50, N)
    taste, style = rng.normal(size=80), rng.normal(size=50)
    value = np.clip(np.round(3 + taste[users] * style[items]), 1, 5)
    frame = pd.DataFrame(
        {
            "user": np.char.add("u", users.astype(str)).astype(object),
            "item": np.char.add("i", items.astype(str)).astype(object),
            "rating": value.astype("float32"),
        }
    ).drop_duplicates(["user", "item"], ignore_index=True)
    return number_ratings(
        RatingsDataset(frame, None, None, {}, "made up", "own", "0" * 64), CollabConfig()
    )


def facts(records):
    return [(one.epoch, one.train_loss, one.valid_loss, one.metrics, one.lrs) for one in records]


def fit(trainer, params, data, device="cuda", report=None, checkpoint=None):
    records = []

    def heard(record):
        records.append(record)
        if report:
            report(record)

    trainer.train(
        {}, params, data, TrialSetup(seed=3, device=device, report=heard, checkpoint=checkpoint)
    )
    return records


@pytest.fixture(params=[*TABLE, *RATINGS], ids=lambda params: params.get("layers") or str(params))
def case(request, table, ratings):
    if request.param in TABLE:
        return tabular, request.param, table
    return collab, request.param, ratings


def test_the_processor_gives_the_same_without_dropout(case):
    trainer, params, data = case
    params = {**params, "drop": 0.0, "emb_drop": 0.0, "epochs": 1}
    on_cpu, on_gpu = (fit(trainer, params, data, device)[0] for device in ("cpu", "cuda"))
    assert on_gpu.train_loss == pytest.approx(on_cpu.train_loss, rel=1e-4)
    assert on_gpu.valid_loss == pytest.approx(on_cpu.valid_loss, rel=1e-3)


def test_the_same_seed_is_the_same_result_to_the_bit(case):
    trainer, params, data = case
    assert facts(fit(trainer, params, data)) == facts(fit(trainer, params, data))


def test_a_killed_trial_goes_on_to_the_same_result(case, tmp_path):
    trainer, params, data = case
    uninterrupted = facts(fit(trainer, params, data))

    def kill(record):
        if record.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(trainer, params, data, report=kill, checkpoint=tmp_path)
    assert facts(fit(trainer, params, data, checkpoint=tmp_path)) == uninterrupted


def test_a_trial_in_a_stack_is_to_the_bit_the_trial_alone(table):
    heard = [[] for _ in TABLE]
    members = [Member(one, TrialSetup(3, "cuda", heard[i].append)) for i, one in enumerate(TABLE)]
    list(tabular.train_side_by_side({}, members, table))
    assert [facts(one) for one in heard] == [facts(fit(tabular, one, table)) for one in TABLE]


def test_memory_stays_flat_over_thirty_trials(case):
    trainer, params, data = case
    used = []
    for _ in range(30):
        fit(trainer, {**params, "epochs": 1}, data)
        used.append(torch.cuda.memory_reserved())
    assert used[-1] <= 1.05 * used[4]


def test_the_range_test_runs(case):
    trainer, params, data = case
    kind = TabularConfig if trainer is tabular else CollabConfig
    test = trainer.lr_test(parse_config(kind, params), data, stage="all", seed=0, device="cuda")
    losses = [test.step(1e-3) for _ in range(3)]
    assert all(np.isfinite(losses))
