"""What a recommender has learned: what is liked whatever the taste, and the axes of taste.

The taste map draws items by two components of their factors, with titles, as PNG and as HTML.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hpsearch.core.files import write_atomically
from hpsearch.trainers.collab.metrics import predict_scores
from hpsearch.trainers.collab.model import DotBias, Model
from hpsearch.trainers.collab.recommender.recommend import Recommender
from hpsearch.trainers.collab.split_ratings import Rows
from hpsearch.trainers.shared.plot_settings import default_settings

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


NAMED = 60  # of the items rated most get their title, where there is room for it
LONGEST = 34  # characters of a title
BLUE, GREY = "#2f6fdb", "#80868f"


def draw(found: Components, output: Path, *, title: str) -> tuple[Path, Path]:
    """Write OUTPUT.png and OUTPUT.html, of the first two of at least two components. Raises
    InputError where they cannot be written."""
    png, html = (output.with_name(output.name + suffix) for suffix in (".png", ".html"))
    write_atomically(png, draw_png(found, title))
    write_atomically(html, draw_html(found, title))
    return png, html


@default_settings()
def draw_png(found: Components, title: str) -> bytes:
    """A picture with titles where there is room."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    table = found.table
    axes.scatter(table["1"], table["2"], s=9, color=GREY, alpha=0.35, linewidths=0)
    axes.set_title(title, loc="left", parse_math=False)  # a $ is no formula
    axes.set_xlabel(_label(found, 0))
    axes.set_ylabel(_label(found, 1))
    axes.spines[["top", "right"]].set_visible(False)
    figure.draw_without_rendering()
    _name(axes, found)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _name(axes: Axes, found: Components) -> None:
    """Write the titles of the items rated most, but none over another."""
    taken: list[Any] = []
    named = found.table.head(NAMED)
    for title, x, y in zip(named["title"], named["1"], named["2"], strict=True):
        text = axes.annotate(
            _shortened(title), (x, y), xytext=(3, 2), textcoords="offset points", fontsize=7.5,
            parse_math=False,
        )  # fmt: skip
        box = text.get_window_extent()
        if any(box.overlaps(other) for other in taken):
            text.remove()
            continue
        taken.append(box)
        axes.scatter([x], [y], s=14, color=BLUE, linewidths=0, zorder=3)


def draw_html(found: Components, title: str) -> str:
    """The same as a page that needs no network, with all titles at the pointer."""
    import plotly.graph_objects as go

    table, named = found.table, found.table.head(NAMED)
    hover = "%{text}<extra></extra>"
    figure = go.Figure()
    figure.add_scatter(
        x=table["1"], y=table["2"], text=table["title"], mode="markers", hovertemplate=hover,
        marker={"color": GREY, "size": 5, "opacity": 0.5}, name="all",
    )  # fmt: skip
    figure.add_scatter(
        x=named["1"], y=named["2"], text=named["title"].map(_shortened), mode="markers+text",
        marker={"color": BLUE, "size": 6}, textposition="top center", textfont={"size": 10},
        hovertemplate=hover, name="rated most",
    )  # fmt: skip
    figure.update_layout(title=title, template="plotly_white", height=800)
    figure.update_xaxes(title=_label(found, 0))
    figure.update_yaxes(title=_label(found, 1))
    page: str = figure.to_html(include_plotlyjs=True)
    return page


def _label(found: Components, place: int) -> str:
    return f"component {place + 1} ({found.shares[place]:.0%} of the variance)"


def _shortened(title: str) -> str:
    return title if len(title) <= LONGEST else f"{title[: LONGEST - 3].rstrip()}..."


Numbers = npt.NDArray[np.float64]
_SAMPLE = 256  # at least so many users, or items, over which a network's scores are averaged


