"""Weights in safetensors files: written whole, and looked at before they are believed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hpsearch.core.files import atomic_path


def save_weights(
    weights: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """The whole file or none of it, with the mode that the user's umask gives."""
    with atomic_path(path) as unfinished:
        save_file(dict(weights), unfinished, metadata=metadata)


def load_weights(path: Path) -> dict[str, Tensor]:
    """What `save_weights` wrote, on the CPU. Raises ValueError for a number that is none (NaN or
    infinite), OSError or SafetensorError where the file cannot be read."""
    weights = load_file(path)
    for name, value in weights.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ValueError(f"{name} holds numbers that are not finite")
    return weights


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, by the rest of their names."""
    return {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}


def load_state(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put weights into a model. Raises RuntimeError where names or shapes differ, ValueError where
    a weight is of another kind: whole numbers would be taken for weights without a word."""
    for name, own in model.state_dict().items():
        if name in weights:
            check_kind(name, weights[name], own)
    model.load_state_dict(dict(weights))


def check_kind(name: str, given: Tensor, own: Tensor) -> None:
    """Raises ValueError unless `given` has the shape of `own` and is as much of a fraction."""
    if given.shape != own.shape or given.is_floating_point() != own.is_floating_point():
        raise ValueError(f"{name} is {given.dtype} {tuple(given.shape)}, not {own.dtype}")
