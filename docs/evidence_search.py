"""The page on the search itself: the best value by trials and by hours, beside its peers.

Its rows come from `tests/benchmarks/bench_best_value.py`, one for each trial of each arm.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pyarrow.parquet as pq
from evidence_decay import as_svg
from evidence_pages import MADE, table

from hpsearch.core.words import digits, duration, how_many

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from evidence import Study

FOLDER = Path(__file__).parent / "evidence" / "search"
COLOURS = ("#8a8f94", "#d1603d", "#1f6f8b", "#3a7d44")
PEER = "Optuna's TPE"
SHARES = {"a quarter": 0.25, "a half": 0.5, "all": 1.0}
BAND = (10, 90)
FLOAT = 4


@dataclass(frozen=True)
class Comparison:
    """The arms' trials on one study, and where they come from."""

    name: str
    about: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]]

    @property
    def arms(self) -> list[str]:
        return list(dict.fromkeys(row["arm"] for row in self.rows))

    @cached_property
    def curves(self) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
        """Of each arm, for each repetition: (seconds used, best value) after each trial.

        Where the value without its noise is known, it is that of the trial that seems best.
        """
        sign = 1.0 if self.about["direction"] == "maximize" else -1.0
        curves: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        for arm in self.arms:
            mine = [row for row in self.rows if row["arm"] == arm]
            curves[arm] = []
            for index in sorted({row["repetition"] for row in mine}):
                trials = [row for row in mine if row["repetition"] == index]
                seconds, seen, worth = 0.0, -np.inf, np.nan
                line = []
                for row in sorted(trials, key=lambda row: row["order"]):
                    seconds += row["seconds"]
                    if row["state"] == "complete" and sign * row["value"] > seen:
                        seen = sign * row["value"]
                        worth = row["value"] if row["true"] is None else row["true"]
                    line.append((seconds, worth))
                curves[arm].append(tuple(np.array(line).T))
        return curves

    @property
    def hours(self) -> float:
        """Seconds that every arm has used in half of its repetitions or more."""
        ends = [[line[0][-1] for line in lines] for lines in self.curves.values()]
        return float(min(np.median(one) for one in ends))

    def by_trials(self, arm: str, share: float) -> np.ndarray:
        """The best value of each repetition after a share of the trials."""
        return np.array([line[1][round(share * len(line[1])) - 1] for line in self.curves[arm]])

    def by_hours(self, arm: str, share: float) -> np.ndarray:
        """The best value of each repetition after a share of the hours; not a number for none."""
        ends = [np.searchsorted(line[0], share * self.hours, "right") for line in self.curves[arm]]
        lines = zip(self.curves[arm], ends, strict=True)
        return np.array([line[1][end - 1] if end else np.nan for line, end in lines])

    def better(self, arm: str) -> str:
        """In how many repetitions the arm ends better than the peer does."""
        sign = 1.0 if self.about["direction"] == "maximize" else -1.0
        mine, peers = self.by_trials(arm, 1.0), self.by_trials(PEER, 1.0)
        wins = int((sign * (mine - peers) > 0).sum())
        return "" if arm == PEER else f"{wins} of {len(mine)}"


def comparisons() -> list[Comparison]:
    found = []
    for path in sorted(FOLDER.glob("*.parquet")):
        content = pq.read_table(path)
        about = json.loads(content.schema.metadata[b"about"])
        found.append(Comparison(path.stem, about, content.to_pylist()))
    return found


def search_files(studies: Sequence[Study]) -> dict[str, str]:
    """The page and its pictures by name; none if nothing is recorded."""
    found = comparisons()
    if not found:
        return {}
    files = {}
    lines = [
        MADE,
        "# The search beside its peers",
        "",
        "The best value that a search has found, by trials and by hours: random search, Optuna's "
        "TPE as its tutorial uses it, `hpsearch run` with its defaults (half of the trials are "
        "design, which rules are read off; the hopeless among the others end early), and "
        "`hpsearch run --sampler forest --design-share 0.1`, which searches for the best value "
        "only. The first trial of every arm is the published defaults. Each figure is the median "
        "of the repetitions, with the tenth and the ninetieth percentile. It is published whoever "
        "wins.",
    ]
    for one in found:
        lines += ["", f"## {one.name}", "", *section(one, studies), ""]
        lines.append(f"![Best value by trials and by hours on {one.name}](search-{one.name}.svg)")
        files[f"search-{one.name}.svg"] = picture(one)
    return {"search.md": "\n".join(lines) + "\n", **files}


