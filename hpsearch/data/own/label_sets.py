"""Several labels a text: in one cell, as drama|comedy or as a list, or in columns of 0 and 1.

A row's labels leave here as one string, which `hpsearch.data.text_dataset.set_of` reads: "" where
nobody has labelled the row, and "[]" where none of the labels belongs to it.
"""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hpsearch.core.words import how_many, quoted, row_numbers
from hpsearch.data.own.bad_rows import BadRows
from hpsearch.data.own.csv_files import strings
from hpsearch.data.own.typed_columns import is_list
from hpsearch.data.text_dataset import set_of, set_text
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

SEPARATORS = ("|", ";", ",", "/")
"""What stands between labels where nobody says what does; the likeliest first."""
YES, NO = ("1", "true", "yes"), ("0", "false", "no")
NAMED = 10  # labels in a sentence


@dataclass(frozen=True)
class Several:
    """Where the labels are: in one column, with `separator` between them or as lists (None), or a
    column each (`flags`), which says 0 or 1. `empty` says what an empty cell means."""

    columns: tuple[str, ...]
    flags: bool = False
    separator: str | None = None
    empty: Literal["unlabelled", "none"] = "unlabelled"

    @property
    def what(self) -> str:
        """For people."""
        return f"column{'s' if len(self.columns) > 1 else ''} {quoted(self.columns)}"


def read_sets(
    where: Path | str, raw: pa.Table, several: Several, blank: Sequence[int], bad: BadRows
) -> tuple[list[str], list[int]]:
    """(the labels of each row, the rows whose labels cannot be read, which `bad` has noted).

    `blank` are the rows without a text: an empty cell beside none says nothing.

    Raises:
        InputError: Labels cannot be read and their rows are not to be left out, or the column is
            not as the study says.
    """
    if several.flags:
        sets, unread = _of_flags(where, raw, several, bad)
    else:
        sets, unread = _of_cells(where, raw, several, bad)
    if several.empty == "none":
        without = set(blank)
        sets = ["" if row in without and not one else one or "[]" for row, one in enumerate(sets)]
    return sets, unread


def _of_flags(
    where: Path | str, raw: pa.Table, several: Several, bad: BadRows
) -> tuple[list[str], list[int]]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    known, filled, unread = [], [], set[int]()
    for name in several.columns:
        cells = pc.utf8_lower(pc.utf8_trim_whitespace(strings(where, raw, name)))
        cells = pc.replace_substring_regex(cells, r"^([01])\.0*$", r"\1")
        place = pc.index_in(cells, pa.array([*YES, *NO, ""], pa.large_string()))
        number = place.fill_null(-1).to_numpy()
        wrong = np.flatnonzero(number < 0).tolist()
        if wrong and not bad.skip:
            said = raw[name][wrong[0]].as_py()
            raise InputError(
                f"{where}, column {name!r} has {str(said)[:40]!r} in row {wrong[0] + 1:,}, where a "
                "column of labels says 0 or 1: mend it, leave such rows out with --skip-bad-rows, "
                "or take the column out of labels."
            )
        bad.add(f"neither 0 nor 1 in {name}", wrong)
        unread.update(wrong)
        filled.append((number >= 0) & (number < len(YES) + len(NO)))
        known.append((number >= 0) & (number < len(YES)))
    yes, said = np.array(known).T, np.array(filled).T
    if several.empty == "unlabelled":
        partly = np.flatnonzero(said.any(1) & ~said.all(1)).tolist()
        gaps = [row for row in partly if row not in unread]
        if gaps and not bad.skip:
            raise InputError(
                f"{where}, {several.what}: some of them are empty in {row_numbers(gaps)}: write 0 "
                'or 1, say empty_labels = "none" in [data] if an empty cell means 0, or leave such '
                "rows out with --skip-bad-rows."
            )
        bad.add("an empty cell among labels", gaps)
        unread.update(gaps)
    texts: dict[bytes, str] = {}
    sets = []
    for row, of_row in enumerate(yes):
        key = of_row.tobytes()
        if key not in texts:
            chosen = zip(several.columns, of_row, strict=True)
            texts[key] = set_text(name for name, has in chosen if has)
        sets.append(texts[key] if said[row].any() else "")
    return sets, sorted(unread)


