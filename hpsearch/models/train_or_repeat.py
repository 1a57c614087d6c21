"""`train`: a new model with chosen values, or a trial of the store once more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from hpsearch.core.terminal import new_console
from hpsearch.models.repeat import repeat_trial
from hpsearch.models.stored import best_params, preset_that_ran
from hpsearch.models.train import TrainOptions, train_final
from hpsearch.search.plan.stored_function import continued
from hpsearch.store import Store
from hpsearch.study.spec import StudySpec


def train_or_repeat(
    spec: StudySpec,
    output: Path,
    options: TrainOptions,
    storage: str | None,
    console: Console | None,
) -> dict[str, float]:
    """Train what the options ask for and keep the model in `output`; returns its metrics.

    A store is opened only where something is read from it. Raises InputError for what was given
    wrongly.
    """
    options.check()
    console = console or new_console()
    if not options.needs_store:
        return train_final(spec, output, options, None, console)
    spec = continued(spec, storage)
    with Store.open(storage, create=False) as store:
        if options.best or options.trial is not None:
            preset = preset_that_ran(store, spec, options.preset, console)
            options = replace(options, preset=preset)
        if options.trial is not None:
            return repeat_trial(spec, store, output, options, console)
        if options.best:
            params = best_params(store, spec, options.preset, console)
            options = replace(options, params=params)
        return train_final(spec, output, options, store, console)
