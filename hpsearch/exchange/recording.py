"""A study recorded in a folder, to be published beside its study.toml and explained by anyone.

    trials.parquet   each trial: what `export` writes of it, and what it ran in
    epochs.parquet   each epoch of each trial
    study.json       where all this comes from, for programs
    README.md        the same, for people

`exchange.recorded` reads it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna

from hpsearch.core import environment
from hpsearch.core.files import check_writable, write_atomically
from hpsearch.core.words import duration, how_many
from hpsearch.errors import InputError
from hpsearch.exchange.cells import NOTHING, column
from hpsearch.exchange.export_trials import to_table
from hpsearch.store import Store, StudySummary, summaries
from hpsearch.store.queue.processes import machine
from hpsearch.store.tables import attributes, schema
from hpsearch.store.trials.frozen import all_trials
from hpsearch.study.search_options import Search

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = "hpsearch.recording/1"
TRIALS, EPOCHS, ABOUT, README = "trials.parquet", "epochs.parquet", "study.json", "README.md"
RAN = "ran_"
"""What the columns begin with that say in what a trial ran."""
OF_TRIAL = (
    "run_id", "attempts", "deaths", "data_source", "data_fingerprint", "device", "precision",
    "threads", "versions", "git_commit", "machine", "facts", "seconds", "created_at",
)  # fmt: skip
"""Columns of hps_trial that are no attributes of the trial; names of processes are left out."""
OF_EPOCH = (
    "stage", "epoch", "epochs", "train_loss", "valid_loss", "metrics", "lrs", "seconds",
    "recorded_at",
)  # fmt: skip
OF_RUN = (
    "run_id", "trials", "workers", "engine", "machine", "started_at", "seen_at", "ended_at",
    "outcome",
)  # fmt: skip
OF_VERIFICATION = (
    "param", "value", "against", "pairs", "effect", "low", "high", "verdict", "payload",
    "verified_at",
)  # fmt: skip


def record_study(store: Store, study: StudySummary, folder: Path) -> int:
    """Write what the store has of a study that hpsearch ran to the folder; how many trials.

    What else lies in the folder stays. Raises InputError for a study that hpsearch did not run, one
    without trials, and a folder that cannot be written.
    """
    study.check()
    if attributes.STUDY not in study.attrs:
        raise InputError(
            f"Study '{study.name}' was not run by hpsearch: export it to a .parquet or .csv file."
        )
    loaded = optuna.load_study(study_name=study.name, storage=store.optuna)
    trials = all_trials(loaded)
    if not trials:
        raise InputError(f"Study '{study.name}' has no trials yet: there is nothing to record.")
    rows = {row["number"]: row for row in store.trials(study.name)}
    table = to_table(loaded, trials)
    for name, cells in _columns([rows.get(one.number, {}) for one in trials], OF_TRIAL).items():
        table = table.append_column(RAN + name, cells)
    epochs = store.epochs(study.name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error.strerror or error}.") from error
    check_writable(folder / ABOUT)
    files = {TRIALS: _parquet(table), EPOCHS: _parquet(_epoch_table(epochs))}
    about = _about(store, study, list(rows.values()), files)
    about["counts"] = dict(Counter(trial.state.name.lower() for trial in trials))
    about["epochs"] = len(epochs)
    about["seconds"] = round(sum(row["seconds"] or 0.0 for row in epochs), 1)
    for name, content in files.items():
        write_atomically(folder / name, content)
    write_atomically(folder / README, _readme(about))
    write_atomically(folder / ABOUT, json.dumps(about, indent=1, default=_text) + "\n")
    return len(trials)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _about(
    store: Store,
    study: StudySummary,
    rows: Sequence[Mapping[str, Any]],
    files: Mapping[str, bytes],
) -> dict[str, Any]:
    table = schema.run
    mine = table.c.study_id == study.study_id
    runs = summaries.rows(store.engine, table, table.c.run_id, mine)
    done = [row for row in rows if row["device"] is not None]
    return {
        "schema": FORMAT,
        "study": study.name,
        "directions": list(study.directions),
        "attributes": {k: v for k, v in study.attrs.items() if k.startswith(attributes.PREFIX)},
        "runs": [
            {
                **_only(row, OF_RUN),
                "command": command(study.attrs, row),
                "commits": _commits(row, rows),
            }
            for row in runs
        ],
        "ran": [
            {**json.loads(one), "trials": count} for one, count in _circumstances(done).items()
        ],
        "processors": {machine(): environment.processor()}
        if any(row["machine"] == machine() for row in rows)
        else {},
        "verifications": [_only(row, OF_VERIFICATION) for row in store.verifications(study.name)],
        "files": {
            name: {"bytes": len(content), "sha256": digest(content)}
            for name, content in files.items()
        },
    }


def command(attrs: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    """What to type to run such trials: the study, its preset, seed and search."""
    job = run.get("job") or {}
    words = ["hpsearch", "run", str(attrs[attributes.FILE] or attrs[attributes.STUDY])]
    words += ["--preset", str(attrs[attributes.PRESET]), "--trials", str(run["trials"])]
    words += ["--seed", str(attrs[attributes.SEED]), "--workers", str(run["workers"])]
    plain = Search().model_dump()
    search = {k: v for k, v in job.get("search", {}).items() if plain.get(k) != v}
    for key in ("sampler", "pruner", "design_share"):
        if key in search:
            words += [f"--{key.replace('_', '-')}", str(search.pop(key))]
    rest = f"  # search: {json.dumps(search)}" if search else ""
    return " ".join(words) + rest


def _commits(run: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    found = (row["git_commit"] for row in rows if row["run_id"] == run["run_id"])
    return list(dict.fromkeys(filter(None, found)))


def _circumstances(rows: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """How many trials ran in the same: device, precision, threads, versions."""
    keys = ("device", "precision", "threads", "machine", "versions")
    return Counter(json.dumps(_only(row, keys), sort_keys=True) for row in rows)


def _only(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _text(value: Any) -> str:  # noqa: ANN401
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _epoch_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    import pyarrow as pa

    numbers = pa.array([row["number"] for row in rows], pa.int64())
    return pa.table({"number": numbers, **_columns(rows, OF_EPOCH)})


def _columns(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, pa.Array]:
    """Of each name the cells; moments are texts."""
    return {
        name: column(
            [
                NOTHING if (value := row.get(name)) is None
                else _text(value) if isinstance(value, datetime)
                else value
                for row in rows
            ]
        )
        for name in names
    }  # fmt: skip


def _parquet(table: pa.Table) -> bytes:
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd", compression_level=19)
    return file.getvalue()


def _readme(about: Mapping[str, Any]) -> str:
    attrs = about["attributes"]
    data = attrs[attributes.DATA]
    states = ", ".join(f"{n} {state}" for state, n in about["counts"].items())
    lines = [
        f"# {about['study']}: recorded trials",
        "",
        f"Written by `hpsearch export {about['study']} --output FOLDER`; do not edit. Real "
        f"trainings on real data, every trial and every epoch: {states}; "
        f"{how_many(about['epochs'], 'epoch')}, {duration(about['seconds'])} of training.",
        "",
        "Explain them: "
        f"`hpsearch explain {about['study']} --recorded`. Go on with them: "
        "`hpsearch import FOLDER`, then the command below.",
        "",
        "| | |",
        "|---|---|",
        f"| data | {data['source']} |",
        f"| fingerprint of the data | `{data['fingerprint']}` |",
        f"| seed of the study | {attrs[attributes.SEED]} |",
    ]
    for key, value in attrs.get(attributes.SHARED, {}).items():
        lines.append(f"| {key.replace('_', ' ')} | {_words(value)} |")
    for run in about["runs"]:
        begun, ended = (_text(run[key] or "not yet")[:16] for key in ("started_at", "ended_at"))
        commits = ", ".join(f"`{one[:12]}{one[40:]}`" for one in run["commits"])
        lines += [
            f"| command | `{run['command']}` |",
            f"| begun, ended | {begun}, {ended} UTC ({run['outcome'] or 'running'}) |",
            f"| revision | {commits or 'no checkout'} |",
        ]
    for one in about["ran"]:
        versions = dict(one["versions"] or {})
        processor = versions.pop("processor", None) or about["processors"].get(one["machine"])
        which = f", {processor}" if processor else ""
        lines += [
            f"| machine | {one['trials']} trials on {one['device']}{which}, {one['precision']}, "
            f"{how_many(one['threads'] or 0, 'thread')} |",
            f"| versions | {', '.join(f'{k} {v}' for k, v in versions.items())} |",
        ]
    return "\n".join(lines) + "\n"


def _words(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, list):
        return ", ".join(f"`{one}`" for one in value) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
