"""MovieLens 100K read straight from its archive in HPSEARCH_DATA, for tests and benchmarks."""

import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Dataset:
    """As much of a RatingsDataset as collaborative filtering asks for."""

    ratings: pd.DataFrame
    users: pd.DataFrame | None = None
    items: pd.DataFrame | None = None
    folds: dict[str, Any] = field(default_factory=dict)
    source: str = "a test"
    kind: str = "path"
    fingerprint: str = "0" * 64
    note: str | None = None


def archive():
    """The archive, or None."""
    path = Path(os.environ.get("HPSEARCH_DATA", "/nowhere")) / "ml-100k.zip"
    return path if path.is_file() else None


def movielens():
    with zipfile.ZipFile(archive()) as file:

        def table(name, sep, names, **kwargs):
            with file.open(f"ml-100k/{name}") as one:
                return pd.read_csv(one, sep=sep, names=names, encoding="latin-1", **kwargs)

        columns = ["user", "item", "rating", "time"]
        ratings = table("u.data", "\t", columns, dtype={"user": str, "item": str})
        users = table("u.user", "|", ["id", "age", "sex", "occupation", "zip"], dtype={"id": str})
        genres = table("u.genre", "|", ["name", "number"])["name"].dropna().tolist()
        names = ["id", "title", "date", "video", "url", *genres]
        items = table("u.item", "|", names, dtype={"id": str})
        row = {pair: i for i, pair in enumerate(zip(ratings.user, ratings.item, strict=True))}
        folds = {}
        for fold in ("u1", "u2", "u3", "u4", "u5"):
            parts = []
            for part in ("base", "test"):
                one = table(f"{fold}.{part}", "\t", columns, dtype={"user": str, "item": str})
                pairs = zip(one.user, one.item, strict=True)
                parts.append(np.array([row[pair] for pair in pairs]))
            folds[fold] = tuple(parts)
    flags = items[genres].to_numpy(dtype=bool)
    items["genres"] = ["|".join(np.array(genres)[own]) for own in flags]
    items["year"] = items["date"].str[-4:].astype(float)
    ratings["rating"] = ratings["rating"].astype("float32")
    return Dataset(
        ratings,
        users.set_index("id")[["age", "sex", "occupation"]],
        items.set_index("id")[["title", "year", "genres"]],
        folds,
    )
