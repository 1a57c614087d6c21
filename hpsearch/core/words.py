"""Words for people: numbers, names, durations, rows, and what pydantic finds wrong."""

from __future__ import annotations

import difflib
import math
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


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


def one_of(names: Iterable[str]) -> str:
    """'one', 'one or two', 'one, two or three'."""
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def how_many(count: int, thing: str) -> str:
    """'1 row', '2,000 rows'."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


_TABLE = ("dict_type", "model_type", "dataclass_type", "model_attributes_type")
_CHOICES = ("bool", "int", "float", "str")
_LONGEST = 60  # characters of a wrong value


def first_problem(error: ValidationError, where: str = "") -> str:
    """'key: reason' of the first thing that pydantic found, and how many more there are."""
    # A key nobody knows is often the reason why another is missing.
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    keys = [_key(problem["loc"], where) for problem in problems]
    more = f" (and {len(set(keys)) - 1} more)" if len(set(keys)) > 1 else ""
    reason = "this is none of the kinds of value that it may have, but " + _shown(problems[0])
    if keys.count(keys[0]) == 1:  # else one problem for each type of a union
        reason = _reason(problems[0])
    return (f"{keys[0]}: {reason}" if keys[0] else reason) + more


def _key(loc: tuple[int | str, ...], where: str) -> str:
    """The path of a value as the file has it, without pydantic's marks for types."""
    path = [str(part) for part in loc]
    if where and path and path[0] in ("float", "int", "choice"):
        path = path[1:]
    if len(path) > 1 and (path[-1] in _CHOICES or "[" in path[-1]):
        path = path[:-1]
    return ".".join([where, *path] if where else path)


def _reason(problem: Any) -> str:  # noqa: ANN401
    kind = problem["type"]
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return "there is no such key"
    if kind == "missing":
        return "this key is required"
    if kind in _TABLE:
        return f"this must be a table, not {_shown(problem)}"
    if kind == "union_tag_invalid":
        context = problem["ctx"]
        return f"type {_cut(repr(context['tag']))} is none of {context['expected_tags']}"
    reason: str = problem["msg"].removeprefix("Value error, ")
    reason = reason[0].lower() + reason[1:] if reason[:1].isupper() else reason
    if kind.endswith(("_type", "_parsing")) and "input" in problem:
        reason += f", not {_shown(problem)}"
    return reason


def _shown(problem: Any) -> str:  # noqa: ANN401
    return _cut(repr(problem["input"]))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."


def short_reason(error: BaseException) -> str:
    """The reason in an exception, in a few words and on one line."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:160] or type(error).__name__


def closest(name: str, names: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The name that is spelt most alike, by difflib's ratio from 0 to 1; None below `cutoff`."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=cutoff)
    return close[0] if close else None


def nearest(name: str, names: Iterable[str], cutoff: float = 0.5) -> str:
    """' (did you mean X?)' for the closest name, or nothing."""
    close = closest(name, names, cutoff)
    return f" (did you mean {close}?)" if close is not None else ""


def duration(seconds: float) -> str:
    """'0.4 s', '12 s', '3 min 05 s', '2 h 10 min'."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def describe_params(params: Mapping[str, Any], count: int | None = None) -> str:
    """'lr=0.0123 bs=32 …', the first `count` in the space's order."""
    shown = [f"{name}={number(value)}" for name, value in list(params.items())[:count]]
    return " ".join(shown) + (" …" if len(params) > len(shown) else "")


def number(value: object) -> str:
    """Four digits of a number, anything else as it is."""
    return typed_number(value, 4) if isinstance(value, float) else str(value)


def typed_number(value: float, count: int = 6) -> str:
    """A number as a person types it: so many digits, no commas.

    Example:
        >>> typed_number(1e-5), typed_number(123456.0), typed_number(3e7)
        ('1e-5', '123456', '3e7')
    """
    mantissa, exponent, power = f"{value:.{count}g}".partition("e")
    return f"{mantissa}e{int(power)}" if exponent else mantissa


def shortened(text: str, most: int) -> str:
    """At most `most` characters; both ends stay, since generated names differ at either."""
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"


PLAIN = 1e7
"""From here on numbers have an exponent: on the axes of plots stand 10,000 and 1,000,000, too."""


