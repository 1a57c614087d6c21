"""The end of a training: judge the model, set a simple model beside it, and write it all down."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from hpsearch.core.console import say, shown_progress
from hpsearch.core.environment import threads, versions
from hpsearch.core.files import write_atomically
from hpsearch.core.home import remove
from hpsearch.core.words import describe_params, duration
from hpsearch.models.card import CARD_FILE, render_card
from hpsearch.models.plan_file import write_plan
from hpsearch.search.baseline import TEST, describe_baseline, make_baseline
from hpsearch.study.spec import StudySpec
from hpsearch.study.trainers import is_own
from hpsearch.trainers.contract import Prepared
from hpsearch.trainers.shared.assessment import assessor


@dataclass(frozen=True)
class Training:
    """A training that is over.

    Attributes:
        plan: What was to be trained; its settings include the values of hyperparameters.
        command: What trains the same again.
        metrics: Those of its last epoch.
        started: What `time.perf_counter()` was when it began.
        test: Whether its rows to test on were kept for this.
        facts: What else is to be kept, such as the measured speed.
    """

    spec: StudySpec
    plan: Mapping[str, Any]
    command: str
    prepared: Prepared
    device: str
    metrics: Mapping[str, float]
    started: float
    test: bool
    facts: Mapping[str, Any]


def finish(output: Path, done: Training, console: Console) -> dict[str, float]:
    """Judge the model in `output`, write `training.json` and the card, and say what came of it.

    Returns the model's metrics, those on test data beside the others.
    """
    spec, prepared = done.spec, done.prepared
    trainer = spec.trainer_module()
    metrics = {name: float(value) for name, value in done.metrics.items()}
    judge, found, baseline = assessor(trainer), None, None
    if judge is not None:
        with shown_progress(console) as progress:
            found = judge.assess(
                output, prepared, test=done.test, metric=spec.metric, device=done.device,
                progress=progress,
            )  # fmt: skip
            settings = done.plan["settings"]
            baseline = make_baseline(trainer, settings, prepared, lambda text: say(console, text))
        if found.part == "test":
            metrics |= {f"{TEST}{name}": value for name, value in found.metrics.items()}
    seconds = time.perf_counter() - done.started
    content = {
        **done.plan, "metrics": metrics, "seconds": seconds, "device": done.device,
        "threads": threads(), "data": prepared.source, "summary": prepared.summary,
        "fingerprint": prepared.fingerprint, "versions": versions(), "command": done.command,
        "trainer": spec.trainer, "metric": spec.metric, **done.facts,
        "assessment": None if found is None else asdict(found),
        "baseline": None if baseline is None else asdict(baseline),
    }  # fmt: skip
    write_plan(output, content)
    write_atomically(output / CARD_FILE, render_card(content))
    remove(output / "checkpoint", within=output)
    tested = any(name.startswith(TEST) for name in metrics)
    what = "" if tested or is_own(spec.trainer) else "on the held-out data: "
    say(console, f"{what}{describe_params(metrics)}; wrote {output} after {duration(seconds)}")
    if baseline is not None:
        sentence = describe_baseline(baseline, spec.metric, spec.direction, metrics, "the model")
        say(console, sentence)
    return metrics
