"""The parts of `make gpu`: what each measures, how long it may take, what is wanted of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SHARED = ("hpsearch/trainers/shared", "hpsearch/trainers/step")
TEXT = ("hpsearch/trainers/text", *SHARED)
TABLES = ("hpsearch/trainers/tabular", "hpsearch/trainers/collab", *SHARED)
ALL = ("hpsearch",)


@dataclass(frozen=True)
class Goal:
    """A row of a part's table, and what is wanted: at least so many times the peer's figure
    (`times`), at least a figure, or at most one."""

    what: str
    unit: str
    times: float | None = None
    least: float | None = None
    most: float | None = None

    def wanted(self) -> str:
        """For people."""
        if self.times is not None:
            return f"{self.times:g} times"
        if self.least is not None:
            return f"at least {self.least:,.{0 if self.least >= 100 else 3}f}"
        return "" if self.most is None else f"at most {self.most:,g}"

    def held(self, ours: float | None, peer: float | None) -> bool | None:
        """Whether it is so; None where it cannot be said."""
        if ours is None:
            return None
        if self.times is not None:
            return None if not peer else ours / peer >= self.times
        if self.least is not None:
            return ours >= self.least
        return None if self.most is None else ours <= self.most


@dataclass(frozen=True)
class Part:
    """One subprocess: a script of this folder and its arguments. It may take `seconds`; `sources`
    are what it measures, so that a figure is out of date once they change."""

    name: str
    title: str
    command: tuple[str, ...]
    seconds: int
    sources: tuple[str, ...]
    goals: tuple[Goal, ...] = ()


def _checks() -> list[Part]:
    """A part for each file of tests, so that one that hangs does not take the others."""
    of = {"language_model": TEXT, "classifier": TEXT, "tables": TABLES}
    return [
        Part(
            f"checks-{file.stem.removeprefix('test_').replace('_', '-')}",
            f"Agreement, resuming, determinism, precision, memory: `tests/gpu/{file.name}`",
            ("checks.py", file.name),
            120,
            of.get(file.stem.removeprefix("test_"), ALL),
        )
        for file in sorted(HERE.glob("test_*.py"))
    ]


CLASSIFIER = [f"classifier, bs 48, {stage}" for stage in ("head", "rnn2", "rnn1", "all")]
PARTS = (
    *_checks(),
    Part(
        "speed-language-model",
        "The language model's speed: 400/1152/3, vocabulary 60,000, sequence 70",
        ("speed.py", "language-model"), 75, TEXT,
        (
            Goal("language model, bs 48", "tokens/s", times=5),
            Goal("language model, bs 256", "tokens/s", least=1.5e6),
        ),
    ),
    Part(
        "speed-classifier",
        "The classifier's speed: 400/1152/3, whole reviews with IMDb's lengths",
        ("speed.py", "classifier"), 110, TEXT,
        tuple(Goal(what, "reviews/s", times=4) for what in CLASSIFIER),
    ),
    Part(
        "speed-prediction",
        "Prediction's speed: 400/1152/3, whole reviews with IMDb's lengths",
        ("speed.py", "prediction"), 45, TEXT,
        (Goal("prediction, full size", "reviews/s", least=10_000),),
    ),
    Part(
        "variants",
        "Other designs of the language model's step, and the price of one result for a seed",
        ("variants.py",), 60, TEXT,
    ),
    Part(
        "commands",
        "All commands: on small made-up data, where each trial says what device it ran on",
        ("commands.py",), 120, ALL,
    ),
    Part(
        "busy",
        "Where a step's time goes: how long the GPU works, and at what",
        ("busy.py",), 60, TEXT,
    ),
    Part(
        "tables",
        "Studies of 64 trials on tables and ratings, from the command to its end",
        ("studies.py", "tables"), 180, (*TABLES, "hpsearch/search"),
        tuple(
            Goal(f"{study}, {beside}", "trials an hour", times=times)
            for study in ("adult", "movielens")
            for beside, times in (("beside fastai and Optuna", 20), ("beside the processors", 1))
        ),
    ),
    Part(
        "trials",
        "Text trials an hour on one GPU",
        ("studies.py", "texts"), 150, (*TEXT, "hpsearch/search"),
        (
            Goal("imdb-clas, preset cpu", "trials an hour", least=2000),
            Goal("full-size classifier, 25,000 reviews", "trials an hour", least=200),
        ),
    ),
    Part(
        "full",
        "`full` from nothing: a language model and a classifier from IMDb's 25,000 training and "
        "50,000 unlabelled reviews, measured on the 25,000 test reviews",
        ("full.py",), 560, TEXT,
        (
            Goal("accuracy, forward", "", least=0.944),
            Goal("accuracy, both directions", "", least=0.95),
            Goal("seconds in all, both directions", "s", most=900),
        ),
    ),
)  # fmt: skip


def choose(only: str) -> list[Part]:
    """The parts that a list such as "checks,speed-classifier" names, in their own order; a name
    also stands for all that begin with it and a dash. Raises ValueError for one that is none."""
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    for name in wanted:
        if not any(_means(name, part) for part in PARTS):
            known = ", ".join(part.name for part in PARTS)
            raise ValueError(f"There is no part {name!r}: choose from {known}.")
    return [part for part in PARTS if not wanted or any(_means(name, part) for name in wanted)]


def _means(name: str, part: Part) -> bool:
    return part.name == name or part.name.startswith(f"{name}-")
