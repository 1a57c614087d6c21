"""What a model sees of ratings: who rated how much, how high, when, and what is known of both."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hpsearch.core.console import new_table
from hpsearch.data.ratings import RatingsDataset, load_ratings
from hpsearch.trainers.collab.prepare import titles_of
from hpsearch.trainers.contract import PrepareSetup

if TYPE_CHECKING:
    import pandas as pd

VALUES = 12  # as many different ratings get a row each, more are put together
BINS = 10
POPULAR = 5
TITLE = "title"
SHOWN = 6  # values of a column of metadata


def preview(
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    setup: PrepareSetup,
    rows: int,
) -> list[RenderableType]:
    """Some ratings, their distribution, the items most rated, and the sizes of everything."""
    dataset = load_ratings(data, path=setup.data_path, progress=setup.progress, say=setup.say)
    parts = [_examples(dataset, rows)] if rows else []
    if "rating" in dataset.ratings:
        parts.append(_distribution(dataset.ratings["rating"].to_numpy()))
    parts.append(_popular(dataset))
    shown: list[RenderableType] = []
    for part in parts:
        shown += [part, ""]
    return [*shown, *map(Text, _facts(dataset))]


def _ratings_or_choices(dataset: RatingsDataset) -> str:
    return "ratings" if "rating" in dataset.ratings else "choices"


def _examples(dataset: RatingsDataset, rows: int) -> Table:
    """Ratings drawn at random, the same at every call."""
    import pandas as pd

    ratings = dataset.ratings
    drawn = np.sort(np.random.default_rng(0).permutation(len(ratings))[:rows])
    some = ratings.iloc[drawn]
    columns = {"user": some["user"].tolist(), "item": titles_of(dataset.items, some["item"])}
    if "rating" in some:
        columns[">rating"] = [f"{value:g}" for value in some["rating"]]
    if "time" in some:
        columns["time"] = pd.to_datetime(some["time"], unit="s").dt.strftime("%Y-%m-%d").tolist()
    table = new_table(
        f"{_ratings_or_choices(dataset).capitalize()}, drawn at random", *columns, wrap=True
    )
    for row in zip(*columns.values(), strict=True):
        table.add_row(*map(escape, row))
    return table


def _distribution(ratings: np.ndarray[Any, Any]) -> Table:
    """How many ratings have each value, or lie in each of some equal ranges."""
    values, counts = np.unique(ratings, return_counts=True)
    names = [f"{value:g}" for value in values]
    if len(values) > VALUES:
        counts, edges = np.histogram(ratings, bins=BINS)
        names = [f"{a:.3g} to {b:.3g}" for a, b in pairwise(edges)]
    table = new_table("Distribution", "rating", ">ratings", ">share")
    for name, count in zip(names, counts, strict=True):
        table.add_row(name, f"{count:,}", f"{count / len(ratings):.1%}")
    return table


def _popular(dataset: RatingsDataset) -> Table:
    counts = dataset.ratings["item"].value_counts()
    most = counts.sort_values(ascending=False, kind="stable")[:POPULAR]
    rated = "rating" in dataset.ratings
    means = dataset.ratings.groupby("item")["rating"].mean() if rated else None
    what = _ratings_or_choices(dataset)
    title = "Rated most" if rated else "Chosen most"
    table = new_table(title, "item", f">{what}", *([">mean"] if rated else []), wrap=True)
    for name, title, count in zip(
        most.index, titles_of(dataset.items, most.index), most, strict=True
    ):
        mean = [] if means is None else [f"{means[name]:.2f}"]
        table.add_row(escape(title), f"{count:,}", *mean)
    return table


def _facts(dataset: RatingsDataset) -> list[str]:
    ratings, what = dataset.ratings, _ratings_or_choices(dataset)
    of_user, of_item = (ratings[name].value_counts() for name in ("user", "item"))
    pairs = len(of_user) * len(of_item)
    lines = [
        f"data: {len(ratings):,} {what} of {len(of_user):,} users and {len(of_item):,} items, from "
        f"{dataset.source}",
        f"of all pairs of a user and an item {len(ratings) / pairs:.2%} are there, "
        f"{1 - len(ratings) / pairs:.2%} are not",
        f"{what} of a user: {_spread(of_user)}",
        f"{what} of an item: {_spread(of_item)}",
    ]
    if "rating" in ratings:
        values = ratings["rating"].to_numpy(dtype=np.float64)
        lines.append(f"rating: mean {values.mean():.3f}, standard deviation {values.std():.3f}")
    if "time" in ratings:
        lines.append(f"time: {_day(ratings['time'].min())} to {_day(ratings['time'].max())}")
    for name, table, ids in (
        ("users", dataset.users, of_user.index),
        ("items", dataset.items, of_item.index),
    ):
        lines += _metadata(name, table, ids)
    if dataset.folds:
        lines.append(f"official folds: {', '.join(dataset.folds)}")
    return lines + ([f"note: {dataset.note}"] if dataset.note else [])


def _spread(counts: pd.Series[int]) -> str:
    once = int((counts == 1).sum())
    few = f", {once:,} with one only" if once else ""
    return (
        f"median {counts.median():,.0f}, mean {counts.mean():,.0f}, from {counts.min():,} to "
        f"{counts.max():,}{few}"
    )


def _day(seconds: int) -> str:
    return str(np.datetime64(int(seconds), "s").astype("datetime64[D]"))


def _metadata(name: str, table: pd.DataFrame | None, ids: pd.Index[str]) -> list[str]:
    """A line for each column: its range, or its most frequent values."""
    if table is None:
        return [f"nothing else is known of the {name}"]
    known = int(ids.isin(table.index).sum())
    lines = [f"metadata of {known:,} of {len(ids):,} {name}:"]
    return lines + [f"  {column}: {_values(table[column])}" for column in table]


def _values(column: pd.Series[Any]) -> str:
    present = column[column.notna() & (column != "")]
    gaps = len(column) - len(present)
    missing = f"; {gaps:,} without" if gaps else ""
    if not len(present):
        return f"none{missing}"
    if present.dtype.kind in "iuf":
        return f"{present.min():g} to {present.max():g}, median {present.median():g}{missing}"
    parts = present.astype("str").str.split("|").explode() if column.name != TITLE else present
    counts = parts.value_counts()
    most = ", ".join(map(str, counts.index[:SHOWN]))
    if len(counts) <= SHOWN:
        return f"{most}{missing}"
    if len(counts) > len(present) / 2:
        return f"{len(counts):,} different ones, such as {counts.index[0]}{missing}"
    return f"{len(counts):,} different ones, most often {most}{missing}"
