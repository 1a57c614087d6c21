"""`hpsearch data show` of ratings: counted by hand on a file of seven rows."""

import re

import pytest
from rich.console import Console

from hpsearch.study.spec import load_spec
from hpsearch.study.trainers import previewer
from hpsearch.trainers.contract import PrepareSetup

STUDY = """
name = "mine"
trainer = "collab"
metric = "mse"
direction = "minimize"
[data]
path = "ratings.csv"
rating = "stars"
time = "when"
items = "films.csv"
[space.lr]
low = 1e-3
high = 1e-1
default = 5e-3
"""
RATINGS = """user,item,stars,when
ann,x,5,2020-01-01
ann,y,3,2020-01-02
bob,x,4,2020-01-03
bob,z,3,2021-05-05
cat,x,5,2020-02-01
dan,x,1,2020-02-02
eve,y,3,2020-02-03
"""


@pytest.fixture
def shown(tmp_path):
    (tmp_path / "ratings.csv").write_text(RATINGS)
    (tmp_path / "films.csv").write_text(
        "item,title,genres\nx,Xanadu,Musical|Drama\nz,Zorba,Drama\n"
    )

    def show(text=STUDY, rows=2):
        (tmp_path / "study.toml").write_text(text)
        spec = load_spec(tmp_path)
        console = Console(width=200)
        with console.capture() as capture:
            for part in previewer(spec.trainer).preview(
                spec.data, spec.settings, PrepareSetup(data_path=None, device="cpu"), rows
            ):
                console.print(part)
        return capture.get()

    return show


def test_sizes_distribution_and_metadata_are_counted(shown):
    out = shown()
    assert "7 ratings of 5 users and 3 items" in out
    assert "46.67% are there, 53.33% are not" in out  # 7 of 15
    assert re.search(r"^3 +3 +42\.9% *$", out, re.M)
    assert re.search(r"^5 +2 +28\.6% *$", out, re.M)
    assert re.search(r"^Xanadu +4 +3\.75 *$", out, re.M)  # the title, and the mean of 5, 4, 5, 1
    assert re.search(r"^y +2 +3\.00 *$", out, re.M)  # no title is known: its id
    assert "time: 2020-01-01 to 2021-05-05" in out
    assert "ratings of a user: median 1, mean 1, from 1 to 2, 3 with one only" in out
    assert "metadata of 2 of 3 items:" in out
    assert "genres: Drama, Musical" in out
    assert "nothing else is known of the users" in out
    assert len(re.findall(r"^(?:ann|bob|cat|dan|eve) ", out, re.M)) == 2


def test_without_ratings_there_are_choices_and_no_distribution(shown):
    out = shown(STUDY.replace('rating = "stars"\n', ""), rows=0)
    assert "7 choices of 5 users" in out
    assert "Distribution" not in out
    assert "mean" not in out.split("data:")[0]
    assert "rating: " not in out