def _of_cells(
    where: Path | str, raw: pa.Table, several: Several, bad: BadRows
) -> tuple[list[str], list[int]]:
    name = several.columns[0]
    if is_list(raw[name].type):
        cells: list[Any] = raw[name].to_pylist()
        return ["" if cell is None else _set_of_list(where, name, cell) for cell in cells], []
    texts = strings(where, raw, name).to_pylist()
    separator = several.separator
    made: dict[str, str | None] = {"": ""}
    if separator is None and _look_like_lists(texts):
        for cell in set(texts) - {""}:
            made[cell] = _literal(cell)
    elif separator is None or not any(separator in cell for cell in texts):
        raise InputError(_separator_problem(where, name, separator, texts))
    else:
        for cell in set(texts) - {""}:
            made[cell] = set_text(cell.split(separator))
    unread = [row for row, cell in enumerate(texts) if made[cell] is None]
    if unread and not bad.skip:
        raise InputError(
            f"{where}, column {name!r} has {texts[unread[0]][:40]!r} in row {unread[0] + 1:,}, "
            "which is no list: mend it, or leave such rows out with --skip-bad-rows."
        )
    bad.add(f"no list in {name}", unread)
    return [made[cell] or "" for cell in texts], unread


def _look_like_lists(cells: Sequence[str]) -> bool:
    """Whether most cells are lists as Python or JSON writes them: pandas puts such into a CSV."""
    filled = [cell.strip() for cell in cells if cell]
    lists = sum(cell.startswith("[") and cell.endswith("]") for cell in filled)
    return 2 * lists > len(filled)


def _literal(cell: str) -> str | None:
    """The set that "['drama', 'comedy']" means, None if it is no list of names."""
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(cell.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(found, list) and not any(isinstance(one, list | dict) for one in found):
            return set_text(str(one) for one in found if one is not None)
    return None


def _set_of_list(where: Path | str, name: str, cell: Sequence[Any]) -> str:
    if any(isinstance(one, list | dict) for one in cell):
        raise InputError(f"{where}, column {name!r} holds lists of no plain labels: write names.")
    return set_text(str(one) for one in cell if one is not None)


def _separator_problem(
    where: Path | str, name: str, separator: str | None, cells: Sequence[str]
) -> str:
    guess = next((one for one in SEPARATORS if any(one in cell for cell in cells)), None)
    if separator is None:
        return (
            f"{where}, column {name!r} holds text: say in [data] what stands between two labels, "
            f'as in label_separator = "{guess or "|"}".'
        )
    hint = f'say label_separator = "{guess}"' if guess else f'say label = "{name}" in the place of'
    return (
        f"{where}, no cell of column {name!r} holds {separator!r}, which label_separator names: "
        f"{hint}{'' if guess else ' labels, if each text has one'}."
    )


def without_rare(
    where: Path | str, several: Several, sets: list[str], dropped: list[bool], bad: BadRows
) -> tuple[list[str], str | None]:
    """The sets without the labels that occur once; the rows stay. The second is what to tell.

    Raises:
        InputError: There are such labels and bad rows are not to be left out, or there is no label
            at all.
    """
    counted: Counter[str] = Counter()
    for one, out in zip(sets, dropped, strict=True):
        if one and not out:
            counted.update(set_of(one))
    if not counted:
        raise InputError(f"{where}, {several.what}: no row has a label; name where they are.")
    none = sorted(set(several.columns) - counted.keys()) if several.flags else []
    if none and not bad.skip:
        raise InputError(
            f"{where}, {several.what}: no row has the label {quoted(none)}, so that nothing can be "
            "learnt of it: take it out of labels, or let --skip-bad-rows do so."
        )
    once = sorted(name for name, times in counted.items() if times == 1)
    if once and not bad.skip:
        is_label = "is a label" if len(once) == 1 else "are labels"
        it, they = ("it", "that label") if len(once) == 1 else ("them", "those labels")
        raise InputError(
            f"{where}, {several.what}: {_some(once)} {is_label} of only one text, which can not be"
            f" both learnt from and tested on: give more texts {they}, or let --skip-bad-rows take"
            f" {it} away; the texts stay."
        )
    left_out = [f"left out {how_many(len(once), 'label')} of one text each ({_some(once)})"]
    said = "; ".join([*(left_out if once else []), *(f"no row has the label {n!r}" for n in none)])
    rare = set(once)
    if not rare:
        return sets, said or None
    changed = {
        one: set_text(name for name in set_of(one) if name not in rare) for one in set(sets) if one
    }
    return [changed.get(one, "") for one in sets], said


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return quoted(names[:NAMED]) + (f" and {more:,} more" if more > 0 else "")


def check_sets(where: Path | str, several: Several, rows: Sequence[tuple[str, str]]) -> None:
    """Raises InputError if the sets and splits of the `rows` leave nothing to learn."""
    counted = Counter(one for one, _ in rows if one)
    labels = {name for one in counted for name in set_of(one)}
    here = f"{where}, {several.what}"
    if not labels:
        raise InputError(f"{here}: no label occurs twice; name other columns.")
    if len(counted) == 1:
        raise InputError(f"{here}: all texts have the same labels, so nothing can be learnt.")
    trained = {name for one, part in rows if one and part == "train" for name in set_of(one)}
    if missing := sorted(labels - trained):
        raise InputError(
            f"{here}: {_some(missing)} has no row in the split 'train': add some, or take it out."
        )
