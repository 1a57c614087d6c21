"""The options of the command line that several commands share: one name, one text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpsearch.errors import InputError

if TYPE_CHECKING:
    from hpsearch.search.engines import Cluster


def panel_option(panel: str) -> Callable[..., Any]:
    """A maker of options with their help in a panel of `--help`: option(help, *names)."""
    return lambda text, *names: typer.Option(*names, help=text, rich_help_panel=panel)


def _storage(text: str) -> Any:  # noqa: ANN401
    """The option --storage; `text` says which databases the command takes."""
    default = "Default: HPSEARCH_STORAGE, else sqlite:///hpsearch.db."
    return typer.Option("--storage", help=f"{text} {default}", show_default=False)


Storage = Annotated[
    str | None,
    _storage("Database URL, such as sqlite:///my.db or postgresql://host/db."),
]

RunStorage = Annotated[str | None, _storage("The database that the run uses.")]

Storages = Annotated[
    list[str] | None,
    _storage(
        "Database URL of any Optuna study, an SQLite file or a journal file; repeat it for several."
    ),
]

Study = Annotated[str, typer.Argument(help="A built-in study or a path to a study.toml.")]

RunnableStudy = Annotated[
    str,
    typer.Argument(help="A built-in study, a path to a study.toml, or your own module:function."),
]

StoredStudy = Annotated[str, typer.Argument(help="A study in the store.")]

StoredStudies = Annotated[
    list[str] | None, typer.Argument(help="Studies in the store. Default: all of them.")
]

Preset = Annotated[
    str,
    typer.Option(
        help="How large a trial or a model is: quick, cpu, full, or its own; auto asks the device."
    ),
]

Data = Annotated[
    Path | None,
    typer.Option(help="Your own copy of the data: a folder, an archive, a CSV, Parquet or JSON."),
]

SkipBadRows = Annotated[
    bool,
    typer.Option(
        "--skip-bad-rows",
        help="Leave out rows of your own data that cannot be used; say how many, and which.",
    ),
]

LanguageModel = Annotated[
    str | None,
    typer.Option(
        help="Start from this language model: a name, a folder, or best (of imdb-lm in the store)."
    ),
]

Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="key=value, as often as you like: epochs=2, language_model.lr=1e-3."
    ),
]

Level = Annotated[float, typer.Option(help="Of the intervals.")]

TextColumns = Annotated[
    list[str] | None, typer.Option(help="Column of the texts; repeat for several.")
]

NewUsers = Annotated[
    Path | None, typer.Option(help="Of a recommender: a file that describes new users.")
]

NewItems = Annotated[
    Path | None, typer.Option(help="Of a recommender: a file that describes new items.")
]

TrustCode = Annotated[
    bool,
    typer.Option(
        "--trust-code",
        help="Import and run the tokenizer module:function that the model names. It is looked for "
        "in the current folder; its file is printed.",
    ),
]

_worker = panel_option("Workers and limits")

Workers = Annotated[
    int | None,
    _worker(
        "Processes that run trials. Default: one a core; on a GPU as many as its memory allows and "
        "get more done together."
    ),
]

Devices = Annotated[
    str | None,
    _worker(
        "What workers train on, in turn: cuda:0,cuda:1. Default: auto, the GPUs or the "
        "processor, on whichever the study's trials are measured to be faster."
    ),
]

Engine = Annotated[
    str,
    _worker("Where workers run: local (processes here) or ray (tasks of a Ray cluster)."),
]

Address = Annotated[
    str | None,
    _worker("The Ray cluster: HOST:PORT, or auto for that of this machine, the default."),
]

WorkerCpus = Annotated[
    float | None, _worker("Processors a worker takes of the Ray cluster. Default: 1.")
]

WorkerGpus = Annotated[
    float | None,
    _worker("GPUs a worker takes of the Ray cluster, such as 0.25. Default: 1 if there is one."),
]

TrialTimeout = Annotated[
    str | None, _worker("End a trial that takes longer, as failed: 90s, 30m, 2h.")
]

TrialMemory = Annotated[
    str | None,
    _worker("End a trial whose worker uses more memory, or more of its GPU's, as failed: 4G."),
]

HalveBatch = Annotated[
    bool,
    _worker(
        "Train a trial that ran out of memory once more with half of its batch.", "--halve-batch"
    ),
]

BYTE_UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


def parse_duration(text: str, option: str) -> float:
    """Seconds in '90', '90s', '30m', '2h' or '1h30m'. Raises InputError for anything else."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text.strip())
    if not text.strip() or match is None:
        raise InputError(f"{option} {text!r} is not a time: write 90s, 30m, 2h or 1h30m.")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(hours * 3600 + minutes * 60 + seconds)


def parse_bytes(text: str, option: str) -> int:
    """Bytes in '4G', '1.5 GB' or '500M'. Raises InputError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip().upper())
    if match is None:
        raise InputError(f"{option} {text!r} is not a size: write 500M or 4G.")
    return int(float(match[1]) * BYTE_UNITS[match[2]])


def parse_devices(text: str | None) -> tuple[str, ...] | None:
    """The names in 'cuda:0,cuda:1'."""
    if text is None:
        return None
    return tuple(part.strip() for part in text.split(",") if part.strip())


def parse_cluster(address: str | None, cpus: float | None, gpus: float | None) -> Cluster | None:
    """The Ray cluster that is meant; None where none of its options was given."""
    from hpsearch.search.engines import Cluster

    if address is None and cpus is None and gpus is None:
        return None
    return Cluster(address or "auto", 1.0 if cpus is None else cpus, gpus)


def parse_config(option: str, texts: Sequence[str]) -> dict[str, Any]:
    """{"lr": 0.01, "moms": "0.8/0.7"} of lr=0.01 and moms=0.8/0.7. Raises InputError for others."""
    from hpsearch.study.settings import parse_set

    config: dict[str, Any] = {}
    for text in texts:
        config |= parse_set(text, option)
    return config
