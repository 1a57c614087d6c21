"""How the trials of a run are chosen: the [search] table of a study.toml, and run's options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from hpsearch.core.words import first_problem
from hpsearch.errors import InputError
from hpsearch.study.space import Strict

Number = Annotated[float, Field(allow_inf_nan=False)]
Config = dict[str, bool | int | float | str]


def _a_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


LogProgram = Literal["tensorboard", "mlflow", "wandb"]


class Search(Strict):
    """How trials are chosen.

    `sampler` and `pruner` apply to the exploit trials: the trials that `design_share` leaves over.
    `fix` holds values that parameters keep in every trial of the run. `tries` holds configurations
    that run first. `warm_start` names studies of the same space; their best configurations run
    first, too. `prior` names studies ("rules": all others of the store; "recorded": those whose
    trials come with hpsearch) and JSON files of `hpsearch explain`; the first exploit trials are
    drawn from their rules. `also` names further
    objectives, such as "seconds", with a + in front if higher is better. `constraints` holds upper
    limits of what a trial measures. The run ends at `target`; with `until_stable` it also ends once
    the rules no longer change. `log` names programs that show the epochs as they happen.
    """

    sampler: Literal["tpe", "gp", "cmaes", "qmc", "random", "forest"] = "tpe"
    pruner: Literal["median", "hyperband", "wilcoxon", "none"] = "median"
    design_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    fix: Config = Field(default_factory=dict)
    tries: list[Config] = Field(default_factory=list)
    warm_start: Annotated[list[str], BeforeValidator(_a_list)] = Field(default_factory=list)
    prior: Annotated[list[str], BeforeValidator(_a_list)] = Field(default_factory=list)
    also: Annotated[list[str], BeforeValidator(_a_list)] = Field(default_factory=list)
    constraints: dict[str, Number] = Field(default_factory=dict)
    target: Number | None = None
    until_stable: bool = False
    log: Annotated[list[LogProgram], BeforeValidator(_a_list)] = Field(default_factory=list)

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
