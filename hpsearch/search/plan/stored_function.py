"""What the store knows of a study and no file says: the space of a function that was run with one
of the command line, and what a study was made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hpsearch.core import own_code
from hpsearch.errors import InputError
from hpsearch.store import StudySummary
from hpsearch.store.server.open import NoStoreError
from hpsearch.store.sources import open_source
from hpsearch.store.tables import attributes
from hpsearch.store.tables.space_json import space_from_json
from hpsearch.study.defaults import UnknownStudyError
from hpsearch.study.given_space import space_content
from hpsearch.study.own import Place
from hpsearch.study.settings import ONLY
from hpsearch.study.spec import StudySpec, spec_of_function


@contextmanager
def naming_stored(study: object, storage: str | None) -> Iterator[None]:
    """Where a name is of no study that can be trained, but of one in the store, the error says of
    what that was made."""
    try:
        yield
    except UnknownStudyError as error:
        if (found := in_store(str(study), storage)) is None:
            raise
        summary, where = found
        made_of = summary.attrs.get(attributes.FILE) or summary.attrs.get(attributes.STUDY)
        if made_of is None:
            raise InputError(
                f"The study {summary.name} of {where} was not made by `hpsearch run`, so there is "
                "nothing to train: `hpsearch explain`, `show` and `export` take it, and a "
                "study.toml or a function as module:function can be run."
            ) from error
        preset = summary.attrs.get(attributes.PRESET)
        raise InputError(
            f"The study {summary.name} of {where} was made of {made_of}: give that"
            + ("." if preset in (None, ONLY) else f" and --preset {preset}.")
        ) from error


def in_store(name: str, storage: str | None) -> tuple[StudySummary, str] | None:
    """The study of exactly this name in the store, and what the store is called."""
    try:
        with open_source(storage) as source:
            found = [one for one in source.summaries if one.name == name]
            return (found[0], source.shown) if found else None
    except NoStoreError:
        return None


def is_open(spec: StudySpec) -> bool:
    """Whether it is a function alone, and nobody said what to search of it."""
    return spec.given is not None and "space" not in spec.given


def continued(spec: StudySpec, storage: str | None) -> StudySpec:
    """The study as the store has it, where it is a function alone and the store knows its space."""
    if not is_open(spec):
        return spec
    try:
        with open_source(storage) as source:
            return as_named(spec, source.summaries)
    except NoStoreError:
        return spec


def as_named(spec: StudySpec, studies: Sequence[StudySummary]) -> StudySpec:
    """As `as_stored`, by the one of the `studies` that has the study's name, if there is one."""
    having = [one for one in studies if one.attrs.get(attributes.STUDY) == spec.name]
    return as_stored(spec, having[0]) if len(having) == 1 else spec


def as_stored(spec: StudySpec, found: StudySummary) -> StudySpec:
    """The study of a function alone, with what the store says of it beside what was given: data,
    never code. Any other study stays as it is."""
    if not is_open(spec):
        return spec
    found.check()
    if not {attributes.SPACE, attributes.METRIC, attributes.DATA} <= found.attrs.keys():
        return spec
    place = Place(spec.trainer, own_code.folder_of(spec.trainer))
    return spec_of_function(place, {**_said_of(found), **(spec.given or {})})


def _said_of(study: StudySummary) -> Mapping[str, Any]:
    attrs = study.attrs
    space = space_content(space_from_json(attrs[attributes.SPACE]))
    for key, attribute in (("default", attributes.DEFAULTS), ("when", attributes.WHEN)):
        for name, value in (attrs.get(attribute) or {}).items():
            if name in space:
                space[name][key] = value
    return {
        "name": attrs[attributes.STUDY], "metric": attrs[attributes.METRIC],
        "direction": study.directions[0], "space": space,
        "data": attrs[attributes.DATA]["declared"],
    }  # fmt: skip
