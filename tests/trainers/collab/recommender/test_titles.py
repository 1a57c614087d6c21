"""Which item a person means, however they spell it."""

import numpy as np
import pytest

from hpsearch.errors import InputError
from hpsearch.trainers.collab.prepare import Ids
from hpsearch.trainers.collab.recommender.titles import TitleFinder, plain_title

FILMS = {  # title -> how many rated it
    "Toy Story (1995)": 452,
    "Godfather, The (1972)": 413,
    "Godfather: Part II, The (1974)": 209,
    "Sabrina (1995)": 190,
    "Sabrina (1954)": 63,
    "Amélie (Fabuleux destin d'Amélie Poulain, Le) (2001)": 12,
    "Terminator 2: Judgment Day (1991)": 295,
    "Terminator, The (1984)": 301,
    "187 (1997)": 42,
    "Schindler's List (1993)": 298,
    "Fast & Furious": 7,
    "Twin (1999)": 3,
    "Twin (1999) ": 30,
    "Die Hard (1988)": 243,
    "M (1931)": 44,
}


@pytest.fixture
def finder():
    ids = Ids(tuple(str(100 + i) for i in range(len(FILMS))))
    return TitleFinder(ids, [title.strip() for title in FILMS], np.array([*FILMS.values()]))


@pytest.mark.parametrize(
    ("asked", "title"),
    [
        ("Toy Story (1995)", "Toy Story (1995)"),
        ("toy story", "Toy Story (1995)"),
        ("  TOY   story!", "Toy Story (1995)"),
        ("The Godfather", "Godfather, The (1972)"),
        ("godfather", "Godfather, The (1972)"),
        ("Sabrina (1954)", "Sabrina (1954)"),
        ("Amelie", "Amélie (Fabuleux destin d'Amélie Poulain, Le) (2001)"),
        (
            "Le fabuleux destin d'Amelie Poulain",
            "Amélie (Fabuleux destin d'Amélie Poulain, Le) (2001)",
        ),
        ("Schindlers List", "Schindler's List (1993)"),
        ("Schindler\u2019s List", "Schindler's List (1993)"),
        ("Fast and Furious", "Fast & Furious"),
        ("Die Hard", "Die Hard (1988)"),
        ("m", "M (1931)"),
        ("100", "Toy Story (1995)"),  # an id
    ],
)
def test_it_is_found_without_a_doubt(finder, asked, title):
    found = finder.find(asked)
    assert finder.titles[found.number - 1] == title
    assert found.note is None


@pytest.mark.parametrize(
    ("asked", "title"),
    [
        ("Toy Stroy", "Toy Story (1995)"),
        ("Shindler's list", "Schindler's List (1993)"),
        ("terminator 2", "Terminator 2: Judgment Day (1991)"),
        ("the godfather part two", "Godfather: Part II, The (1974)"),
        ("judgment day", "Terminator 2: Judgment Day (1991)"),
        ("Toy Story (1996)", "Toy Story (1995)"),
    ],
)
def test_a_guess_is_said(finder, asked, title):
    found = finder.find(asked)
    assert finder.titles[found.number - 1] == title
    assert found.note == f"{asked!r} was taken for {title}."


def test_two_ids_of_one_title_are_the_one_rated_more(finder):
    found = finder.find("Twin")
    assert finder.counts[found.number - 1] == 30
    assert found.note is None


def test_what_may_be_several_is_said_with_them_most_rated_first(finder):
    with pytest.raises(InputError, match=r"'Sabrina' may be Sabrina \(1995\) or Sabrina \(1954\)"):
        finder.find("Sabrina")
    many = ["Star A", "Star B", "Star C", "Star D", "Star E"]
    finder = TitleFinder(Ids(tuple("12345")), many, np.array([1, 5, 4, 3, 2]))
    with pytest.raises(InputError, match="'star' may be Star B, Star C, Star D or 2 more"):
        finder.find("star")


@pytest.mark.parametrize("asked", ["Citizen Kane", "", "???", "99999"])
def test_what_is_unknown_is_said(finder, asked):
    with pytest.raises(InputError, match="No item that the model knows"):
        finder.find(asked)


def test_a_title_that_is_a_number_is_no_id_where_titles_are_asked_for(finder):
    ids = Ids(("187", "2"))
    finder = TitleFinder(ids, ["Toy Story (1995)", "187 (1997)"], np.array([1, 1]))
    assert finder.find("187").number == 1
    assert finder.find("187", by_id=False).number == 2


def test_plain_titles():
    assert plain_title("Godfather, The") == plain_title("the GODFATHER") == "godfather"
    assert plain_title("Cité des enfants perdus, La") == "la cite des enfants perdus"
    assert plain_title("The") == "the", "an article alone is a title"
