"""The commands on a trained recommender: recommend and interpret."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

import hpsearch
from hpsearch.cli.options import NewItems, NewUsers
from hpsearch.cli.output import console, notes
from hpsearch.core.console import new_table, print_lines, say, shown_progress
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from hpsearch.trainers.collab.recommender.interpret import Components

Model = Annotated[
    Path, typer.Argument(help="A folder that train wrote of collaborative filtering.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command(
        epilog="Examples: [bold]hpsearch recommend model --user 14[/]; "
        "[bold]hpsearch recommend model --ratings mine.csv --top 20[/]; "
        "[bold]hpsearch recommend model --like 'Toy Story'[/]; "
        "[bold]hpsearch recommend model --all-users --output all.parquet[/]"
    )(recommend)
    app.command(epilog="Example: [bold]hpsearch interpret model --output tastes[/]")(interpret)


def recommend(
    model: Model,
    user: Annotated[str | None, typer.Option(help="For a user of the training ratings.")] = None,
    ratings: Annotated[
        Path | None,
        typer.Option(
            help="For somebody new: their ratings, a CSV or Parquet file with a column item (of "
            "ids or titles) or title, and a column rating."
        ),
    ] = None,
    like: Annotated[
        str | None, typer.Option(help="The items most like this one: its id or title.")
    ] = None,
    all_users: Annotated[
        bool, typer.Option("--all-users", help="For every user of the model; needs --output.")
    ] = False,
    users: NewUsers = None,
    items: NewItems = None,
    top: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    output: Annotated[
        Path | None, typer.Option(help="Write to this .csv, .json or .parquet.")
    ] = None,
) -> None:
    """Recommend what was not rated yet, with the prediction and the rated item most like it."""
    from hpsearch.core.words import how_many
    from hpsearch.data.write_tables import check_output, write_table
    from hpsearch.trainers.collab.recommender.rated_items import known_answers

    if sum(given is not None for given in (user, ratings, like)) + all_users != 1:
        raise InputError("Give one of --user, --ratings, --like and --all-users.")
    if all_users and output is None:
        raise InputError("--all-users needs --output: a .csv, .json or .parquet for the rows.")
    check_output(output)
    recommender = hpsearch.load_recommender(model, users=users, items=items)
    if all_users:
        with shown_progress(notes) as progress:
            found = recommender.for_everyone(top, progress)
        title = "For everyone"
    elif like is not None:
        found = recommender.similar(like, top)
        title = f"Most like {recommender.titles[recommender.finder.find(like).number - 1]}"
    elif user is not None:
        found, title = recommender.for_user(user, top), f"For user {user}"
    else:
        assert ratings is not None
        rated, values = known_answers(recommender, ratings, _note)
        found = recommender.for_ratings(rated, values, top)
        what = "choice" if recommender.saved.implicit else "rating"
        these = "this" if len(rated) == 1 else "these"
        title = f"For somebody with {these} {how_many(len(rated), what)}"
    if found.empty:
        raise InputError("There is nothing left to recommend: everything has been rated.")
    if output is not None:
        write_table(found, output)
        whom = f" for {found['user'].nunique():,} users" if all_users else ""
        say(console, f"Wrote {len(found):,} items{whom} to {output}")
        return
    print_lines(console, _items_table(title, _with_reasons(found)))


def interpret(
    model: Model,
    top: Annotated[int, typer.Option(min=1, help="How many of each.")] = 10,
    popular: Annotated[
        int, typer.Option(min=2, help="Only so many items, those rated most.")
    ] = 1000,
    output: Annotated[
        Path, typer.Option(help="Where the map goes: OUTPUT.png and OUTPUT.html.")
    ] = Path("taste-map"),
) -> None:
    """Show what is liked whatever the taste, who rates high, and along which axes tastes differ."""
    from hpsearch.trainers.collab.recommender.interpret import (
        components,
        item_biases,
        user_biases,
    )
    from hpsearch.trainers.collab.recommender.taste_map import draw

    recommender = hpsearch.load_recommender(model)
    items, users = item_biases(recommender, popular), user_biases(recommender)
    found = components(recommender, popular=popular)
    for title, table in (
        ("Liked by everyone, whatever their taste", items.head(top)),
        ("Liked by nobody, whatever their taste", items.tail(top)[::-1]),
        ("Users who rate high, whatever they rate", users.head(top)),
        ("Users who rate low, whatever they rate", users.tail(top)[::-1]),
    ):
        print_lines(console, _items_table(title, table))
        console.print()
    print_lines(console, _components_table(found, top))
    if len(found.shares) < 2:
        _note("There is no map: it needs two components, and the model has one factor.")
        return
    files = draw(found, output, title=f"How tastes differ ({model.name})")
    say(console, f"Wrote {' and '.join(map(str, files))}")


def _note(sentence: str) -> None:
    say(notes, sentence)


def _with_reasons(found: pd.DataFrame) -> pd.DataFrame:
    """Put the reasons into one column, if there are any, and give the columns readable names."""
    if "because_rating" in found:
        rated = [f" ({value:g})" if value == value else "" for value in found["because_rating"]]
        found = found.assign(because=found["because"].fillna("") + rated)
    if "because" in found and not found["because"].any():
        found = found.drop(columns="because")
    found = found.drop(columns="because_rating", errors="ignore")
    return found.rename(columns={"average": "average user", "because": "like your"})


def _items_table(title: str, found: pd.DataFrame) -> Table:
    """Show the table. If the titles equal the ids, the column of titles is left out."""
    if "title" in found and found["title"].equals(found["item"]):
        found = found.drop(columns="title")
    numbers = {name for name in found if found[name].dtype.kind in "iuf"}
    table = new_table(title, *(f">{n}" if n in numbers else n for n in found), wrap=True)
    for row in found.itertuples(index=False):
        table.add_row(*(escape(_cell_text(value)) for value in row))
    return table


def _cell_text(value: object) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _components_table(found: Components, top: int) -> Table:
    """Both ends of each component."""
    table = new_table("Where tastes differ", "component", "at one end", "at the other", wrap=True)
    for name, share in zip(found.names, found.shares, strict=True):
        ends = found.table.sort_values(name, kind="stable")["title"].tolist()
        low, high = ends[:top], ends[: -top - 1 : -1]
        for i, pair in enumerate(zip(low, high, strict=True)):
            head = f"{name} ({share:.0%})" if i == 0 else ""
            table.add_row(head, *map(escape, pair), end_section=i == len(low) - 1)
    return table
