"""The table of what was measured on a GPU, from the results that `make gpu` keeps.

    python tests/gpu/report.py                      # render tests/benchmarks/GPU.md anew
    python tests/gpu/report.py --add GPU.json       # with results from another machine put in

A figure is out of date once what it measures changed: the results keep a digest of those sources.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from gpu.parts import PARTS, ROOT, Goal, Part

RESULTS = ROOT / "tests/benchmarks/GPU.json"
TABLE = ROOT / "tests/benchmarks/GPU.md"
HEAD = """# On a GPU

Written by `make gpu` on a machine with a GPU, and by `make gpu-report` anywhere: nobody edits it.
Every section says when, on what card and at which revision its figures were measured, or that they
were not measured since: then the code that they measure has changed. fastai 2.8.12 in mixed
precision is measured in the same run, on the same GPU. A file of checks (`tests/gpu/test_*.py`) has
a section once it was run on a GPU.
"""
Results = dict[str, dict[str, Any]]


def digest(paths: Sequence[str], root: Path = ROOT) -> str:
    """Of the content of all Python files at or below the paths."""
    found = hashlib.sha256()
    for path in sorted({file for one in paths for file in (root / one).rglob("*.py")}):
        found.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:20]


def read_results(path: Path) -> Results:
    """By the parts' names; nothing where there is no file yet."""
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}


def write_results(path: Path, results: Mapping[str, Any]) -> None:
    """The whole file or nothing of it."""
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    unfinished.replace(path)


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> Results:
    """What was measured last of each part; a try that brought no figure only adds what ended it."""
    both = dict(old)
    for name, result in new.items():
        if result["rows"] or name not in both:
            both[name] = result
        else:
            both[name] = {**both[name], "failure": result.get("failure")}
    return both


def render(results: Mapping[str, Any], parts: Iterable[Part] = PARTS, root: Path = ROOT) -> str:
    """The whole page as Markdown."""
    sections = []
    for part in parts:
        if part.name in results or not part.name.startswith("checks-"):
            sections.append(_section(part, results.get(part.name), root))
    return "\n".join([HEAD, *sections])


def _section(part: Part, result: Mapping[str, Any] | None, root: Path) -> str:
    lines = [f"## {part.title}", "", f"`make gpu ONLY={part.name}`. {_state(part, result, root)}"]
    rows = [] if result is None else result["rows"]
    checks = [row for row in rows if row["held"] is not None]
    if checks:
        lines += ["", *_checks(checks)]
    figures = _figures(part.goals, [row for row in rows if row["held"] is None])
    if figures:
        lines += ["", "| what | fastai or other | ours | times | wanted |", "|---|---|---|---|---|"]
        lines += figures
    return "\n".join([*lines, ""])


def _state(part: Part, result: Mapping[str, Any] | None, root: Path) -> str:
    if result is None:
        return "**Not measured yet.**"
    facts = f"{result['date']}, {result['machine']}, revision {result['revision']}"
    ended = f"; **{result['failure']}**" if result.get("failure") else ""
    text = f"{facts}, {result['seconds']:.0f} s{ended}."
    if result["sources"] != digest(part.sources, root):
        return f"**Not measured since {result['revision']}**; then: {text}"
    return f"Measured {text}"


def _checks(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    wrong = [row for row in rows if not row["held"]]
    lines = [f"{len(rows) - len(wrong)} of {len(rows)} hold."]
    return lines + [f"- **does not hold:** {row['what']}{_after(row['note'])}" for row in wrong]


def _figures(goals: Sequence[Goal], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for every goal, measured or not, then one for every other figure."""
    of = {row["what"]: row for row in rows}
    lines = [_line(goal, of.pop(goal.what, None)) for goal in goals]
    return lines + [_line(Goal(what, row["unit"]), row) for what, row in of.items()]


def _line(goal: Goal, row: Mapping[str, Any] | None) -> str:
    name = f"{goal.what}, {goal.unit}" if goal.unit else goal.what
    if row is None:
        return f"| {name} | | not measured | | {goal.wanted()} |"
    ours, peer = row["value"], row["peer"]
    times = "" if not (ours and peer) else f"{ours / peer:.3g}"
    held = goal.held(ours, peer)
    verdict = "" if held is None else ": held" if held else ": **missed**"
    cells = (name + _after(row["note"]), _number(peer), _number(ours), times, goal.wanted())
    return f"| {' | '.join(cells)}{verdict} |"


def _after(note: str) -> str:
    return f" ({note})".replace("|", "/") if note else ""


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--add", type=Path, help="results from another machine (GPU.json)")
    given = parser.parse_args()
    results = read_results(RESULTS)
    if given.add:
        results = merged(results, read_results(given.add))
        write_results(RESULTS, results)
    TABLE.write_text(render(results), encoding="utf-8")
    print(f"{len(results)} of {len(PARTS)} parts are measured: {TABLE}")


if __name__ == "__main__":
    main()
