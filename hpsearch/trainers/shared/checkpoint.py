"""The state of a trial after an epoch: a trial that was killed continues from it to the same end.

It is one safetensors file. Its header holds the epochs' records as JSON. There are no pickles.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from hpsearch.trainers.contract import EpochRecord
from hpsearch.trainers.shared.weights import save_weights, with_prefix
from hpsearch.trainers.step.optimiser import Optimiser

_NAME = "state.safetensors"


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimisers: Sequence[Optimiser],
    records: list[EpochRecord],
) -> None:
    """Write the model, the optimisers and the records so far to a file in `folder`.

    The file appears as a whole or not at all.
    """
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for k, optimiser in enumerate(optimisers):
        for i, entry in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{k}.{i}.{name}": value for name, value in entry.items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(
        {name: value.detach().contiguous().clone() for name, value in tensors.items()},
        folder / _NAME,
        metadata={"records": json.dumps([vars(record) for record in records])},
    )


def load_checkpoint(folder: Path) -> tuple[dict[str, torch.Tensor], list[EpochRecord]] | None:
    """Read the tensors and the records of the last finished epoch.

    Returns None if there is no file, or it is damaged.
    """
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
    model.load_state_dict(with_prefix("model.", tensors))


def restore_optimisers(
    optimisers: Sequence[Optimiser], tensors: Mapping[str, torch.Tensor]
) -> None:
    """Put the checkpoint's states into new optimisers of the same parameter groups."""
    for k, optimiser in enumerate(optimisers):
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in with_prefix(f"optimiser.{k}.", tensors).items():
            index, key = name.split(".", 1)
            state.setdefault(int(index), {})[key] = value
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def _record(entry: dict[str, Any]) -> EpochRecord:
    return EpochRecord(**{**entry, "lrs": tuple(entry["lrs"])})
