"""Tables of trials of the kinds that fail elsewhere, more than one of each kind."""

import json

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hpsearch.errors import InputError
from hpsearch.exchange import ColumnChoice, import_trials
from hpsearch.exchange.export_trials import export_study
from hpsearch.store import Store
from hpsearch.store.sources import open_source

N = 40
RNG = np.random.default_rng(0)
LR, ACC = 10 ** RNG.uniform(-5, -1, N), RNG.random(N).round(4)
GRID = RNG.choice([2, 4, 8], N)


@pytest.fixture
def read(tmp_path):
    """The import of a data frame, or of a text with the ending of its file."""
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:

        def study_of(content, ending="csv", metrics=("acc",)):
            path = tmp_path / f"t.{ending}"
            text = content if isinstance(content, str) else content.to_csv(index=False)
            path.write_text(text, "utf-8")
            return import_trials(store, path, "t", ColumnChoice(list(metrics)))

        yield study_of


@pytest.mark.parametrize(
    "name", ["epochs", "steps", "seconds", "duration", "train_size", "val_split", "test_size",
             "eval_every", "time_budget", "train_batch_size", "loss_weight", "warmup_time"],
)  # fmt: skip
def test_a_searched_setting_is_kept_whatever_it_is_called(read, name):
    done = read(pd.DataFrame({"lr": LR, name: GRID, "acc": ACC}))
    assert set(done.params) == {"lr", name}


@pytest.mark.parametrize(
    ("name", "cells"),
    [("train_acc", ACC + 0.01), ("best_epoch", RNG.integers(1, 20, N)), ("f1", ACC * 0.9),
     ("runtime_s", RNG.random(N)), ("mean_fit_time", RNG.random(N)), ("gpu_mem", RNG.random(N)),
     ("Unnamed: 0", range(N)), ("commit", [f"{i * 7919:x}" for i in range(N)]),
     ("created_at", [f"2026-01-01 {i // 60:02d}:{i % 60:02d}:00" for i in range(N)])],
)  # fmt: skip
def test_what_a_run_brought_is_no_parameter(read, name, cells):
    done = read(pd.DataFrame({"lr": LR, name: cells, "acc": ACC}))
    assert set(done.params) == {"lr"}
    assert name in " ".join(done.notes)


