"""The table of the lines, with the gates beside what was reached, and two versions beside each
other."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.truth.score import COLUMNS, GATES, Row, power_gate, score, show
from tests.benchmarks.truth.shapes import SHAPES
from tests.benchmarks.truth.studies import SAMPLERS
from tests.benchmarks.truth.tables import TABLES

KEYS = ("shape", "sampler", "trials", "seeds", "index")
ORDER = {name: at for at, name in enumerate((*SHAPES, *TABLES, *SAMPLERS))}

Lines = dict[tuple, dict[str, Any]]
Rows = dict[tuple, Row]


def read(path: Path) -> Lines:
    """The lines of a file by what they are about."""
    lines = map(json.loads, path.read_text().splitlines() if path.exists() else [])
    return {tuple(line[key] for key in KEYS): line for line in lines}


def rows_of(lines: Lines, by: Sequence[str]) -> Rows:
    """The rows, in the order of the shapes; one row of all where `by` is empty."""
    groups = defaultdict(list)
    for line in lines.values():
        groups[tuple(line[key] for key in by)].append(line)
    ordered = sorted(groups, key=lambda key: [ORDER.get(part, part) for part in key])
    return {key: score(groups[key]) for key in ordered}


def print_table(
    lines: Lines, by: Sequence[str], columns: Sequence[str], before: Lines | None = None
) -> None:
    """One version's table with its gates, or the same studies of two versions, before / after."""
    if before is not None:
        both = lines.keys() & before.keys()
        lines, before = ({key: one[key] for key in both} for one in (lines, before))
    after, rows = rows_of(lines, by), rows_of(before or lines, by)
    known = [name for name in columns if any(r.mean(name) is not None for r in after.values())]
    print(f"| {' | '.join([*by, 'studies', *known])} |")
    print("|" + "---|" * (len(by) + 1 + len(known)))
    for key, row in after.items():
        cells = [show(row, name) for name in known]
        if before is not None:
            cells = [f"{show(rows[key], n)} / {one}" for n, one in zip(known, cells, strict=True)]
        print(f"| {' | '.join([*map(str, key), str(row.studies), *cells])} |")
    print("\nGates; pooling and verification have modules of their own.\n")
    for key, row in after.items():
        where = dict(zip(by, key, strict=True))
        print(f"- {', '.join(map(str, key)) or 'all'}: {gates_of(row, where)}")
    print()
    for name in known:
        print(f"- {name}: {COLUMNS[name]}")


def gates_of(row: Row, where: Mapping[str, Any]) -> str:
    """PASS or MISS for each gate that the row can speak of, with what was reached."""
    gates = dict(GATES)
    if where.get("shape") not in TABLES:
        del gates["follow"]
    least = power_gate(row, where.get("sampler", ""), where.get("trials", 0))
    if least is not None and "shape" not in where:
        gates["power"] = (least, 1.0)
    said = []
    for name, (low, high) in gates.items():
        mean = row.mean(name)
        if mean is not None:
            verdict = "PASS" if low <= mean <= high else "MISS"
            said.append(f"{verdict} {name} {show(row, name)} ({100 * low:.0f} to {100 * high:.0f})")
    return "; ".join(said) or "no gate applies"
