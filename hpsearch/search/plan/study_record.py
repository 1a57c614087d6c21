"""A study as it is declared beside what the store has of it: read once, refused when it changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.study import StudyDirection
from rich.console import Console

from hpsearch.core.database_urls import without_password
from hpsearch.core.home import note_named
from hpsearch.core.plain_json import plain, to_json
from hpsearch.errors import InputError
from hpsearch.search.plan.language_model import choose_language_model
from hpsearch.store import Store, StudySummary, summaries
from hpsearch.store.delete_or_rename import delete_rows
from hpsearch.store.make_study import NewStudy, make_study
from hpsearch.store.queue.fence import StudyRef
from hpsearch.store.queue.runs import living
from hpsearch.store.tables import attributes
from hpsearch.store.tables.optuna_private import study_id
from hpsearch.store.tables.space_json import space_from_json, space_to_json
from hpsearch.study.search_options import Search, merge
from hpsearch.study.space import describe_difference
from hpsearch.study.spec import ResolvedPreset, StudySpec, study_name
from hpsearch.trainers.contract import Prepared, Trainer


@dataclass(frozen=True)
class StudyChoice:
    """The study that a command is about, as it was asked for.

    `data_path` replaces the place of the data that the declaration names. `language_model` replaces
    the one that a classifier's settings name: "best" (of the language-model study in the store), a
    name or a folder. `accept_code` says that one's own code, though it changed since the study's
    first trials, still gives the same results.
    """

    spec: StudySpec
    preset: str = "auto"
    storage: str | None = None
    data_path: Path | None = None
    language_model: str | None = None
    accept_code: bool = False


@dataclass(frozen=True)
class StudyRecord:
    """A study's declaration and preset, its search, and what the store has of the study.

    `preset` names the language model that the study works with, and `search` all its objectives.
    `study` is None for a study that is new.
    """

    store: Store
    spec: StudySpec
    preset: ResolvedPreset
    search: Search
    data_path: Path | None
    study: StudySummary | None
    accept_code: bool = False

    @classmethod
    def read(
        cls,
        store: Store,
        choice: StudyChoice,
        preset: ResolvedPreset,
        search: Search,
        console: Console,
    ) -> StudyRecord:
        """Read the study's attributes, and take from them what the choice leaves open: the language
        model, the further objectives, and whether rows that cannot be used are left out.

        Raises InputError for a language model that cannot be used.
        """
        study = recorded(store, study_name(choice.spec, preset))
        preset = choose_language_model(
            store, choice.spec, preset, study, choice.language_model, console
        )
        before = {} if study is None else study.attrs
        search = merge(search, {"also": search.also or before.get(attributes.ALSO, [])})
        spec, declared = choice.spec, before.get(attributes.DATA, {}).get("declared", {})
        if declared.get("on_error") == "skip" and "on_error" not in spec.data:
            spec = spec.without_bad_rows()
        return cls(store, spec, preset, search, choice.data_path, study, choice.accept_code)

    @classmethod
    def open(
        cls,
        store: Store,
        choice: StudyChoice,
        preset: ResolvedPreset,
        search: Search,
        console: Console,
    ) -> StudyRecord:
        """Read the study as `read` does, and refuse one that changed since its first trials."""
        record = cls.read(store, choice, preset, search, console)
        record.check_unchanged()
        return record

    @property
    def name(self) -> str:
        return study_name(self.spec, self.preset)

    @property
    def trainer(self) -> Trainer:
        """The trainer's module (the first call imports torch)."""
        return self.spec.trainer_module()

    def load(self) -> optuna.Study:
        return optuna.load_study(study_name=self.name, storage=self.store.optuna)

    def reached(self) -> optuna.Study | None:
        """The study if it has a trial as good as the target already."""
        if self.search.target is None or self.study is None:
            return None
        study = self.load()
        return study if is_reached(self.store, study, self.search.target) else None

    def lacks(self, total: int) -> int:
        """How many trials a run is to do for the study to have `total` of them: those too that wait
        and that no other run is going to do."""
        if self.study is None:
            return total
        counts, others = self.study.counts, living(self.store.engine, self.study.study_id)
        left_over = 0 if others else counts.get("waiting", 0)
        return total - self.study.trials + left_over

    def check_for_run(self) -> None:
        """As `check_unchanged`, but for a study that `make` may begin anew."""
        if not self.may_begin_anew():
            self.check_unchanged()

    def may_begin_anew(self) -> bool:
        """Whether nothing is lost with the study's trials: none is complete, and nobody runs it."""
        return (
            self.study is not None
            and attributes.REQUIRED.keys() <= self.study.attrs.keys()
            and not self.study.counts.get("complete")
            and not living(self.store.engine, self.study.study_id)
        )

    def check_unchanged(self) -> None:
        """Refuse a study whose space, settings or data declaration changed since its first trials.

        Raises InputError with the difference and the way out. A study that is new, or has no trials
        yet, is fine.
        """
        if self.study is None:
            return
        attrs = self.study.attrs
        if attributes.STUDY not in attrs:
            raise InputError(
                f"The store {self.store.shown_url} has a study {self.name!r} that hpsearch did not "
                "make: give another --storage, or rename that study."
            )
        check_complete(self.name, attrs)
        if changes := self._changes():
            raise _refusal(self.name, changes)
        if self._has_other_code(attrs) and not self.accept_code:
            raise InputError(
                f"The study {self.name} changed since its first trials: the source of "
                f"{self.spec.trainer}, or of what that uses in its module, is another. If it gives "
                "the same results as before, say --accept-code; otherwise give a new --storage, or "
                "put the old source back."
            )

    def _has_other_code(self, attrs: Mapping[str, Any]) -> bool:
        known, code = attrs.get(attributes.CODE), self.spec.code
        return known is not None and code is not None and known != code

    def _changes(self) -> list[str]:
        """What differs from the study in the store, of which there is one."""
        assert self.study is not None
        attrs, direction = self.study.attrs, self.study.directions[0]
        spec, preset = self.spec, self.preset
        changes = describe_difference(
            space_from_json(attrs[attributes.SPACE]),
            space_from_json(space_to_json(preset.distributions)),
        )
        changes += _changed("when", attrs.get(attributes.WHEN) or {}, preset.when)
        changes += _changed("settings", attrs[attributes.SETTINGS], preset.settings)
        # The path may change: check_same_data compares the file's content by its fingerprint.
        declared = (
            {**data, "path": None}
            for data in (attrs[attributes.DATA]["declared"], without_password(spec.data))
        )
        changes += _changed("data", *declared)
        if attrs[attributes.METRIC] != spec.metric:
            changes.append(f"the metric is {spec.metric} (was {attrs[attributes.METRIC]})")
        if direction != spec.direction:
            changes.append(f"the direction is {spec.direction}")
        also, before = list(self.search.also), attrs.get(attributes.ALSO) or []
        if also != before:
            changes.append(f"the further objectives are {also or 'none'} (were {before or 'none'})")
        return changes

    def check_same_data(self, prepared: Prepared) -> None:
        """Refuse to add trials on other data than the study's first trials saw."""
        if self.study is not None and (change := self._change_of_data(prepared)):
            raise _refusal(self.name, [change])

    def _change_of_data(self, prepared: Prepared) -> str:
        assert self.study is not None
        known = self.study.attrs[attributes.DATA]
        if known["fingerprint"] == prepared.fingerprint:
            return ""
        return (
            f"the data is {prepared.source}, fingerprint {prepared.fingerprint[:12]} "
            f"(was {known['source']}, fingerprint {known['fingerprint'][:12]})"
        )

    def make(self, prepared: Prepared, seed: int) -> tuple[optuna.Study, str]:
        """Make the study if it is new, and refuse one that differs from its declaration; (the
        study, a note for the user).

        A study without a complete trial is made anew where it differs, without its other trials.
        The caller holds the lock under which studies are planned. Another process may have made the
        study since this one read it, so its attributes are read anew.
        """
        if self.spec.file is not None:
            note_named(self.spec.file)
        before = replace(self, study=recorded(self.store, self.name))
        note = before._correct(prepared)
        study = make_study(self.store, self._new_study(prepared, seed))
        shared = self._shared(prepared)
        if not shared.keys() <= study.user_attrs.get(attributes.SHARED, {}).keys():
            study.set_user_attr(attributes.SHARED, shared)  # of an earlier hpsearch
        if self.accept_code and self._has_other_code(study.user_attrs):
            study.set_user_attr(attributes.CODE, self.spec.code)
        now = replace(self, study=recorded(self.store, self.name))
        now.check_unchanged()
        now.check_same_data(prepared)
        return study, note

    def _correct(self, prepared: Prepared) -> str:
        """Remove a study without a complete trial that was declared otherwise; a note about it."""
        if self.study is None or not self.may_begin_anew():
            return ""
        changes = [*self._changes(), *filter(None, [self._change_of_data(prepared)])]
        if self._has_other_code(self.study.attrs):
            changes.append(f"the source of {self.spec.trainer} is another")
        if not changes:
            return ""
        delete_rows(self.store.engine, self.study.ref)
        return (
            f"{self.name} begins anew, as it had no complete trial and changed: "
            f"{'; '.join(changes)}."
        )

    def _new_study(self, prepared: Prepared, seed: int) -> NewStudy:
        spec, preset, also = self.spec, self.preset, self.search.also
        facts = {"source": prepared.source, "fingerprint": prepared.fingerprint}
        return NewStudy(
            self.name,
            directions=[
                StudyDirection[spec.direction.upper()],
                *(
                    StudyDirection.MAXIMIZE if name[0] == "+" else StudyDirection.MINIMIZE
                    for name in also
                ),
            ],
            metrics=[spec.metric, *(name.removeprefix("+") for name in also)],
            attrs={
                attributes.PRESET: preset.name,
                attributes.METRIC: spec.metric,
                attributes.SPACE: space_to_json(preset.distributions),
                attributes.WHEN: preset.when,
                attributes.DEFAULTS: plain(preset.defaults),
                attributes.SETTINGS: preset.settings,
                attributes.DATA: {"declared": without_password(spec.data), **facts},
                attributes.SEED: seed,
                attributes.SHARED: self._shared(prepared),
                attributes.LANGUAGE_MODEL: preset.language_model,
                attributes.FROM_SCRATCH: preset.is_from_scratch,
                attributes.ALSO: also,
                attributes.FILE: None if spec.file is None else str(spec.file),
                attributes.CODE: spec.code,
                attributes.STUDY: spec.name,
            },
        )

    def _shared(self, prepared: Prepared) -> dict[str, Any]:
        stages = [*prepared.stages]
        return {"stages": stages, "trainer": self.spec.trainer, **prepared.facts}

    def job_fields(self, ref: StudyRef, run_id: int, device: str) -> dict[str, Any]:
        """The fields of a run's job that the study's declaration and this machine decide."""
        return {
            "storage": self.store.secret_url,
            "study": ref.name,
            "uid": ref.uid or "",
            "run_id": run_id,
            "trainer": self.spec.trainer,
            "metric": self.spec.metric,
            "space": space_to_json(self.preset.distributions),
            "when": self.preset.when,
            "settings": self.preset.settings,
            "data": self.spec.data,
            "data_path": None if self.data_path is None else str(self.data_path.absolute()),
            "preset": self.preset.name,
            "device": device,
        }