def item_biases(recommender: Recommender, popular: int = 1000) -> pd.DataFrame:
    """List the `popular` items with the most ratings, the item with the highest bias first.

    The bias says how much everyone likes an item, whatever their taste. The mean of the item's
    ratings does not say this, because it also depends on who rated the item.

    Columns: item, title, bias, ratings (how many), and mean (of the ratings; a model of choices has
    no such column). The bias is in units of the score. A network has no biases. There, the bias is
    the item's mean score over users minus the mean of this number over all items.
    """
    saved = recommender.saved
    biases, _ = _biases(recommender)
    table = recommender.named(recommender.numbers)
    table = table.assign(bias=biases, **_ratings(recommender, saved.seen_items, len(biases)))
    table = table.iloc[recommender.most_rated(popular) - 1]
    return table.sort_values("bias", ascending=False, kind="stable", ignore_index=True)


def user_biases(recommender: Recommender) -> pd.DataFrame:
    """List the users who have ratings, the user with the highest bias first.

    Columns: user, bias, ratings and mean as in `item_biases`, then the metadata of the users.
    """
    import pandas as pd

    saved = recommender.saved
    _, biases = _biases(recommender)
    table = pd.DataFrame({"user": saved.user_ids.names, "bias": biases})
    table = table.assign(**_ratings(recommender, saved.seen_users, len(biases)))
    if saved.users is not None:
        known = saved.users.reindex(table["user"]).reset_index(drop=True)
        table = table.join(known[known.columns.difference(table.columns, sort=False)])
    table = table[table["ratings"] > 0]
    return table.sort_values("bias", ascending=False, kind="stable", ignore_index=True)


def _biases(recommender: Recommender) -> tuple[Numbers, Numbers]:
    """(of items, of users), number 1 first."""
    model = recommender.saved.model
    if isinstance(model, DotBias):
        of_items, of_users = (model.rows(side)[1:, -1].double() for side in ("items", "users"))
        return of_items.numpy(), of_users.numpy()
    items = torch.from_numpy(recommender.numbers)
    users = torch.arange(1, len(recommender.saved.user_ids))
    liking = _scores(model, _sample(users), items).mean(0)
    giving = _scores(model, users, _sample(items)).mean(1)
    return liking - liking.mean(), giving - giving.mean()


def _sample(numbers: Tensor) -> Tensor:
    """A sample, evenly spaced."""
    return numbers[:: max(1, len(numbers) // _SAMPLE)]


def _scores(model: Model, users: Tensor, items: Tensor) -> Numbers:
    """(users, items) of all pairs."""
    pairs = users.repeat_interleave(len(items)), items.repeat(len(users))
    return predict_scores(model, *pairs).view(len(users), len(items)).double().numpy()


def _ratings(recommender: Recommender, whose: Rows, n: int) -> dict[str, Numbers | Rows]:
    """How many ratings each of n users or items has, and their mean unless they are choices."""
    counts = np.bincount(whose, minlength=n + 1)[1:]
    if recommender.saved.implicit:
        return {"ratings": counts}
    sums = np.bincount(whose, recommender.saved.seen_values, minlength=n + 1)[1:]
    return {"ratings": counts, "mean": sums / np.maximum(counts, 1)}


@dataclass(frozen=True)
class Components:
    """The principal components of the items' factors: the axes along which tastes differ most.

    `table` has item, title, ratings and a column for each component (1, 2, ...); `shares` (n,) of
    the variance they hold. Which end is the positive one means nothing.
    """

    table: pd.DataFrame
    shares: Numbers

    @property
    def names(self) -> list[str]:
        """Of the components' columns."""
        return [str(number) for number in range(1, len(self.shares) + 1)]


def components(recommender: Recommender, n: int = 3, popular: int = 1000) -> Components:
    """The first `n` components of the factors of the `popular` items rated most (biases left
    out)."""
    from sklearn.decomposition import PCA

    most = recommender.most_rated(popular)
    factors = recommender.factors[most - 1].astype(np.float64)
    pca = PCA(min(n, *factors.shape), svd_solver="full")
    places = pca.fit_transform(factors)
    table = recommender.named(most).assign(ratings=recommender.counts[most - 1])
    for i, column in enumerate(places.T, 1):
        table[str(i)] = column
    return Components(table, np.asarray(pca.explained_variance_ratio_))
