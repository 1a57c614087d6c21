"""The finished trials of a study as columns: what an analysis needs, in arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.study import StudyDirection

from hpsearch.store.tables import attributes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

KEPT_ATTRS = (attributes.COHORT, attributes.SEED)


@dataclass(frozen=True)
class ParamColumn:
    """One parameter in the m trials that used it: their `row` (m,), its `internal` value (m,) (of a
    category the index of the choice), and from which of `distributions` it was `drawn` (m,)."""

    row: Ints
    internal: Floats
    drawn: Ints
    distributions: tuple[BaseDistribution, ...]

    @cached_property
    def _found(self) -> tuple[list[Any], Ints]:
        """(the different values, which of them (m,) each trial has)."""
        if not any(isinstance(one, CategoricalDistribution) for one in self.distributions):
            numbers, which = np.unique(self.internal, return_inverse=True)
            whole = all(isinstance(one, IntDistribution) for one in self.distributions)
            return (numbers.astype(np.int64) if whole else numbers).tolist(), which
        pairs, which = np.unique(np.stack([self.drawn, self.internal]), axis=1, return_inverse=True)
        values = [self.distributions[int(one)].to_external_repr(x) for one, x in pairs.T.tolist()]
        # One choice may have had another place when there were other choices.
        keys = [_key(value) for value in values]
        place = {key: at for at, key in reversed(list(enumerate(keys)))}
        kept = sorted(place.values())
        again = [kept.index(place[key]) for key in keys]
        return [values[at] for at in kept], np.array(again, np.int64)[which.reshape(-1)]

    def only(self, kept: NDArray[np.bool_], row: Ints) -> ParamColumn:
        """Of the trials in a mask (n,), which become the rows `row` (n,)."""
        mine = kept[self.row]
        return ParamColumn(
            row[self.row[mine]], self.internal[mine], self.drawn[mine], self.distributions
        )

    def distinct(self) -> list[Any]:
        """The different values that the trials have, as Optuna gives them."""
        return self._found[0]

    @property
    def which(self) -> Ints:
        """The place of each trial's value among the `distinct` ones, (m,)."""
        return self._found[1]


def _key(value: Any) -> tuple[type, Any]:  # noqa: ANN401
    """What tells a choice from others. Optuna takes lists for choices, too, which have no hash."""
    return type(value), repr(value) if isinstance(value, list | dict) else value


@dataclass(frozen=True)
class Reports:
    """Values reported on the way: `row` of the trial, `step` and `value`, all (r,)."""

    row: Ints
    step: Floats
    value: Floats

    def only(self, kept: NDArray[np.bool_], row: Ints) -> Reports:
        """Of the trials in a mask (n,), which become the rows `row` (n,)."""
        mine = kept[self.row]
        return Reports(row[self.row[mine]], self.step[mine], self.value[mine])


NO_REPORTS = Reports(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


@dataclass(frozen=True)
class TrialColumns:
    """The n finished trials of a study in the order of their numbers.

    `state` (n,) holds Optuna's numbers of states, `values` (n, objectives) NaN where there is none,
    `last_step` (n,) and `last_report` (n,) the last value reported on the way (both NaN where there
    is none), `seconds` (n,) may be NaN. `reports` holds all of them where trials were pruned, and
    none elsewhere: nobody asks for them there. `params` are in the order in which they first
    appear, `attrs` holds those of KEPT_ATTRS that trials have, by row.
    """

    study: str
    directions: tuple[StudyDirection, ...]
    metric_names: tuple[str, ...] | None
    study_attrs: dict[str, Any]
    number: Ints
    state: Ints
    values: Floats
    last_step: Floats
    last_report: Floats
    seconds: Floats
    reports: Reports
    params: dict[str, ParamColumn]
    attrs: dict[str, dict[int, Any]]

    @property
    def objectives(self) -> tuple[str, ...]:
        """What the study calls its objectives (see objective_names)."""
        return objective_names(self.metric_names, self.study_attrs, len(self.directions))

    def only(self, kept: NDArray[np.bool_]) -> TrialColumns:
        """The trials of a mask (n,), as if there had been no others."""
        row = np.cumsum(kept) - 1
        params = {name: param.only(kept, row) for name, param in self.params.items()}
        return replace(
            self,
            number=self.number[kept],
            state=self.state[kept],
            values=self.values[kept],
            last_step=self.last_step[kept],
            last_report=self.last_report[kept],
            seconds=self.seconds[kept],
            reports=self.reports.only(kept, row),
            params={name: param for name, param in params.items() if len(param.row)},
            attrs={
                key: {int(row[at]): one for at, one in held.items() if kept[at]}
                for key, held in self.attrs.items()
            },
        )


def group_params(
    row: Ints, internal: Floats, code: Ints, pairs: Sequence[tuple[str, BaseDistribution]]
) -> dict[str, ParamColumn]:
    """Columns by parameter from all values in one order: by row, then as the trial has them.

    `code` says to which of `pairs` (parameter, distribution) a value belongs.
    """
    first = {int(one): place for place, one in zip(*_first_places(code), strict=True)}
    found: dict[str, ParamColumn] = {}
    codes_of: dict[str, list[int]] = {}
    for one in sorted(first, key=first.__getitem__):
        codes_of.setdefault(pairs[one][0], []).append(one)
    for name, codes in codes_of.items():
        distributions: list[BaseDistribution] = []
        place = np.full(len(pairs), -1, np.int64)
        for one in codes:
            distribution = pairs[one][1]
            if distribution not in distributions:
                distributions.append(distribution)
            place[one] = distributions.index(distribution)
        mine = np.flatnonzero(place[code] >= 0)
        found[name] = ParamColumn(
            row[mine], internal[mine], place[code[mine]], tuple(distributions)
        )
    return found


def _first_places(code: Ints) -> tuple[Ints, Ints]:
    """(where each code first stands, the codes)."""
    codes, places = np.unique(code, return_index=True)
    return places.astype(np.int64), codes


def objective_names(
    metric_names: Sequence[str] | None, attrs: Mapping[str, Any], count: int
) -> tuple[str, ...]:
    """What a study calls its objectives; without names "value", or as Optuna's data frame has it,
    values_0, values_1 ..."""
    if metric_names:
        return tuple(metric_names)
    if count > 1:
        return tuple(f"values_{place}" for place in range(count))
    declared = attrs.get(attributes.METRIC)
    return (declared if isinstance(declared, str) else "value",)