def recorded(store: Store, name: str) -> StudySummary | None:
    """The study of this name if it has trials or hpsearch made it; else None.

    Raises UnreadableError for a study of which something cannot be read.
    """
    found = store.study(name)
    if found is None:
        return None
    found.check()
    return found if found.trials or attributes.STUDY in found.attrs else None


def check_complete(name: str, attrs: Mapping[str, Any]) -> None:
    """Raises InputError if a study that hpsearch made lacks an attribute that its trials need."""
    if missing := [key for key in attributes.REQUIRED if key not in attrs]:
        raise InputError(
            f"The study {name} lacks what its trials stand on ({', '.join(missing)}): give a new "
            "--storage for new trials; `hpsearch export` and `explain` still read the old ones."
        )


def _refusal(name: str, changes: list[str]) -> InputError:
    return InputError(
        f"The study {name} changed since its first trials: {'; '.join(changes)}. "
        "Trials of both cannot be compared: give a new --storage for the new study, "
        "or put the old values back."
    )


def _changed(where: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [
        f"{where}.{key} is {_shown(new, key)} (was {_shown(old, key)})"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]


def _shown(content: Mapping[str, Any], key: str) -> str:
    return to_json(content[key]) if key in content else "not set"


def is_reached(store: Store, study: optuna.Study, target: float | None) -> bool:
    """Whether the study has a trial at least as good as `target`."""
    if target is None:
        return False
    direction = study.directions[0]
    best = summaries.best(store.engine, study_id(study), direction)
    if best is None:
        return False
    return best[0] >= target if direction == StudyDirection.MAXIMIZE else best[0] <= target
