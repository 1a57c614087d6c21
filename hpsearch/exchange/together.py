"""The user's own trials of a study together with the recorded ones: `explain --recorded`.

Both are put into a study in memory, the user's first, so that his trials keep their numbers. Of
another copy of the data the recorded ones stand alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, create_trial

from hpsearch.core.plain_json import to_json
from hpsearch.core.words import how_many, nearest
from hpsearch.errors import InputError
from hpsearch.exchange.recorded import Recording, in_memory, recordings
from hpsearch.store import StudySummary
from hpsearch.store.sources import Source, is_default_missing, open_sources, source_of
from hpsearch.store.tables import attributes
from hpsearch.store.tables.optuna_tables import quiet_optuna
from hpsearch.store.tables.space_json import space_from_json
from hpsearch.store.trials.frozen import all_trials
from hpsearch.study.defaults import builtin_folder
from hpsearch.study.space import describe_difference

RESULTS = "results"
SAME = (
    attributes.WHEN, attributes.SETTINGS, attributes.METRIC, attributes.ALSO, attributes.CODE,
)  # fmt: skip
"""Attributes that two halves of one study have in common, beside its space and its data."""


@dataclass(frozen=True)
class Own:
    """A study of the user's and the store that it is in."""

    source: Source
    summary: StudySummary


def recorded_source(sources: Sequence[Source], names: Sequence[str]) -> Source:
    """Studies in memory that hold the trials of the `sources` and the recorded ones of the same
    studies; without names all of which some are recorded.

    A name is a study's own (`imdb-clas-quick`) or that of its study.toml (`imdb-clas`). Raises
    InputError where a name fits nothing recorded, or the user's trials cannot be compared with the
    recorded ones.
    """
    own = [Own(source, one) for source in sources for one in source.summaries]
    own = [one for one in own if attributes.VERIFIES not in one.summary.attrs]
    chosen: dict[str, optuna.Study] = {}
    storage = optuna.storages.InMemoryStorage()
    for name in names or names_recorded():
        for study in _of_name(name, own):
            if study.study_name not in chosen:
                chosen[study.study_name] = study
                with quiet_optuna():
                    optuna.copy_study(
                        from_study_name=study.study_name, from_storage=study._storage,
                        to_storage=storage,
                    )  # fmt: skip
    shown = sources[0].shown if sources else "the recorded trials"
    return source_of(shown, storage, "Rules of recorded trials are not kept in the store.")


def with_recorded(study: optuna.Study | str, storage: str | None) -> optuna.Study:
    """One study in memory with the recorded trials: of an Optuna study that hpsearch ran, or of the
    name of one, which need not be in the store. Raises InputError as `recorded_source` does."""
    if isinstance(study, optuna.Study):
        attrs = study.user_attrs
        name, preset = (str(attrs.get(key)) for key in (attributes.STUDY, attributes.PRESET))
        file = attrs.get(attributes.FILE)
        found = of_family(name, [] if file is None else [Path(file)])
        of_preset = [one for one in found if one.attrs[attributes.PRESET] == preset]
        if not of_preset:
            raise InputError(_nothing(study.study_name))
        return together(study, "your study", of_preset)
    with open_sources([] if is_default_missing([storage]) else [storage], keep=False) as sources:
        own = [Own(source, one) for source in sources for one in source.summaries]
        both = list(_of_name(study, own))
    if len(both) > 1:
        raise InputError(
            f"{study!r} fits several studies: name one of "
            f"{', '.join(one.study_name for one in both)}."
        )
    return both[0]


def _nothing(name: str) -> str:
    return (
        f"Nothing is recorded of {name!r}{nearest(name, names_recorded())}: hpsearch comes with "
        f"trials of {', '.join(names_recorded()) or 'no study'}."
    )