def format_value(value: object) -> str:
    """A parameter's value as a person writes it: three digits, 0.001 rather than 1e-3, 3e-4."""
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    if value == 0 or 1e-3 <= abs(value) < PLAIN:
        return f"{float(f'{value:.3g}'):,g}" if abs(value) < 1e3 else f"{value:,.0f}"
    return _with_exponent(value, 3) if math.isfinite(value) else str(value)


def digits(value: float, count: int = 3, *, sign: bool = False) -> str:
    """A result with so many digits, in one style: 110 rather than 1.1e+02, 2.5e-5.

    Example:
        >>> digits(112.3, 2), digits(0.00025), digits(-3e7, sign=True)
        ('110', '2.5e-4', '-3e7')
    """
    if not math.isfinite(value):
        return str(value)
    short = float(f"{value:.{count}g}")
    if short == 0 or 1e-3 <= abs(short) < PLAIN:
        return f"{short:{'+' if sign else ''},.10g}"
    return ("+" if sign and short > 0 else "") + _with_exponent(short, count)


def _with_exponent(value: float, count: int) -> str:
    mantissa, _, power = f"{value:.{count - 1}e}".partition("e")
    whole = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{whole}e{int(power)}"


class Quoted(str):
    """A text among choices of which another prints alike: it shows itself in quotes."""

    def __str__(self) -> str:
        return f'"{self.plain}"'

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    @property
    def plain(self) -> str:
        """The text alone."""
        return str.__str__(self)


class Shown(str):
    """A value as somebody copied it from what was shown, such as on a command line."""


def told_apart(choices: Iterable[Any]) -> list[Any]:
    """The choices of one parameter, those texts `Quoted` that print like another choice.

    Example:
        >>> [format_value(choice) for choice in told_apart([1, "1", "a", None, "None"])]
        ['1', '"1"', 'a', 'None', '"None"']
    """
    known = list(choices)
    prints = [format_value(choice).strip() for choice in known]  # nobody sees blanks around it
    shown = Counter(prints)
    return [
        Quoted(choice) if isinstance(choice, str) and shown[text] > 1 else choice
        for choice, text in zip(known, prints, strict=True)
    ]


def assignments(params: Mapping[str, Any], digits: int = 6) -> str:
    """Parameters as they are typed: name=value, quoted as a shell needs it, spaces between them."""
    shown = {
        name: typed_number(value, digits) if isinstance(value, float) else str(value)
        for name, value in params.items()
    }
    return " ".join(shlex.quote(f"{name}={value}") for name, value in shown.items())


def code_html(statement: str) -> str:
    """A sentence as HTML; a `name` in it becomes code."""
    pieces = escape(statement).split("`")
    return "".join(
        f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces)
    )


def format_ranges(ranges: Iterable[tuple[object, object]]) -> str:
    """Ranges (low, high) of a parameter's values as a person writes them.

    Example:
        >>> format_ranges([(0.001, 0.004), (0.02, 0.02)])
        '0.001 to 0.004 or 0.02'
    """
    return " or ".join(
        format_value(low) if low == high else f"{format_value(low)} to {format_value(high)}"
        for low, high in ranges
    )


MAX_TICKS = 7  # of a log scale: on a narrow screen no more have room


def log_ticks(low: float, high: float) -> list[float]:
    """Three to MAX_TICKS round numbers from `low` to `high`, none where so few lie between.

    Example:
        >>> log_ticks(1e-5, 0.1)
        [1e-05, 0.0001, 0.001, 0.01, 0.1]
        >>> log_ticks(16, 128)
        [20.0, 50.0, 100.0]
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for step in range(1 + (last - first) // MAX_TICKS, 0, -1):
        decades = range(-(-first // step) * step, last + 1, step)
        for parts in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5, 7)):
            all_ = [float(f"{part}e{power}") for power in decades for part in parts]
            ticks = [tick for tick in all_ if 0.999 * low <= tick <= 1.001 * high]
            if 3 <= len(ticks) <= MAX_TICKS:
                return ticks
    return [float(f"{low:.2g}"), float(f"{high:.2g}")]


def percent(share: float) -> str:
    """ "<1%" rather than a 0% that claims too much."""
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


_UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def file_size(size: int) -> str:
    """Bytes for people; nothing where there is no single file to have a size."""
    for unit, name in _UNITS:
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} B" if size else ""
