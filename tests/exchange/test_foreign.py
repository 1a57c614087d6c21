"""Tables as other tools write them: what is taken for a parameter, on which scale, and what not."""

import json

import numpy as np
import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from hpsearch.errors import InputError
from hpsearch.exchange import Wishes, import_trials
from hpsearch.exchange.scales import infer, looks_logarithmic
from hpsearch.store import Store

RNG = np.random.default_rng(0)


@pytest.fixture
def store(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        yield opened


def read(store, table, path, metric="acc", **options):
    """The study of a data frame that was written to `path`."""
    table.to_parquet(path) if path.suffix == ".parquet" else table.to_csv(path, index=False)
    return import_trials(store, path, path.name, metrics=[metric], **options)


def space(n=60):
    return {
        "lr": np.exp(RNG.uniform(np.log(1e-5), np.log(1e-1), n)),
        "dropout": RNG.uniform(0.0, 0.5, n),
        "layers": RNG.integers(1, 6, n),
        "bs": RNG.choice([16, 32, 64, 128], n),
        "opt": RNG.choice(["adam", "sgd"], n),
        "amsgrad": RNG.choice([True, False], n),
    }


def expected(params):
    assert isinstance(params["lr"], FloatDistribution)
    assert params["lr"].log
    assert isinstance(params["dropout"], FloatDistribution)
    assert not params["dropout"].log
    assert params["layers"] == IntDistribution(1, 5)
    assert params["bs"] == IntDistribution(16, 128, log=True)
    assert params["opt"] == CategoricalDistribution(["adam", "sgd"])
    assert params["amsgrad"] == CategoricalDistribution([False, True])
    assert len(params) == 6


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_weights_and_biases_with_prefixes(store, tmp_path, suffix):
    table = pd.DataFrame({f"config.{name}": cells for name, cells in space().items()})
    table.insert(0, "Name", [f"sunny-sweep-{i}" for i in range(60)])
    table.insert(1, "State", ["finished"] * 58 + ["crashed", "failed"])
    table["summary.acc"] = RNG.uniform(0.5, 1, 60)
    table.loc[58:, "summary.acc"] = np.nan
    table["_step"] = 90
    done = read(store, table, tmp_path / f"wandb.{suffix}")
    expected(done.params)
    assert done.directions == ("maximize",)
    assert done.counts == {"complete": 58, "fail": 2}
    trial = done.study.trials[0]
    assert trial.value == table["summary.acc"][0]
    assert trial.params["lr"] == table["config.lr"][0]
    assert trial.user_attrs["Name"] == "sunny-sweep-0"


def test_weights_and_biases_as_its_page_exports_it(store, tmp_path):
    """Without prefixes, run columns first; other results and names of runs are no parameters."""
    table = pd.DataFrame(space())
    table.insert(0, "Name", [f"run-{i}" for i in range(60)])
    table.insert(1, "State", "finished")
    table.insert(2, "Created", "2026-11-01T10:00:00.000Z")
    table.insert(3, "Runtime", RNG.integers(60, 600, 60))
    table["val_loss"] = RNG.uniform(0, 1, 60)
    table["acc"] = RNG.uniform(0.5, 1, 60)
    done = read(store, table, tmp_path / "page.csv")
    expected(done.params)
    assert "'val_loss'" in " ".join(done.notes)
    assert done.study.trials[3].user_attrs["val_loss"] == pytest.approx(table["val_loss"][3])
    assert done.study.trials[3].duration.total_seconds() == table["Runtime"][3]


def test_ray_tune(store, tmp_path):
    table = pd.DataFrame({f"config/{name}": cells for name, cells in space().items()})
    table["trial_id"] = [f"ab{i:03d}" for i in range(60)]
    table["training_iteration"] = RNG.integers(1, 11, 60)
    table["time_total_s"] = 12.5
    table["done"] = True
    table["loss"] = RNG.uniform(0, 1, 60)
    done = read(store, table, tmp_path / "ray.csv", "loss")
    expected(done.params)
    assert done.directions == ("minimize",)
    trial = done.study.trials[7]
    assert trial.intermediate_values == {table["training_iteration"][7]: trial.value}


def test_scikit_learns_cv_results(store, tmp_path):
    table = pd.DataFrame({
        "mean_fit_time": RNG.uniform(0, 1, 30),
        "param_C": np.exp(RNG.uniform(-5, 5, 30)),
        "param_kernel": RNG.choice(["rbf", "poly"], 30),
        "params": [str({"C": i}) for i in range(30)],
        "split0_test_score": RNG.uniform(0, 1, 30),
        "mean_test_score": RNG.uniform(0, 1, 30),
    })  # fmt: skip
    done = read(store, table, tmp_path / "cv.csv", "mean_test_score")
    assert set(done.params) == {"C", "kernel"}
    assert done.directions == ("maximize",)


def test_optunas_own_data_frame(store, tmp_path):
    import optuna

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))

    def objective(trial):
        if trial.number % 5 == 4:
            raise optuna.TrialPruned
        kind = trial.suggest_categorical("kind", ["a", "b"])
        return trial.suggest_float("x", 0, 1) if kind == "a" else 2.0

    study.optimize(objective, 40)
    done = read(store, study.trials_dataframe(), tmp_path / "optuna.csv", "value")
    assert set(done.params) == {"kind", "x"}
    for one, other in zip(study.trials, done.study.trials, strict=True):
        assert one.params == other.params
        assert one.values == other.values
        assert one.state == (other.state if one.values else TrialState.PRUNED)


