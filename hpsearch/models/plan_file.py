"""`training.json` in a model's folder: what is trained there, and in the end what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpsearch.core.files import write_atomically
from hpsearch.errors import InputError

PLAN_FILE = "training.json"
"""In the model's folder: what is trained there, so that the same command goes on with it."""


def check_folder(output: Path, plan: Mapping[str, Any]) -> None:
    """Raises InputError if the folder holds something else than the beginning of this training, or
    cannot be written: before hours of work, not after."""
    try:
        if not output.exists():
            output.mkdir(parents=True)
            output.rmdir()  # nothing is left behind by a command that fails before it trains
            return
        if not any(output.iterdir()):
            return
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror or error}.") from error
    found = read_plan(output)
    if found is None:
        raise InputError(f"{output} holds other files: give a new folder as --output.")
    if "metrics" in found:
        raise InputError(f"{output} holds a finished model: give a new folder as --output.")
    if found != plan:
        different = [key for key in plan if found.get(key) != plan[key]]
        raise InputError(
            f"{output} holds an unfinished training with other {' and '.join(different)}: "
            "give a new folder as --output, or the command that began it."
        )


def read_plan(output: Path) -> dict[str, Any] | None:
    """What is trained in the folder; None where it does not say."""
    try:
        found = json.loads((output / PLAN_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_plan(output: Path, plan: Mapping[str, Any]) -> None:
    output.mkdir(parents=True, exist_ok=True)
    write_atomically(output / PLAN_FILE, json.dumps(plan, indent=1))
