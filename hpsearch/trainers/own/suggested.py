"""The space of a function that asks its trial for parameters (define by run), found before the run.

The function is called with a trial that only notes what it is asked for, and is left as soon as it
has asked for everything: nothing is trained. It is called again with the other choices, and with
the other whole numbers where these are few, so that parameters are found that are asked for under
some of them only. They become conditional parameters.
"""

from __future__ import annotations

import inspect
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from hpsearch.errors import InputError
from hpsearch.trainers.own.call import OwnCall
from hpsearch.trainers.own.last_question import NEVER, last_question
from hpsearch.trainers.own.trial import Suggests

MOST_CALLS = 300
MOST_VALUES = 10
"""Of so many whole numbers each is tried; of more the first and the last."""

When = dict[str, dict[str, list[Any]]]


class _LeftError(BaseException):
    """Leaves the function; no `except Exception` of it is to catch this."""


@dataclass(frozen=True)
class Answers:
    """What one call asked for: the values that it was given by name, in the order of its questions,
    and the distributions."""

    values: Mapping[str, Any]
    asked: Mapping[str, BaseDistribution]


def suggested_space(
    call: OwnCall, settings: Mapping[str, Any], known: Mapping[str, Any], data: Path | None
) -> tuple[dict[str, BaseDistribution], When]:
    """(the distributions that the function asks for, the conditions of those that it does not
    always ask for).

    Args:
        known: Values of parameters that are declared otherwise.

    Raises:
        InputError: It cannot be told before the run what the function asks for.
    """
    last = last_question(call.function)
    if last == NEVER:
        return {}, {}
    if last is None:
        raise _refusal(call, "its source cannot be read, or it asks in a function inside itself")
    given = {"seed": 0, "data": data, "device": "cpu", "output": None}

    def ask(answers: Mapping[str, Any]) -> Answers:
        trial = _Asking(answers)
        with _left_after(call.function, last):
            try:
                call(settings, known, {**given, "trial": trial})
            except (_LeftError, optuna.TrialPruned):
                pass
            except (Exception, SystemExit) as error:
                why = f"it raised {type(error).__name__}: {' '.join(str(error).split())[:160]}"
                raise _refusal(call, why) from error
        return Answers(trial.params, trial.asked)

    found = _explore(call, ask)
    space: dict[str, BaseDistribution] = {}
    for one in found:
        for name, distribution in one.asked.items():
            if space.setdefault(name, distribution) != distribution:
                raise _refusal(call, f"the range of {name!r} depends on other parameters")
    when = {name: conditions for name in space if (conditions := _when(call, name, space, found))}
    return space, when


def _refusal(call: OwnCall, why: str) -> InputError:
    return InputError(
        f"What {call.name} asks its trial for cannot be found out before the run, as {why}: "
        "declare the ranges in [space] of a study file, with `when` for conditions, or by --space."
    )


class _Asking(Suggests):
    """A trial that notes what it is asked for, and answers with the middle of the range."""

    number = 0
    seed = 0
    device = "cpu"
    checkpoint = None

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers
        self.params: dict[str, Any] = {}
        self.asked: dict[str, BaseDistribution] = {}
        self.user_attrs: dict[str, Any] = {}

    def report(self, *args: object, **beside: object) -> NoReturn:
        """By now the function has its parameters."""
        raise _LeftError

    def should_prune(self) -> NoReturn:
        raise _LeftError

    def set_user_attr(self, key: str, value: object) -> None:
        self.user_attrs[key] = value

    def _value(self, name: str, distribution: BaseDistribution) -> Any:  # noqa: ANN401
        self.asked[name] = distribution
        if name not in self.params:
            self.params[name] = self._answers.get(name, _some(distribution))
        return self.params[name]


def _some(distribution: BaseDistribution) -> Any:  # noqa: ANN401
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    low: Any = distribution.low  # type: ignore[attr-defined]
    return low


def _branches(distribution: BaseDistribution) -> Sequence[Any]:
    """The values that other questions may depend on."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if isinstance(distribution, IntDistribution):
        values = range(distribution.low, distribution.high + 1, distribution.step)
        return values if len(values) <= MOST_VALUES else (values[0], values[-1])
    return ()


def _explore(call: OwnCall, ask: Callable[[Mapping[str, Any]], Answers]) -> list[Answers]:
    """The answers of calls that try each value of each parameter, in each branch that there is."""
    waiting: deque[dict[str, Any]] = deque([{}])
    explored: set[tuple[frozenset[str], str]] = set()
    found: list[Answers] = []
    while waiting:
        if len(found) == MOST_CALLS:
            raise _refusal(call, f"{MOST_CALLS} calls did not show all of it")
        one = ask(waiting.popleft())
        found.append(one)
        branch, before = frozenset(one.asked), dict[str, Any]()
        for name, distribution in one.asked.items():
            values = _branches(distribution)
            if (branch, name) not in explored:
                explored.add((branch, name))
                others = (value for value in values if value != one.values[name])
                waiting.extend({**before, name: value} for value in others)
            if values:
                before[name] = one.values[name]
    return found


def _when(
    call: OwnCall, name: str, space: Mapping[str, BaseDistribution], found: Sequence[Answers]
) -> dict[str, list[Any]]:
    """The values of others under which the function asks for a parameter; empty if always."""
    having = [one for one in found if name in one.asked]
    if len(having) == len(found):
        return {}
    conditions = {}
    for other in space:
        if other == name or not all(other in one.asked for one in having):
            continue
        seen = list(_distinct(one.values[other] for one in found if other in one.asked))
        allowed = list(_distinct(one.values[other] for one in having))
        if len(allowed) < len(seen):
            every = [value for value in _branches(space[other]) if value in allowed]
            conditions[other] = every
    for one in found:
        holds = all(
            other in one.asked and one.values[other] in values
            for other, values in conditions.items()
        )
        if holds != (name in one.asked):
            raise _refusal(call, f"no values of other parameters say when it asks for {name!r}")
    for other in conditions:
        distribution = space[other]
        if isinstance(distribution, IntDistribution) and len(_branches(distribution)) == 2 < len(
            range(distribution.low, distribution.high + 1, distribution.step)
        ):
            raise _refusal(
                call,
                f"{name!r} depends on {other!r}, which has more than {MOST_VALUES} values",
            )
    return conditions


def _distinct(values: Iterator[Any]) -> Iterator[Any]:
    seen: list[Any] = []
    for value in values:
        if value not in seen:
            seen.append(value)
            yield value


@contextmanager
def _left_after(function: Callable[..., Any], line: int) -> Iterator[None]:
    """Leave the function when it comes to a line behind this one."""
    code = inspect.unwrap(function).__code__
    before = sys.gettrace()

    def trace(frame: FrameType, event: str, arg: object) -> Any:  # noqa: ANN401
        if frame.f_code is not code:
            return None
        if event == "line" and frame.f_lineno > line:
            raise _LeftError
        return trace

    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
