"""The state of a trial after an epoch, kept so that a killed trial ends as if nothing had happened.

Tensors go to safetensors and the rest to JSON inside its header; never a pickle.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from hpsearch.training.contract import EpochRecord
from hpsearch.training.optimiser import Optimiser

_NAME = "state.safetensors"


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimisers: Sequence[Optimiser],
    records: list[EpochRecord],
) -> None:
    """Keep model, optimisers and records so far, in one file that appears whole or not at all."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for k, optimiser in enumerate(optimisers):
        for i, entry in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{k}.{i}.{name}": value for name, value in entry.items()}
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{_NAME}.{os.getpid()}"
    try:
        save_file(
            {name: value.detach().contiguous().clone() for name, value in tensors.items()},
            unfinished,
            metadata={"records": json.dumps([asdict(record) for record in records])},
        )
        unfinished.replace(folder / _NAME)
    finally:
        unfinished.unlink(missing_ok=True)


def load_checkpoint(folder: Path) -> tuple[dict[str, torch.Tensor], list[EpochRecord]] | None:
    """Tensors and records of the last finished epoch; None if there is none, or it is damaged."""
    path = folder / _NAME
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            records = [_record(entry) for entry in json.loads(file.metadata()["records"])]
    except (SafetensorError, ValueError, KeyError, TypeError, OSError):
        return None
    return tensors, records


def restore_model(model: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put the checkpoint's weights into `model`."""
    model.load_state_dict(_under("model.", tensors))


def restore_optimisers(
    optimisers: Sequence[Optimiser], tensors: Mapping[str, torch.Tensor]
) -> None:
    """Put the checkpoint's states into optimisers made anew over the same parameter groups."""
    for k, optimiser in enumerate(optimisers):
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in _under(f"optimiser.{k}.", tensors).items():
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = value
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _record(entry: dict[str, Any]) -> EpochRecord:
    return EpochRecord(**{**entry, "lrs": tuple(entry["lrs"])})
