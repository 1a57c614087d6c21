"""The search beside random search and plain Optuna: the best value by trials and by hours.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_best_value.py adult [--trials 40 --repeats 10]
    OMP_NUM_THREADS=1 python tests/benchmarks/bench_best_value.py --replay imdb-clas-small

Every arm has the same space, the same number of trials and the published defaults as its first
trial; ten repetitions with seeds of their own. The first form trains each trial (in its CPU
seconds). The second asks a model of a recorded study's trials instead, a surrogate benchmark
(Eggensperger and others, AAAI 2015): a Gaussian process of the final value, with normal noise
that varies as the replicates do, a forest of the seconds, and the curve of the nearest recorded
trial, so that hopeless trials can be ended early. There `true` is the value without its noise.

Both write docs/evidence/search/NAME.parquet, a row for each trial, from which `make evidence`
makes the page. A repetition that the file has is not run again: a long run goes on where it
stopped. --output says another folder.
"""

from __future__ import annotations

import argparse
import datetime
import io
import json
import os
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pyarrow as pa
import pyarrow.parquet as pq
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState
from rich.console import Console
from sklearn.ensemble import RandomForestRegressor

sys.path.insert(0, str(Path(__file__).parents[1]))

from calls import run

from hpsearch.analysis.gaussian_process import fit_process
from hpsearch.core import environment
from hpsearch.exchange.together import all_recorded
from hpsearch.search.plan.cohorts import trial_seed
from hpsearch.search.samplers.by_name import suggest
from hpsearch.store.tables.attributes import REPLICATE_OF
from hpsearch.study.conditions import is_active
from hpsearch.study.space import to_unit
from hpsearch.study.spec import load_spec
from hpsearch.trainers.contract import EpochRecord, PrepareSetup, TrainResult, TrialSetup

PAGES = Path(__file__).parents[2] / "docs" / "evidence" / "search"
ARMS: dict[str, Any] = {
    "random": optuna.samplers.RandomSampler,
    "Optuna's TPE": optuna.samplers.TPESampler,
    "hpsearch": {},
    "hpsearch, forest": {"sampler": "forest", "design_share": 0.1},
}
"""A sampler of Optuna's, used as its documentation does; or what `run` is told beside its defaults:
half of the trials are design, the others are TPE's, the hopeless among them ended early."""
FIRST_SEED = 1000


@dataclass
class Trainer:
    """A study's trainer that notes what each of its trainings gave."""

    inner: Any
    metric: str
    rows: list[dict] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def train(self, settings, params, data, setup) -> TrainResult:
        begun, row = time.process_time(), {"state": "failed", "value": None, "true": None}
        try:
            result = self.inner.train(settings, params, data, setup)
            row |= {"state": "complete", "value": result.metrics[self.metric]}
            row["true"] = result.facts.get("true")
            return result
        except optuna.TrialPruned:
            row["state"] = "pruned"
            raise
        finally:
            replayed = getattr(self.inner, "spent", None)
            row["seconds"] = time.process_time() - begun if replayed is None else replayed
            self.rows.append(row)


class Declared:
    """A study's declaration, whose trainer is another."""

    def __init__(self, spec, trainer: Trainer) -> None:
        self._spec, self._trainer = spec, trainer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._spec, name)

    def trainer_module(self) -> Trainer:
        return self._trainer


class Replay:
    """A trainer that trains nothing: what a model of recorded trials expects, and their noise."""

    KEEPS_BEST = False
    SPEED = None
    ASSESS = train_side_by_side = lr_test = missing_pretrained = None

    def __init__(self, recording, preset, metric: str) -> None:
        trials = [one for one in recording.trials() if one.state == TrialState.COMPLETE]
        failed = sum(one.state == TrialState.FAIL for one in recording.trials())
        if failed:
            raise SystemExit(f"{recording.study} has {failed} failed trials: a replay knows none.")
        self.space, self.metric, self.spent = preset.distributions, metric, 0.0
        self.x = np.array([self.place(one.params) for one in trials])
        self.final = np.array([one.value for one in trials])
        levels = [len(one.choices) if isinstance(one, CategoricalDistribution) else 0
                  for one in self.space.values()]  # fmt: skip
        self.process = fit_process(self.x, self.final, np.ones(len(trials)), np.array(levels))
        left = self.process.left_out - self.final
        self.r2 = float(1 - (left**2).mean() / self.final.var())
        values = {one.number: one.value for one in trials}
        pairs = [one.value - values[one.user_attrs[REPLICATE_OF]] for one in trials
                 if one.user_attrs.get(REPLICATE_OF) in values]  # fmt: skip
        self.noise = float(np.sqrt(np.mean(np.square(pairs)) / 2))
        columns = recording.columns
        seconds = dict(zip(columns["number"], columns["ran_seconds"], strict=True))
        self.costs = RandomForestRegressor(
            500, min_samples_leaf=2, max_features=0.5, random_state=0
        ).fit(self.x, np.log([seconds[one.number] for one in trials]))
        self.curves = [[*one.intermediate_values.values()] for one in trials]

    def place(self, params) -> list[float]:
        """A configuration on the sampling scale."""
        return [
            (one.choices.index(params[name]) + 0.5) / len(one.choices)
            if isinstance(one, CategoricalDistribution)
            else to_unit(one, params[name])
            for name, one in self.space.items()
        ]

    def prepare(self, data, settings, setup):
        return SimpleNamespace(
            source="a replay", fingerprint="0" * 64, summary="a replay", precision="fp32",
            stages=(), facts={}, metrics=(self.metric,), check=lambda settings: None,
        )  # fmt: skip

    def train(self, settings, params, data, setup) -> TrainResult:
        place = np.array([self.place(params)])
        true = float(self.process.predict(self.process.covariance(place))[0])
        value = true + self.noise * float(np.random.default_rng(setup.seed).standard_normal())
        nearest = int(np.abs(self.x - place).sum(axis=1).argmin())
        curve = np.array(self.curves[nearest]) + value - self.final[nearest]
        seconds = float(np.exp(self.costs.predict(place)[0]))
        self.spent = 0.0
        for epoch, reached in enumerate(curve, 1):
            self.spent = seconds * epoch / len(curve)
            metrics = {self.metric: float(reached)}
            one = seconds / len(curve)
            setup.report(EpochRecord("replay", epoch, len(curve), 0.0, 0.0, metrics, (), one))
        return TrainResult({self.metric: value}, len(curve), seconds, {"true": true})


