"""Names, numbers and rows in the sentences that people read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def row_numbers(rows: Sequence[int], show: int = 3) -> str:
    """'row 3', 'rows 3 and 7', 'rows 3, 7, 12 and 5 more'; rows count from 1 for people."""
    shown = [str(row + 1) for row in rows[:show]]
    if len(rows) > show:
        shown.append(f"{len(rows) - show:,} more")
    if len(shown) == 1:
        return f"row {shown[0]}"
    return f"rows {', '.join(shown[:-1])} and {shown[-1]}"


def quoted(names: Iterable[str], show: int = 12) -> str:
    """The names in quotes, long ones cut, and how many more there are than are shown."""
    shown = [repr(name[:40]) for name in names]
    more = [f"{len(shown) - show:,} more"] if len(shown) > show else []
    return ", ".join(shown[:show] + more)


def how_many(count: int, thing: str) -> str:
    """'1 row', '2,000 rows'."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
