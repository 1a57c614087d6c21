"""Tables as other tools write them: what is taken for a parameter, on which scale, and what not."""

import json

import numpy as np
import pandas as pd
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from hpsearch.errors import InputError
from hpsearch.exchange import ColumnChoice, Overrides, import_trials
from hpsearch.exchange.cells import NOTHING
from hpsearch.exchange.infer_space import infer, looks_logarithmic
from hpsearch.store import Store

RNG = np.random.default_rng(0)


@pytest.fixture
def store(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        yield opened


def read(store, table, path, metric="acc", **options):
    """The study of a data frame that was written to `path`."""
    table.to_parquet(path) if path.suffix == ".parquet" else table.to_csv(path, index=False)
    return import_trials(store, path, path.name, ColumnChoice([metric], **options))


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
        done = import_trials(store, tmp_path / name, name, ColumnChoice(["acc"]))
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
    overrides = Overrides(
        log=frozenset(["dropout"]), linear=frozenset(["lr"]), categorical=frozenset(["bs"]),
        ranges={"layers": (1, 12)},
    )  # fmt: skip
    table = pd.DataFrame(space())
    table["acc"] = RNG.uniform(0, 1, 60)
    done = read(store, table, tmp_path / "w.csv", overrides=overrides, directions=["minimize"])
    assert done.params["dropout"].log
    assert not done.params["lr"].log
    assert done.params["bs"].choices == (16, 32, 64, 128)
    assert done.params["layers"] == IntDistribution(1, 12)
    assert done.directions == ("minimize",)
    only = read(store, table, tmp_path / "o.csv", params=["lr", "opt"])
    assert list(only.params) == ["lr", "opt"]
    but = read(store, table, tmp_path / "b.csv", ignore=["opt"])
    assert "opt" not in but.params


def test_steps_and_gaps():
    found = infer("n", ["100", "300", "", "nan", "200.0"], Overrides())
    assert found.distribution == IntDistribution(100, 300, step=100)
    assert [v for v in found.values if isinstance(v, int)] == [100, 300, 200]
    assert infer("depth", ["None", "3", "auto"], Overrides()).distribution.choices == (
        "3", "None", "auto",
    )  # fmt: skip


def test_none_among_numbers_is_a_value():
    """A max_depth of None is the deepest tree; an empty cell says nothing."""
    found = infer("max_depth", ["None", "3", "", None, 5], Overrides())
    assert found.distribution == CategoricalDistribution([None, 3, 5])
    assert [v for v in found.values if v is not NOTHING] == [None, 3, None, 5]
    assert "None is one of its values" in found.note
    many = infer("clip", ["None", *np.linspace(0.1, 1, 30)], Overrides())
    assert many.distribution == FloatDistribution(0.1, 1.0)
    assert many.values[0] is NOTHING
    assert "None in some rows" in many.note


def test_zero_on_a_log_scale():
    grid = [0.0, 1e-5, 1e-4, 1e-3, 1e-2] * 4
    found = infer("weight_decay", grid, Overrides())
    assert found.distribution == CategoricalDistribution(sorted(set(grid)))
    assert "0 has no place on the log scale" in found.note
    moved = infer("weight_decay", grid, Overrides(log=frozenset(["weight_decay"])))
    assert moved.distribution.low == pytest.approx(1e-6)
    assert moved.distribution.log
    assert "0 stands at 1e-06" in moved.note
    assert infer("n", [0, 1, 2, 3, 4], Overrides()).distribution == IntDistribution(0, 4)


def test_the_nones_of_cv_results_are_in_its_params(store, tmp_path):
    from sklearn.datasets import load_iris
    from sklearn.model_selection import GridSearchCV
    from sklearn.tree import DecisionTreeClassifier

    grid = {"max_depth": [1, 3, None], "min_samples_leaf": [1, 5]}
    search = GridSearchCV(DecisionTreeClassifier(random_state=0), grid).fit(
        *load_iris(return_X_y=True)
    )
    done = read(store, pd.DataFrame(search.cv_results_), tmp_path / "cv.csv", "mean_test_score")
    assert done.params["max_depth"].choices == (None, 1, 3)
    assert [trial.params for trial in done.study.trials] == search.cv_results_["params"]


def test_none_among_words_beside_numbers_that_numpy_prints(store, tmp_path):
    """A random search writes {'C': np.float64(0.5), 'class_weight': None}."""
    rows = [(0.5, None), (2.0, "balanced"), (8.0, None)]
    table = pd.DataFrame({
        "param_C": [c for c, _ in rows], "param_class_weight": [w for _, w in rows],
        "params": [str({"C": np.float64(c), "class_weight": w}) for c, w in rows],
        "mean_test_score": [0.1, 0.2, 0.3],
    })  # fmt: skip
    done = read(store, table, tmp_path / "cv.csv", "mean_test_score")
    assert set(done.params["class_weight"].choices) == {None, "balanced"}
    assert [trial.params["class_weight"] for trial in done.study.trials] == [w for _, w in rows]


def test_a_plain_table_of_a_sweep_over_epochs(store, tmp_path):
    """What the trials differ in was searched, whatever it is called; a note names the rest."""
    rng = np.random.default_rng(2)
    table = pd.DataFrame({
        "lr": 10 ** rng.uniform(-5, -1, 40), "epochs": rng.integers(1, 20, 40),
        "train_size": rng.choice([0.5, 0.8], 40), "duration": rng.choice([5, 10, 30], 40),
        "loss_weight": rng.uniform(0, 1, 40), "seconds": rng.uniform(10, 90, 40),
        "epoch": rng.integers(1, 20, 40), "acc": rng.uniform(0, 1, 40),
    })  # fmt: skip
    done = read(store, table, tmp_path / "w.csv")
    assert set(done.params) == {"lr", "epochs", "train_size", "duration", "loss_weight"}
    assert "'epoch', 'seconds'" in " ".join(done.notes)
    kept = read(store, table, tmp_path / "k.csv", keep=["epoch"])
    assert set(kept.params) == {*done.params, "epoch"}


def test_results_labels_and_clocks_are_no_parameters(store, tmp_path):
    rng = np.random.default_rng(3)
    acc = rng.uniform(0.5, 1, 30)
    table = pd.DataFrame({
        "Unnamed": np.arange(30), "lr": 10 ** rng.uniform(-5, -1, 30), "recall": acc - 0.1,
        "quality": 3 * acc + rng.normal(0, 0.01, 30), "f1_macro": acc - 0.07,
        "best_epoch": rng.integers(1, 9, 30), "started": 1.7e9 + np.arange(30) * 60.5,
        "grad_norm": rng.uniform(0, 3, 30), "max_grad_norm": rng.uniform(0, 3, 30), "acc": acc,
    })  # fmt: skip
    done = read(store, table, tmp_path / "w.csv")
    assert set(done.params) == {"lr", "max_grad_norm"}
    assert "'quality'" in " ".join(done.notes)
    line = read(store, pd.DataFrame({"x": acc, "acc": acc}), tmp_path / "line.csv")
    assert set(line.params) == {"x"}


STATES_IN = {
    "MEMORYOUT": "FAIL", "PAUSED": "PRUNED", "INVALID": "FAIL", "ABORTED": "PRUNED",
    "CANCELED": "PRUNED", "TrialState.PRUNED": "PRUNED", "early stopped": "PRUNED",
    "TIMEDOUT": "FAIL", "sleepy": "FAIL", "Created": "WAITING",
}  # fmt: skip


def test_states_that_tools_write(store, tmp_path):
    """Ends without a result, in the words of SMAC, Ray Tune, Keras Tuner, Azure ML and Optuna."""
    table = pd.DataFrame({"lr": np.linspace(0.1, 1, 12), "acc": np.linspace(0, 1, 12)})
    table["status"] = [*STATES_IN, "COMPLETED", "sleepy"]
    table.loc[: len(STATES_IN) - 1, "acc"] = np.nan
    done = read(store, table, tmp_path / "w.csv")
    states = [trial.state.name for trial in done.study.trials]
    assert states == [*STATES_IN.values(), "COMPLETE", "COMPLETE"]
    assert "name no known state: 'sleepy'" in " ".join(done.notes)
    table["status"] = "COMPLETED"
    kept = read(store, table, tmp_path / "c.csv")
    assert kept.counts == {"complete": 2}
    assert "left out: rows 1, 2, 3 and 7 more" in " ".join(kept.notes)
    ignored = read(store, table, tmp_path / "i.csv", ignore=["status"])
    assert ignored.counts == {"complete": 2, "fail": 10}


def test_the_direction_by_the_name(store, tmp_path):
    table = pd.DataFrame({"lr": [0.1, 0.2, 0.4], "q": [1.0, 2.0, 3.0], "f1_macro": [1.0, 2, 3]})
    assert read(store, table, tmp_path / "f.csv", "f1_macro").directions == ("maximize",)
    unknown = read(store, table[["lr", "q"]], tmp_path / "q.csv", "q")
    assert unknown.directions == ("minimize",)
    assert "--direction maximize" in " ".join(unknown.notes)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("lr;acc\n0,001;0,5\n0,1;0,75\n", [0.5, 0.75]),
        ("lr;acc\n 0,001 ; 50% \n0,1; 75 %\n", [0.5, 0.75]),
        ("lr\tacc\n0.001\t1.234,5\n0.1\t12,5\n", [1234.5, 12.5]),
        ("sep=;\nlr;acc\n0.001;0.5\n0.1;0.75\n", [0.5, 0.75]),
        ("# made by a sweep, in May\n# twice\nlr,acc\n0.001,0.5\n0.1,0.75\n", [0.5, 0.75]),
        ("#lr,acc\n0.001,0.5\n0.1,0.75\n", [0.5, 0.75]),
        ("lr;dropout (input, hidden);acc\n0.001;0.1;0.5\n0.1;0.2;0.75\n", [0.5, 0.75]),
    ],
)
def test_numbers_and_headers_of_spreadsheets(store, tmp_path, text, values):
    (tmp_path / "x.csv").write_text(text)
    done = import_trials(store, tmp_path / "x.csv", "x", ColumnChoice(["acc"]))
    assert [trial.value for trial in done.study.trials] == values
    lr = done.params[next(name for name in done.params if name.strip("#") == "lr")]
    assert (lr.low, lr.high) == (0.001, 0.1)


