"""A study's space as the store holds it: JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution

from hpsearch.store.tables import attributes
from hpsearch.store.tables.damage import readable


def space_to_json(space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """The space as plain JSON, which `space_from_json` reads back."""
    return {name: json.loads(distribution_to_json(one)) for name, one in space.items()}


def space_from_json(content: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """Raises UnreadableError where one of them is no distribution."""
    with readable(f"The space of the study ({attributes.SPACE})"):
        return {name: json_to_distribution(json.dumps(one)) for name, one in content.items()}
