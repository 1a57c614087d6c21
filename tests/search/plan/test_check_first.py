"""What can be known of all trials is said before the first, and leaves no store behind."""

import pytest
from rich.console import Console

import hpsearch
from hpsearch.errors import InputError

STUDY = """
name = "mine"
trainer = "collab"
{more}
[data]
path = "ratings.csv"
rating = "rating"
[space.y_range]
type = "choice"
choices = {choices}
default = "none"
"""


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """The sentence with which a run of ratings from 1 to 10 is refused."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    rows = [f"{u},{i},{1 + (u + i) % 10}" for u in range(12) for i in range(12)]
    (tmp_path / "ratings.csv").write_text("\n".join(["user,item,rating", *rows]))

    def run(choices, more=""):
        (tmp_path / "study.toml").write_text(STUDY.format(choices=choices, more=more))
        with pytest.raises(InputError) as caught:
            hpsearch.run("study.toml", preset="quick", trials=1, console=Console(quiet=True))
        assert not list(tmp_path.glob("hpsearch.db*"))
        return str(caught.value)

    return run


def test_ratings_outside_a_range_of_the_space(refused):
    said = refused('["none", "auto", "0/5.5"]')
    assert "The ratings go from 1 to 10, but y_range = 0/5.5 keeps predictions between" in said
    assert 'y_range = "auto"' in said


def test_a_metric_that_the_trainer_does_not_measure(refused):
    said = refused('["none"]', 'metric = "rsme"\ndirection = "minimize"')
    assert "metric: 'rsme' is nothing that the trials of mine measure (did you mean rmse?)" in said


def test_a_space_that_cannot_be_is_said_as_early(refused):
    assert "is written low/high" in refused('["none", "wide"]')


def test_a_store_that_cannot_be_made_is_said_before_the_data_is_read(refused, monkeypatch):
    monkeypatch.setattr("hpsearch.store.unmade._is_writable", lambda folder: False)
    assert "is not yours to write in" in refused('["none", "auto"]')
