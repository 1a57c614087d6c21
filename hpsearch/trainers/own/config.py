"""What a study of one's own function may say of its data. Nothing here imports the function."""

from __future__ import annotations

from typing import Any

from pydantic.dataclasses import dataclass

from hpsearch.trainers.shared.config_fields import STRICT


@dataclass(frozen=True, config=STRICT)
class FunctionData:
    """The [data] of a study of one's own function: the file or folder that it gets as `data`."""

    path: str | None = None


FunctionConfig = dict[str, Any]
"""Settings and parameters of a trial: the function's own keywords, whatever they are."""