def test_dictionaries_as_python_prints_them(store, tmp_path):
    """The export that a guide of W&B writes: a column of configurations, one of summaries."""
    rows = [({"acc": 0.5 + i / 10, "loss": float("nan")}, {"lr": 10.0**-i}) for i in range(1, 4)]
    table = pd.DataFrame({
        "summary": [str(one) for one, _ in rows], "config": [str(one) for _, one in rows],
        "name": ["a", "b", "c"],
    })  # fmt: skip
    done = read(store, table, tmp_path / "project.csv")
    assert set(done.params) == {"lr"}
    assert [trial.value for trial in done.study.trials] == pytest.approx([0.6, 0.7, 0.8])


CSV = "config.lr,config.kind,state,acc\n0.1,a,finished,0.5\n0.01,b,finished,0.6\n"


@pytest.mark.parametrize(
    ("name", "text", "options", "says"),
    [
        ("x.csv", CSV, {"metrics": ["accc"]}, r"no column 'accc' \(did you mean acc\?\)"),
        ("x.csv", CSV, {}, "Name it with --metric"),
        ("x.csv", CSV, {"metrics": ["config.kind"]}, "no number in rows 1 and 2"),
        ("x.csv", CSV, {"metrics": ["acc"], "params": ["wd"]}, "no column 'wd'"),
        (
            "x.csv", CSV, {"metrics": ["acc"], "ignore": ["lr", "kind"]},
            "name them with --param",
        ),
        ("x.csv", CSV, {"metrics": ["acc"], "directions": ["up"]}, "give minimize or maximize"),
        (
            "x.csv", CSV, {"metrics": ["acc"], "overrides": Overrides(log=frozenset(["kind"]))},
            "no scale",
        ),
        (
            "x.csv", CSV, {"metrics": ["acc"], "overrides": Overrides(log=frozenset(["q"]))},
            "--log q",
        ),
        (
            "x.csv", CSV, {"metrics": ["acc"], "overrides": Overrides(ranges={"lr": (0.05, 1)})},
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
        import_trials(store, tmp_path / name, "study", ColumnChoice(**options))
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith((".", "?"))
    assert store.studies() == []
