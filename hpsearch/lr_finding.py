"""`lr-find`: the learning-rate range test on a study's own model and data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from hpsearch.errors import InputError
from hpsearch.final import final_settings, prepare_shown
from hpsearch.search.circumstances import default_device
from hpsearch.search.progress import shown_progress
from hpsearch.studies import StudySpec
from hpsearch.trainers import config_class
from hpsearch.training.fields import parse_config
from hpsearch.training.lr_finder import LrCurve, find_lr, restored
from hpsearch.training.lr_plot import write_html, write_png

STAGES = ("head", "all")


def find_and_draw(
    spec: StudySpec,
    output: Path,
    *,
    preset: str = "auto",
    stage: str = "head",
    sets: Sequence[str] = (),
    data_path: Path | None = None,
    seed: int = 0,
    console: Console | None = None,
) -> LrCurve:
    """Run the test on the study's data with its defaults, print the suggestions, and write
    OUTPUT.png and OUTPUT.html.

    `stage` "head" thaws the top layer group only, "all" every group, each with its share of the
    rate. Raises InputError for a stage that there is not.
    """
    console = console or Console()
    if stage not in STAGES:
        raise InputError(f"--stage {stage} is not known: choose one of {', '.join(STAGES)}.")
    device = default_device()
    resolved = spec.resolve(preset)
    settings = final_settings(spec, resolved, {}, sets)
    trainer: Any = spec.trainer_module()
    if not hasattr(trainer, "lr_test"):
        raise InputError(
            f"Each trial of {spec.name} trains two models: run lr-find on a study of one of them, "
            "such as imdb-lm or imdb-clas."
        )
    config = parse_config(config_class(spec.trainer), settings)
    prepared = prepare_shown(spec, settings, data_path, device, console)
    with shown_progress(console) as progress:
        test = trainer.lr_test(config, prepared, stage=stage, seed=seed, device=device)
        with restored([test.model], [test.optimiser]):
            curve = find_lr(
                test.step, progress=lambda done, total: progress("lr-find", done, total)
            )
    title = f"{spec.name}, {resolved.name}, {stage}"
    for name, lr in curve.suggestions._asdict().items():
        console.print(f"{name:<9} {lr:.3g}")
    files = _draw(curve, output, title)
    console.print(Text(f"Wrote {' and '.join(map(str, files))}"), soft_wrap=True)
    return curve


def _draw(curve: LrCurve, output: Path, title: str) -> tuple[Path, Path]:
    """Write OUTPUT.png and OUTPUT.html. Raises InputError where they cannot be."""
    png, html = (output.with_name(output.name + suffix) for suffix in (".png", ".html"))
    try:
        loss = "training loss"
        write_png(curve, png, title=title, loss=loss)
        write_html(curve, html, title=title, loss=loss)
    except OSError as error:
        raise InputError(f"{png} cannot be written: {error.strerror or error}.") from error
    return png, html