def _of_name(name: str, own: Sequence[Own]) -> Iterator[optuna.Study]:
    """The studies that a name stands for, each with the recorded trials of its kind."""
    mine = [one for one in own if name in (one.summary.name, _declared(one.summary))]
    found = list(of_family(name, [_file(one.summary) for one in mine]))
    if not found:
        raise InputError(_nothing(name))
    covered = set()
    for one in mine:
        of_preset = [each for each in found if _same_preset(each, one.summary)]
        covered |= {each.study for each in of_preset}
        if not of_preset and len(mine) == 1:
            raise InputError(
                f"Of {one.summary.name} nothing is recorded: recorded are "
                f"{', '.join(dict.fromkeys(each.study for each in found))}."
            )
        if of_preset:
            yield together(one.source.load(one.summary), one.source.shown, of_preset)
    rest = [each for each in found if each.study not in covered]
    for study in dict.fromkeys(each.study for each in rest):
        largest = max((each for each in rest if each.study == study), key=lambda each: each.count)
        yield _alone(study, largest)


def _alone(name: str, recording: Recording, why: str = "") -> optuna.Study:
    """The recorded trials as a study of that name; `why` without the user's."""
    trials = [one for one in recording.trials() if one.state.is_finished()]
    count = how_many(len(trials), "trial")
    sentence = f"{why}All {count} are recorded ones, {whence(recording)}; none is yours."
    return _with_note(in_memory(name, recording, _renumbered(trials, 0, {})), sentence)


def of_family(name: str, files: Sequence[Path] = ()) -> Iterator[Recording]:
    """What is recorded of the study called `name`, as itself or as its study.toml; `files` are
    study.tomls of the user's own."""
    folders = [path.parent for path in sorted(builtin_folder().glob("*/study.toml"))]
    folders += [file.parent for file in files if file.parent not in folders]
    for folder in folders:
        for one in recordings(folder / RESULTS):
            if name in (one.study, one.attrs[attributes.STUDY]):
                yield one


def names_recorded() -> list[str]:
    """The studies of which trials come with hpsearch."""
    return list(dict.fromkeys(one.study for one in all_recorded()))


def all_recorded() -> list[Recording]:
    """The recorded studies that come with hpsearch."""
    results = sorted(builtin_folder().glob(f"*/{RESULTS}"))
    return [one for folder in results for one in recordings(folder)]


def together(study: optuna.Study, shown: str, recorded: Sequence[Recording]) -> optuna.Study:
    """The user's study, which lies where `shown` says, with the trials of that recording which it
    can be compared with; of a study of other data the recorded trials alone.

    Which copy of the data a machine can get is not the user's choice, and so no error. Raises
    InputError with the reason where the studies differ in anything else.
    """
    reasons = [mismatch(study, one) for one in recorded]
    if all(reasons):
        raise InputError(
            f"Your trials of {study.study_name} cannot be explained together with the recorded "
            f"ones: {reasons[0]}. Leave out --recorded, or explain those in another folder."
        )
    comparable = [one for one, reason in zip(recorded, reasons, strict=True) if not reason]
    of_same_data = [one for one in comparable if _other_data(study, one) is None]
    if not of_same_data:
        largest = max(comparable, key=lambda one: one.count)
        why = f"Your trials are left out: {_other_data(study, largest)}. "
        return _alone(study.study_name, largest, why)
    chosen = max(of_same_data, key=lambda one: one.count)
    mine = all_trials(study)
    known = {_what(trial): trial.number for trial in mine if trial.state.is_finished()}
    numbers: dict[int, int] = {}
    rest = []
    for trial in chosen.trials():
        if (same := known.get(_what(trial))) is not None:
            numbers[trial.number] = same
        elif trial.state.is_finished():
            rest.append(trial)
    both = in_memory(study.study_name, chosen, [])
    both.add_trials(mine)
    both.add_trials(_renumbered(rest, len(mine), numbers))
    finished = sum(trial.state.is_finished() for trial in mine)
    sentence = f"{_span(0, len(mine))} yours, from {shown} ({finished} finished)"
    if rest:
        sentence += f"; {_span(len(mine), len(rest)).lower()} recorded, {whence(chosen)}"
    sentence += "."
    if numbers:
        which = f"{len(numbers)} of the recorded ones" if rest else "All of the recorded trials"
        sentence += f" {which} are among yours, with the same seeds, and count once."
    return _with_note(both, sentence)


