"""A trainer whose trials take no time: what is left is the search's own."""

from dataclasses import dataclass, field

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hpsearch.study.search_options import Search
from hpsearch.trainers.contract import EpochRecord, TrainResult

SPACE = {
    "x": FloatDistribution(-1.0, 1.0),
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "depth": IntDistribution(1, 8),
    "kind": CategoricalDistribution(["a", "b"]),
}

KEEPS_BEST = False
SPEED = None
ASSESS = train_side_by_side = lr_test = missing_pretrained = None


@dataclass
class Prepared:
    source: str = "nothing"
    fingerprint: str = "0" * 64
    summary: str = "nothing was prepared"
    precision: str = "fp64"
    stages: tuple = ()
    facts: dict = field(default_factory=dict)


def prepare(data, settings, setup):
    return Prepared()


def value(params):
    return params["x"] ** 2 + params["lr"] + params["depth"]


def train(settings, params, data, setup):
    loss = value(params)
    setup.report(EpochRecord("only", 1, 1, loss, loss, {"loss": loss}, (params["lr"],), 0.0))
    return TrainResult({"loss": loss}, 1, 0.0)


@dataclass(frozen=True)
class InstantPreset:
    name: str = "quick"
    trials: int = 100
    settings: dict = field(default_factory=dict)
    language_model: str | None = None
    distributions: dict = field(default_factory=lambda: dict(SPACE))
    defaults: dict = field(default_factory=lambda: {"x": 0.5, "lr": 0.01, "depth": 3, "kind": "a"})


@dataclass(frozen=True)
class InstantSpec:
    name: str = "instant"
    trainer: str = "instant"
    metric: str = "loss"
    direction: str = "minimize"
    data: dict = field(default_factory=dict)
    search: Search = field(default_factory=Search)
    file: None = None

    def resolve(self, preset):
        return InstantPreset()

    def trainer_module(self):
        import instant_trainer

        return instant_trainer
