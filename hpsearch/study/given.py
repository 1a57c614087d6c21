"""The study that a caller means: by its name or file, or a function of his own with its space."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hpsearch.errors import InputError
from hpsearch.study.given_space import space_content
from hpsearch.study.own import place_of
from hpsearch.study.spec import StudySpec, is_there, load_spec, spec_of_function, spec_of_object


def study_of(study: str | Path | Callable[..., Any], given: Mapping[str, Any]) -> StudySpec:
    """The study that is meant.

    Args:
        study: A name, a study file, "module:function", or the function itself.
        given: The space, metric, direction and name of a function; None for what is left open.

    Raises:
        InputError: There is no such study, or what was given does not fit it.
    """
    given = {key: one for key, one in given.items() if one is not None}
    if "space" in given:
        given["space"] = space_content(given["space"])
    if callable(study):
        return spec_of_object(study, given)
    if not isinstance(study, str | Path):
        raise InputError(f"{study!r} is no study: give a name, a path, or a function.")
    place = None if is_there(study) else place_of(str(study))
    if place is not None:
        return spec_of_function(place, given)
    spec = load_spec(study)
    if given:
        raise InputError(
            f"{', '.join(given)} cannot be given with {study}: say it in the study file, or name a "
            "function as module:function."
        )
    return spec
