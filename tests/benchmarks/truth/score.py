"""Lines beside the truth: what a row of the table shows, and whether it passes the gates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.benchmarks.truth.integrals import GRID, Curve, Truth, truth_of

CLAIMS = ("optimum", "threshold", "edge", "conditional")  # that say what to set
MATTERS = 0.1  # of the variance: a parameter that owns so much should get a rule
SEEN = 0.01  # of the variance: smaller shares are covered by an interval that begins at 0
HALF_STEP = 0.5 * (GRID[1] - GRID[0]) + 1e-9
COVERS = (0.85, 0.97)
RUNS = 100  # of a recommended configuration

COLUMNS = {
    "trusted": "studies whose forest was trusted",
    "power": f"parameters that own {MATTERS:.0%} of the variance and got a rule",
    "false": "of the rules that say what to set, those about a parameter that does nothing",
    "optimum": "intervals that hold an optimum of the good region",
    "whole": "intervals that hold an optimum of the whole space",
    "level": "intervals that hold all values that are worth as much as the good region's best",
    "width": "mean width of an interval, on the sampling scale",
    "gain": "intervals of the gain over the default that hold that of the good region",
    "gain w": "the same, that of the whole space",
    "main": "intervals of main shares that hold the truth",
    "pairs": "intervals of pair shares that hold the truth",
    "off": "mean absolute error of the main shares",
    "follow": "studies with a rule in which the best trial with all rules set is at least as good",
    "regret": "of the best trial with all rules set, in standard deviations over the space; a run "
    "that fails is worth the median of the space",
    "best": "the same of the best trial as it is",
    "rank": "share of the space that is better than the best trial with all rules set",
    "ahead": "studies whose recommended configuration is at least as good as the best trial",
    "advised": "regret of the recommended configuration, in standard deviations over the space",
    "run": "chance that a run of the recommended configuration lies in its interval",
    "curve": "regret of the curves' best points, parameters that matter, over the good region",
    "fails": "chance that the best trial with all rules set fails",
    "s": "seconds of processor time that explaining took",
    "fanova off": "mean absolute error of Optuna's fANOVA's main shares",
    "ped off": "the same of PED-ANOVA's",
    "quad power": "power of the quadratic regression",
    "quad false": "of the effects that it finds, those of parameters that do nothing",
    "gp curve": "as `curve`, of a Gaussian process",
}
RATES = ("trusted", "power", "false", "optimum", "whole", "level", "gain", "gain w", "main",
         "pairs", "follow", "ahead", "quad power", "quad false")  # fmt: skip
GATES = {
    "false": (0.0, 0.1), "optimum": COVERS, "level": COVERS,
    "gain": COVERS, "main": COVERS, "pairs": COVERS, "follow": (0.9, 1.0),
}  # fmt: skip
"""What a row has to reach; for power see `power_gate`."""


@dataclass
class Row:
    """The measures of the studies of one row: name -> a number for each case."""

    studies: int = 0
    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def mean(self, name: str) -> float | None:
        return float(np.mean(self.values[name])) if self.values[name] else None

    def error(self, name: str) -> float:
        """The standard error of the mean."""
        values = np.asarray(self.values[name], float)
        if name in RATES:  # a rate of 0 or 1 is not known exactly either
            share = (values.sum() + 1) / (len(values) + 2)
            return float(np.sqrt(share * (1 - share) / len(values)))
        return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def score(lines: Iterable[Mapping[str, Any]]) -> Row:
    """The row of some lines, of one shape or of several."""
    row = Row()
    for line in lines:
        row.studies += 1
        add(row.values, line, truth_of(line["shape"]))
    return row


def add(values: dict[str, list[float]], line: Mapping[str, Any], truth: Truth) -> None:
    _add_peers(values, line.get("peers", {}), truth)
    if "trusted" not in line:  # the peers alone were asked
        return
    values["trusted"].append(line["trusted"])
    if "seconds" in line:
        values["s"].append(line["seconds"])
    claims = {rule["param"]: rule for rule in line["rules"] if rule["kind"] in CLAIMS}
    values["power"] += [p in claims for p, share in truth.main.items() if share >= MATTERS]
    idle = truth.idle()
    values["false"] += [
        rule["param"] in idle for rule in line["rules"] if rule["kind"] != "no-effect"
    ]
    for param, rule in claims.items():
        if param not in idle:
            _add_rule(values, rule, truth.curves[param], truth)
    if line["trusted"]:
        _add_shares(values, line, truth)
    if line.get("best"):
        _add_following(values, line, claims, truth)
    _add_curves(values, "curve", line.get("curves", {}), truth)


def _add_curves(values: dict[str, list[float]], name: str, tops: Mapping, truth: Truth) -> None:
    """What the best points of curves cost, over the good region, in standard deviations."""
    for param, share in truth.main.items():
        if share >= MATTERS and param in tops:
            curve = truth.curves[param]
            worth = curve.worth("good")
            at = np.interp(tops[param], curve.points, worth)
            values[name].append(float(worth.max() - at) / truth.spread)


def _add_peers(values: dict[str, list[float]], said: Mapping, truth: Truth) -> None:
    for name in ("fanova", "ped"):
        if name in said:
            values[f"{name} off"] += [abs(s - truth.main[p]) for p, s in said[name].items()]
    if "quadratic" in said:
        found, idle = said["quadratic"], truth.idle()
        values["quad power"] += [found[p] for p, s in truth.main.items() if s >= MATTERS]
        values["quad false"] += [p in idle for p, there in found.items() if there]
    _add_curves(values, "gp curve", said.get("gp", {}), truth)


def _add_rule(values: dict[str, list[float]], rule: Mapping, curve: Curve, truth: Truth) -> None:
    pieces = rule["pieces"]
    values["optimum"].append(any(covered(pieces, curve.optimum("good"))))
    values["whole"].append(any(covered(pieces, curve.optimum("whole"))))
    epsilon = rule.get("epsilon", truth.noise / 2)
    values["level"].append(all(covered(pieces, curve.within("good", epsilon))))
    if len(curve.points) > 10:
        values["width"].append(sum(high - low for low, high in pieces))
    if rule["gain"] is not None:
        _, low, high = rule["gain"]
        for name, region in (("gain", "good"), ("gain w", "whole")):
            actual = curve.at(rule["at"], region) - curve.at(curve.default, region)
            values[name].append(low - 1e-9 <= actual <= high + 1e-9)


def covered(pieces: Sequence[Sequence[float]], points: np.ndarray) -> list[bool]:
    """Which points lie in one of the pieces, or nearer to it than half a step of the grid."""
    return [
        any(low - HALF_STEP <= point <= high + HALF_STEP for low, high in pieces)
        for point in points
    ]


def _add_shares(values: dict[str, list[float]], line: Mapping, truth: Truth) -> None:
    for param, actual in truth.main.items():
        share, low, high = line["main"].get(param, (0.0, 0.0, 0.0))
        values["off"].append(abs(share - actual))
        if actual > SEEN:
            values["main"].append(low <= actual <= high)
    for pair, actual in truth.pairs.items():
        if actual > SEEN:
            known = line["pairs"]
            _, low, high = known.get(",".join(pair), known.get(",".join(pair[::-1]), (0, 0, 0)))
            values["pairs"].append(low <= actual <= high)


def _add_following(values: dict[str, list[float]], line: Mapping, claims: Mapping, truth: Truth):
    if truth.spread < 1e-9:
        return
    before = line["best"]
    after = before | {p: r["at"] for p, r in claims.items() if r["kind"] != "conditional"}
    regrets = [(truth.best_value - truth.worth(one)) / truth.spread for one in (before, after)]
    values["best"].append(regrets[0])
    values["regret"].append(regrets[1])
    if line.get("advised"):
        _add_advised(values, line["advised"], regrets[0], truth)
    values["rank"].append(truth.rank(after))
    values["fails"].append(truth.fails(after))
    if claims:
        values["follow"].append(regrets[1] <= regrets[0] + 1e-9)


def _add_advised(values: dict[str, list[float]], advised: Mapping, best: float, truth: Truth):
    regret = (truth.best_value - truth.worth(advised["at"])) / truth.spread
    values["advised"].append(regret)
    values["ahead"].append(regret <= best + 1e-9)
    points, rng = truth.shape.full(advised["at"]), np.random.default_rng(0)
    runs = np.array([truth.shape.value(points, rng) for _ in range(RUNS)])
    _, low, high = advised["predicted"]
    values["run"].append(float(np.mean((low <= runs) & (runs <= high))))


def power_gate(row: Row, sampler: str, trials: int) -> float | None:
    """The least power: the quadratic regression's on the same studies, and .6 in two rows."""
    wanted = [0.6] if (sampler, trials) in (("mix", 60), ("tpe", 120)) else []
    peer = row.values["quad power"]
    if peer and len(peer) == len(row.values["power"]):
        wanted.append(float(np.mean(peer)))
    return max(wanted, default=None)


def show(row: Row, name: str) -> str:
    """A measure with its standard error: rates in percent."""
    mean = row.mean(name)
    if mean is None:
        return "-"
    if name in RATES:
        return f"{100 * mean:.0f}±{100 * row.error(name):.0f}"
    return (
        f"{mean:.2f}±{row.error(name):.2f}"
        if name in ("regret", "best", "curve", "advised")
        else f"{mean:.3f}"
    )