def test_nested_json_records(store, tmp_path):
    rows = [
        {"config": {"lr": 10.0**-i, "net": {"width": 2**i}}, "summary": {"acc": i / 9}}
        for i in range(1, 6)
    ]
    for name, text in (
        ("runs.json", json.dumps(rows)),
        ("runs.jsonl", "\n".join(map(json.dumps, rows))),
    ):
        (tmp_path / name).write_text(text)
        done = import_trials(store, tmp_path / name, name, metrics=["acc"])
        assert done.params["lr"].log
        assert done.params["net.width"] == IntDistribution(2, 32, log=True)


def test_a_log_scale_is_told_from_a_linear_one():
    """Of 200 draws of thirty values nearly all are taken for what they are, and grids are."""
    rng = np.random.default_rng(1)
    log = [looks_logarithmic(np.exp(rng.uniform(-9, 0, 30))) for _ in range(200)]
    linear = [looks_logarithmic(rng.uniform(0.001, 1, 30)) for _ in range(200)]
    assert sum(log) >= 198
    assert sum(linear) <= 10  # 5%
    assert looks_logarithmic(np.array([0.001, 0.01, 0.1, 1.0]))
    assert not looks_logarithmic(np.arange(1.0, 11.0))
    assert not looks_logarithmic(np.array([0.0, 0.001, 1.0]))


def test_the_user_knows_better(store, tmp_path):
    wishes = Wishes(
        log=frozenset(["dropout"]), linear=frozenset(["lr"]), categorical=frozenset(["bs"]),
        ranges={"layers": (1, 12)},
    )  # fmt: skip
    table = pd.DataFrame(space())
    table["acc"] = RNG.uniform(0, 1, 60)
    done = read(store, table, tmp_path / "w.csv", wishes=wishes, directions=["minimize"])
    assert done.params["dropout"].log
    assert not done.params["lr"].log
    assert done.params["bs"].choices == (16, 32, 64, 128)
    assert done.params["layers"] == IntDistribution(1, 12)
    assert done.directions == ("minimize",)
    only = read(store, table, tmp_path / "o.csv", params=["lr", "opt"])
    assert list(only.params) == ["lr", "opt"]
    but = read(store, table, tmp_path / "b.csv", ignore=["opt"])
    assert "opt" not in but.params


def test_steps_gaps_and_words_for_nothing():
    distribution, values = infer("n", ["100", "300", "", "None", "200.0"], Wishes())
    assert distribution == IntDistribution(100, 300, step=100)
    assert [v for v in values if isinstance(v, int)] == [100, 300, 200]
    distribution, _ = infer("depth", ["None", "3", "auto"], Wishes())
    assert distribution.choices == ("3", "None", "auto")


CSV = "config.lr,config.kind,state,acc\n0.1,a,finished,0.5\n0.01,b,finished,0.6\n"


@pytest.mark.parametrize(
    ("name", "text", "options", "says"),
    [
        ("x.csv", CSV, {"metrics": ["accc"]}, r"no column 'accc' \(did you mean acc\?\)"),
        ("x.csv", CSV, {}, "Name it with --metric"),
        ("x.csv", CSV, {"metrics": ["config.kind"]}, "no number in rows 1 and 2"),
        ("x.csv", CSV.replace("finished", "sleepy"), {"metrics": ["acc"]}, "'sleepy' in rows 1"),
        ("x.csv", CSV, {"metrics": ["acc"], "params": ["wd"]}, "no column 'wd'"),
        ("x.csv", CSV, {"metrics": ["acc"], "ignore": ["lr", "kind"]}, "name them with --param"),
        ("x.csv", CSV, {"metrics": ["acc"], "directions": ["up"]}, "give minimize or maximize"),
        ("x.csv", CSV, {"metrics": ["acc"], "wishes": Wishes(log=frozenset(["kind"]))}, "no scale"),
        ("x.csv", CSV, {"metrics": ["acc"], "wishes": Wishes(log=frozenset(["q"]))}, "--log q"),
        (
            "x.csv", CSV, {"metrics": ["acc"], "wishes": Wishes(ranges={"lr": (0.05, 1)})},
            "leaves out values",
        ),
        ("x.csv", "", {"metrics": ["acc"]}, "is empty"),
        ("x.csv", CSV.splitlines()[0] + "\n", {"metrics": ["acc"]}, "header but no rows"),
        ("x.csv", "a,a,acc\n1,2,3\n", {"metrics": ["acc"]}, "2 columns 'a'"),
        ("x.csv", "a,acc\n1,2,3\n", {"metrics": ["acc"]}, "columns where the header has 2"),
        ("x.parquet", "not parquet", {"metrics": ["acc"]}, "cannot be read as Parquet"),
        ("x.xlsx", "sheet", {"metrics": ["acc"]}, "is of no known kind"),
        ("x.json", '[{"config": {"lr": 1}}]', {"metrics": ["acc"]}, "no column 'acc'"),
        ("x.json", '[{"lr": 1}, 7]', {"metrics": ["acc"]}, "no object in row 2"),
        ("x.json", "{", {"metrics": ["acc"]}, "not well-formed JSON"),
        ("x.json", "[]", {"metrics": ["acc"]}, "holds no records"),
        ("missing.csv", None, {"metrics": ["acc"]}, "does not exist"),
    ],
)  # fmt: skip
def test_a_table_that_is_no_good_is_explained(store, tmp_path, name, text, options, says):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=says) as caught:
        import_trials(store, tmp_path / name, "study", **options)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith((".", "?"))
    assert store.studies() == []