def section(one: Comparison, studies: Sequence[Study]) -> list[str]:
    about = one.about
    repeats = max(len(lines) for lines in one.curves.values())
    lines = [
        f"{origin(one, studies)} {how_many(repeats, 'repetition')} of "
        f"{how_many(about['trials'], 'trial')} an arm; {about['metric']}, "
        f"{'higher' if about['direction'] == 'maximize' else 'lower'} is better. Run on "
        f"{about['date']} by `{about['command']}` at `{about['revision'][:12]}`, "
        f"{about['processor']}.",
        "",
    ]
    header = ["arm", *(f"{word} of {about['trials']} trials" for word in SHARES)]
    rows = [
        (arm, *(spread(one.by_trials(arm, share)) for share in SHARES.values()), one.better(arm))
        for arm in one.arms
    ]
    lines += [*table((*header, f"ends better than {PEER}"), rows), ""]
    header = ["arm", *(f"after {duration(share * one.hours)}" for share in SHARES.values())]
    rows = [
        (arm, *(spread(one.by_hours(arm, share)) for share in SHARES.values())) for arm in one.arms
    ]
    return [*lines, *table(header, rows)]


def origin(one: Comparison, studies: Sequence[Study]) -> str:
    """Whether the trials were trained or replayed; SystemExit if they replay other trials."""
    if not one.about["replay"]:
        return f"Real trainings, preset `{one.about['preset']}`, in CPU seconds."
    now = next(each for each in studies if each.recording.study == one.about["study"])
    if now.recording.about["files"]["trials.parquet"]["sha256"] != one.about["recorded"]:
        raise SystemExit(
            f"{one.name} replays trials that are not the recorded ones any more: remove "
            f"docs/evidence/search/{one.name}.parquet and run its command again."
        )
    return (
        "A replay: no training, but a Gaussian process of the recorded trials, which explains "
        f"{one.about['r2']:.0%} of the variance of trials that are left out, with noise as "
        f"replicates show it ({digits(one.about['noise'], 2)}). The figures are what the trial "
        "that seems best is worth without its noise."
    )


def spread(values: np.ndarray) -> str:
    """Median and band; a dash where most repetitions have no value yet."""
    if np.isnan(values).mean() > 0.5:
        return "—"
    low, high = np.nanpercentile(values, BAND)
    return f"{digits(np.nanmedian(values), FLOAT)} ({digits(low, FLOAT)} to {digits(high, FLOAT)})"


def picture(one: Comparison) -> str:
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    shares = np.linspace(0, 1, 101)[1:]
    for arm, colour in zip(one.arms, COLOURS, strict=True):
        count = one.about["trials"]
        numbers = np.arange(1, count + 1)
        values = np.array([one.by_trials(arm, number / count) for number in numbers])
        draw(left, numbers, values, arm, colour)
        values = np.array([one.by_hours(arm, share) for share in shares])
        known = np.isnan(values).mean(axis=1) <= 0.5
        draw(right, shares[known] * one.hours / 60, values[known], arm, colour)
    left.set(xlabel="trials", ylabel=f"best {one.about['metric']}")
    right.set(xlabel="minutes of training")
    left.legend(fontsize="small")
    return as_svg(figure)


def draw(axes, places, values, arm: str, colour: str) -> None:
    low, high = np.nanpercentile(values, BAND, axis=1)
    axes.fill_between(places, low, high, color=colour, alpha=0.12, linewidth=0)
    axes.plot(places, np.nanmedian(values, axis=1), color=colour, label=arm)