def mismatch(study: optuna.Study, recording: Recording) -> str | None:
    """Why trials of the study cannot be compared with the recorded ones, but for their data; None
    if they can."""
    mine, other = study.user_attrs, recording.attrs
    if missing := [key for key in attributes.REQUIRED if key not in mine]:
        return f"the study lacks {missing[0]}"
    changes = describe_difference(
        space_from_json(other[attributes.SPACE]), space_from_json(mine[attributes.SPACE])
    )
    for key in SAME:
        left, right = mine.get(key) or None, other.get(key) or None
        if left != right:
            what = key.removeprefix(attributes.PREFIX)
            changes.append(f"its {what} is {to_json(left)} (recorded: {to_json(right)})")
    if [one.name.lower() for one in study.directions] != recording.about["directions"]:
        changes.append("its direction is the other")
    return "; ".join(changes) or None


def _other_data(study: optuna.Study, recording: Recording) -> str | None:
    """How the data of the study differ from the recording's; None if they are the same."""
    mine, other = study.user_attrs[attributes.DATA], recording.attrs[attributes.DATA]
    if mine["fingerprint"] == other["fingerprint"]:
        return None
    return (
        f"their data is {mine['source']}, fingerprint {mine['fingerprint'][:12]} "
        f"(recorded: {other['source']}, fingerprint {other['fingerprint'][:12]})"
    )


def whence(recording: Recording) -> str:
    """When and at which revision the trials were recorded."""
    runs = recording.about["runs"]
    days = sorted({str(run["started_at"])[:10] for run in runs})
    commits = dict.fromkeys(one[:12] for run in runs for one in run["commits"])
    when = " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "at an unknown time"
    return f"run {when}" + (f" at revision {', '.join(commits)}" if commits else "")


def _span(first: int, count: int) -> str:
    if count == 0:
        return "No trials are"
    return f"Trial {first} is" if count == 1 else f"Trials {first} to {first + count - 1} are"


def _what(trial: FrozenTrial) -> str:
    """What tells a training from another one: its parameters and its seed."""
    return to_json([trial.params, trial.user_attrs.get(attributes.SEED, f"none, {trial.number}")])


def _renumbered(
    trials: Sequence[FrozenTrial], first: int, known: Mapping[int, int]
) -> list[FrozenTrial]:
    """The trials with numbers from `first` on; `known` are numbers of those that are there."""
    numbers = {**known, **{trial.number: first + at for at, trial in enumerate(trials)}}
    copies = []
    for trial in trials:
        attrs: dict[str, Any] = dict(trial.user_attrs)
        original = attrs.get(attributes.REPLICATE_OF)
        if original is not None and original not in numbers:
            attrs.pop(attributes.REPLICATE_OF)
        elif original is not None:
            attrs[attributes.REPLICATE_OF] = numbers[original]
        copy = create_trial(
            state=trial.state, values=trial.values, params=trial.params,
            distributions=trial.distributions, user_attrs=attrs, system_attrs=trial.system_attrs,
            intermediate_values=trial.intermediate_values,
        )  # fmt: skip
        copy.datetime_start, copy.datetime_complete = (
            trial.datetime_start, trial.datetime_complete,
        )  # fmt: skip
        copies.append(copy)
    return copies


def _with_note(study: optuna.Study, sentence: str) -> optuna.Study:
    study.set_user_attr(attributes.WHOSE, sentence)
    return study


def _declared(summary: StudySummary) -> str:
    return str(summary.attrs.get(attributes.STUDY, ""))


def _file(summary: StudySummary) -> Path:
    """The user's study.toml; that of a built-in study is none."""
    with suppress(TypeError):
        return Path(summary.attrs.get(attributes.FILE))  # type: ignore[arg-type]
    return builtin_folder() / _declared(summary) / "study.toml"


def _same_preset(recording: Recording, summary: StudySummary) -> bool:
    return all(
        recording.attrs.get(key) == summary.attrs.get(key)
        for key in (attributes.STUDY, attributes.PRESET)
    )