def by_optuna(sampler, spec, preset, trainer, prepared, trials: int, seed: int) -> None:
    """As Optuna's own tutorial has it: a study in memory, an objective, no pruner."""
    study = optuna.create_study(
        direction=spec.direction, sampler=sampler(seed=seed), pruner=optuna.pruners.NopPruner()
    )
    study.enqueue_trial(preset.defaults)

    def objective(trial: optuna.Trial) -> float:
        for name, one in preset.distributions.items():
            if is_active(name, trial.params, preset.when):
                suggest(trial, name, one)
        setup = TrialSetup(trial_seed(seed, trial.number), "cpu", lambda _: None)
        result = trainer.train(preset.settings, trial.params, prepared, setup)
        return result.metrics[spec.metric]

    study.optimize(objective, n_trials=trials, catch=(Exception,))


def by_hpsearch(search, spec, preset, trainer, trials: int, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run(
            Declared(spec, trainer), trials=trials, seed=seed, search=search, preset=preset.name,
            storage=f"sqlite:///{folder}/store.db", console=Console(file=io.StringIO()),
        )  # fmt: skip


def repetition(arm: str, spec, preset, inner, trials: int, seed: int) -> list[dict]:
    """The rows of one arm's trials in the order in which they ran."""
    trainer = Trainer(inner, spec.metric)
    how = ARMS[arm]
    if isinstance(how, dict):
        by_hpsearch(how, spec, preset, trainer, trials, seed)
    else:
        prepared = inner.prepare(spec.data, preset.settings, PrepareSetup(None, "cpu"))
        by_optuna(how, spec, preset, trainer, prepared, trials, seed)
    return trainer.rows


def about(args, sources: dict) -> dict[bytes, bytes]:
    """What the page says of where the rows come from."""
    facts = {
        "command": " ".join(["tests/benchmarks/bench_best_value.py", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "revision": environment.git_commit(),
        "versions": environment.versions(),
        "processor": environment.processor(),
        **sources,
    }
    return {b"about": json.dumps(facts).encode()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("study")
    parser.add_argument("--replay", action="store_true")
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--output", type=Path, default=PAGES)
    args = parser.parse_args()
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    os.environ["HPSEARCH_DEVICE"] = "cpu"
    sources = {"trials": args.trials, "replay": args.replay, "study": args.study}
    if args.replay:
        recording = next(one for one in all_recorded() if one.study == args.study)
        spec = load_spec(recording.declared)
        preset = spec.resolve(recording.attrs["hps_preset"])
        inner = Replay(recording, preset, spec.metric)
        sources |= {"recorded": recording.about["files"]["trials.parquet"]["sha256"],
                    "r2": inner.r2, "noise": inner.noise}  # fmt: skip
    else:
        spec = load_spec(args.study)
        preset = spec.resolve(args.preset)
        inner = spec.trainer_module()
        sources |= {"preset": args.preset}
    sources |= {"metric": spec.metric, "direction": spec.direction}
    args.output.mkdir(parents=True, exist_ok=True)
    path = args.output / f"{args.study}.parquet"
    rows = pq.read_table(path).to_pylist() if path.exists() else []
    known = {(row["arm"], row["repetition"]) for row in rows}
    for index in range(args.repeats):
        for arm in ARMS:
            if (arm, index) in known:
                continue
            begun = time.monotonic()
            found = repetition(arm, spec, preset, inner, args.trials, FIRST_SEED + index)
            for order, row in enumerate(found, 1):
                rows.append({"arm": arm, "repetition": index, "order": order, **row})
            table = pa.Table.from_pylist(rows)
            pq.write_table(table.replace_schema_metadata(about(args, sources)), path)
            values = [row["value"] for row in found if row["value"] is not None]
            best = max(values) if spec.direction == "maximize" else min(values)
            print(f"{index} {arm}: best {best:.4f} of {len(found)} trials, "
                  f"{time.monotonic() - begun:.0f} s", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