@pytest.mark.parametrize("word", ["None", "null", "none "])
def test_none_among_a_few_numbers_is_a_choice(read, word):
    cells = [word, "2", "4", "8"] * (N // 4)
    done = read(pd.DataFrame({"depth": cells, "acc": ACC}))
    assert done.params["depth"] == CategoricalDistribution([None, 2, 4, 8])


@pytest.mark.parametrize("metric", ["neg_log_loss", "valAccuracy", "ndcg@10", "roc_auc_ovr", "mAP",
                                    "val_acc_top1", "episode_return", "dice_coef"])  # fmt: skip
def test_more_of_these_is_better(read, metric):
    done = read(pd.DataFrame({"lr": LR, metric: ACC}), metrics=[metric])
    assert (done.directions, done.notes) == (("maximize",), ())


@pytest.mark.parametrize("metric", ["wer", "latency_ms", "error_rate", "bits_per_byte", "RMSE",
                                    "brier_score", "peak_mem_gb"])  # fmt: skip
def test_less_of_these_is_better(read, metric):
    done = read(pd.DataFrame({"lr": LR, metric: ACC}), metrics=[metric])
    assert (done.directions, done.notes) == (("minimize",), ())


@pytest.mark.parametrize(
    ("text", "values", "n"),
    [
        ("lr;n;acc\n0,001;1.024;0,5\n0,1;2.048;0,75\n0,01;4.096;0,6\n", [0.5, 0.75, 0.6], 4096),
        ("lr,n,acc\n0.001,1'000,-1\n0.1,2'000,-2\n0.1,3'000,-3\n", [-1, -2, -3], 3000),
        ("lr,n,acc\n0.001,1\u00a0000,\u22121.5\n0.1,9\u00a0000,-2.5\n", [-1.5, -2.5], 9000),
        ('lr,n,acc\n"0.001"," 7 "," .5 "\n1E-1,9,"+0.75"\n', [0.5, 0.75], 9),
        ("lr\tn\tacc\n1e-3\t7\t50 %\n1.0e-01\t9\t75%\n", [0.5, 0.75], 9),
    ],
)
def test_numbers_in_other_clothes(read, text, values, n):
    done = read(text)
    assert [trial.value for trial in done.study.trials] == values
    assert isinstance(done.params["n"], IntDistribution)
    assert done.params["n"].high == n
    assert done.params["lr"].low == 0.001


RECORDS = [{"lr": float(lr), "acc": float(acc)} for lr, acc in zip(LR, ACC, strict=True)]


@pytest.mark.parametrize(
    ("ending", "content"),
    [
        ("jsonl", "\n".join(map(json.dumps, RECORDS))),
        ("json", json.dumps(RECORDS)),
        ("json", json.dumps({"study": "mine", "trials": RECORDS})),
        ("json", json.dumps({name: [one[name] for one in RECORDS] for name in ("lr", "acc")})),
        ("json", pd.DataFrame(RECORDS).to_json(double_precision=15)),
        ("csv", "\ufefflr,acc\r\n" + "".join(f"{one['lr']},{one['acc']}\r\n" for one in RECORDS)),
    ],
)
def test_the_same_trials_in_other_layouts(read, ending, content):
    done = read(content, ending)
    assert [t.params["lr"] for t in done.study.trials] == pytest.approx([*LR])
    assert [t.value for t in done.study.trials] == pytest.approx([*ACC])


@pytest.mark.parametrize("cells", [[0, 1e-5, 1e-4, 1e-3, 1e-2], [0, 10, 100, 1000, 10000],
                                   [0, 0.001, 0.01, 0.1, 1]])  # fmt: skip
def test_zero_in_a_grid_on_a_log_scale_is_a_category_of_its_own(read, cells):
    done = read(pd.DataFrame({"wd": cells * (N // 5), "acc": ACC}))
    assert done.params["wd"] == CategoricalDistribution(cells)
    assert "--log" in done.notes[0]


@pytest.mark.parametrize("share", [2, 5, 10])
def test_zeros_among_draws_on_a_log_scale_are_said(read, share):
    cells = np.where(np.arange(N) % share == 0, 0, LR)
    done = read(pd.DataFrame({"l2": cells, "acc": ACC}))
    assert isinstance(done.params["l2"], FloatDistribution)
    assert "(--log l2)" in done.notes[0]


@pytest.mark.parametrize("cells", [[0, 0.1, 0.2, 0.3], [0, 1, 2, 3], [0, 64, 128, 192]])
def test_zero_on_a_linear_scale_is_a_number_like_others(read, cells):
    done = read(pd.DataFrame({"drop": cells * (N // 4), "acc": ACC}))
    assert (done.params["drop"].low, done.params["drop"].log, done.notes) == (0, False, ())


@pytest.mark.parametrize("names", [None, ["loss", "seconds"], ["a b", "a,b"]])
def test_objectives_come_back_with_and_without_names(tmp_path, names):
    url = f"sqlite:///{tmp_path}/mo.db"
    made = optuna.create_study(
        study_name="mo", storage=url, directions=["minimize", "maximize"],
        sampler=optuna.samplers.RandomSampler(seed=0),
    )  # fmt: skip
    if names:
        made.set_metric_names(names)
    made.optimize(lambda t: (t.suggest_float("x", 0, 1), t.number / 3), n_trials=12)
    with open_source(url) as source:
        export_study(source.load(source.find_one("mo")), tmp_path / "mo.csv")
    with Store.open(f"sqlite:///{tmp_path}/b.db") as store:
        back = import_trials(store, tmp_path / "mo.csv", "back", ColumnChoice([])).study
        assert back.directions == made.directions
        assert [t.values for t in back.trials] == [t.values for t in made.trials]


@pytest.mark.parametrize("torn", [b'{"op_code": 8, "work', b"\0" * 50, b"[1, 2]", b"\xff\xfe"])
@pytest.mark.parametrize("line", [2, 21])
def test_a_torn_line_of_a_journal_is_named(tmp_path, torn, line):
    from optuna.storages.journal import JournalFileBackend, JournalStorage

    path = tmp_path / "j.log"
    storage = JournalStorage(JournalFileBackend(str(path)))
    study = optuna.create_study(study_name="j", storage=storage)
    study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=8)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[: line - 1], torn, *lines[line - 1 :]]))
    with pytest.raises(InputError, match=f"line {line} is no entry"):
        open_source(str(path))
