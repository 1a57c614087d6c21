"""`lr-find`: the learning-rate range test on a study's own model and data."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from hpsearch.core.console import say, shown_progress
from hpsearch.core.terminal import new_console
from hpsearch.core.words import digits
from hpsearch.errors import InputError
from hpsearch.models.train import TrainOptions, final_settings, prepare_on_fastest, start_preset
from hpsearch.study.spec import StudySpec
from hpsearch.study.trainers import config_class, is_own
from hpsearch.trainers.shared.config_fields import parse_config
from hpsearch.trainers.shared.lr_finder import LrCurve, find_lr, restored
from hpsearch.trainers.shared.lr_plot import write_html, write_png

STAGES = ("head", "all")


def find_and_draw(
    spec: StudySpec,
    output: Path | None,
    stage: str,
    options: TrainOptions,
    console: Console | None,
) -> LrCurve:
    """Run the test on the study's data with its defaults, print the suggestions, and, where
    `output` is given, write OUTPUT.png and OUTPUT.html.

    Of the `options` it takes the preset, the settings, the data and the seed.
    `stage` "head" thaws the top layer group only, "all" every group, each with its share of the
    rate. Raises InputError for a stage that there is not.
    """
    console = console or new_console()
    if stage not in STAGES:
        raise InputError(f"--stage {stage} is not known: choose one of {', '.join(STAGES)}.")
    if is_own(spec.trainer):
        raise InputError(f"{spec.trainer} is code of your own, which hpsearch cannot step through.")
    resolved = spec.resolve(options.preset)
    settings = final_settings(spec, resolved, {}, options.sets, whole=False)
    started = start_preset(spec, resolved, settings, None, console)
    settings = final_settings(spec, started, {}, options.sets, whole=False)
    lr_test = spec.trainer_module().lr_test
    if lr_test is None:
        raise InputError(
            f"Each trial of {spec.name} trains two models: run lr-find on a study of one of them, "
            "such as imdb-lm or imdb-clas."
        )
    config = parse_config(config_class(spec.trainer), settings)
    device, prepared = prepare_on_fastest(spec, settings, options.data_path, None, console)
    with shown_progress(console) as progress:
        test = lr_test(config, prepared, stage=stage, seed=options.seed, device=device)
        with restored([test.model], [test.optimiser]):
            curve = find_lr(
                test.step, progress=lambda done, total: progress("lr-find", done, total)
            )
    title = f"{spec.name}, {resolved.name}, {stage}"
    for name, lr in curve.suggestions._asdict().items():
        console.print(f"{name:<9} {digits(lr)}")
    if output is not None:
        files = _draw(curve, output, title)
        say(console, f"Wrote {' and '.join(map(str, files))}")
    return curve


def _draw(curve: LrCurve, output: Path, title: str) -> tuple[Path, Path]:
    """Write OUTPUT.png and OUTPUT.html. Raises InputError where they cannot be."""
    png, html = (output.with_name(output.name + suffix) for suffix in (".png", ".html"))
    write_png(curve, png, title=title)
    write_html(curve, html, title=title)
    return png, html
