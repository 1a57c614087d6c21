"""How the trials of a run are chosen: the [search] table of a study.toml, and run's options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from hpsearch.errors import InputError
from hpsearch.params import Strict
from hpsearch.wording import first_problem

Number = Annotated[float, Field(allow_inf_nan=False)]
Config = dict[str, bool | int | float | str]


def _a_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Search(Strict):
    """How trials are chosen.

    `sampler` and `pruner` are those of the exploit trials, which are what `design_share` leaves.
    `fix` holds values that parameters keep in every trial of the run, `tries` configurations that
    are run first, `warm_start` studies of the same space whose best ones are, too. `also` names
    further objectives, such as "seconds" (a higher-is-better one with a + in front), `constraints`
    upper limits of what a trial measures. At `target` the run ends, and with `until_stable` once
    the rules no longer change.
    """

    sampler: Literal["tpe", "gp", "cmaes", "qmc", "random", "forest"] = "tpe"
    pruner: Literal["median", "hyperband", "wilcoxon", "none"] = "median"
    design_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    fix: Config = Field(default_factory=dict)
    tries: list[Config] = Field(default_factory=list)
    warm_start: Annotated[list[str], BeforeValidator(_a_list)] = Field(default_factory=list)
    also: Annotated[list[str], BeforeValidator(_a_list)] = Field(default_factory=list)
    constraints: dict[str, Number] = Field(default_factory=dict)
    target: Number | None = None
    until_stable: bool = False

    @model_validator(mode="after")
    def _check(self) -> Search:
        if self.also and self.sampler == "cmaes":
            raise ValueError("sampler: cmaes knows one objective only; choose tpe, gp or forest")
        if self.also and self.target is not None:
            raise ValueError("target: a study with several objectives has no single best value")
        return self

    @property
    def prunes(self) -> bool:
        """Optuna prunes studies of one objective only."""
        return self.pruner != "none" and not self.also


def merge(declared: Search, given: Mapping[str, Any]) -> Search:
    """What the study declares with what the run was given instead; InputError if it cannot be."""
    try:
        return Search.model_validate({**declared.model_dump(), **given})
    except ValidationError as error:
        raise InputError(f"The search cannot be done so: {first_problem(error)}.") from error
