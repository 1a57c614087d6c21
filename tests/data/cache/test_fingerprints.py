"""A file's fingerprint is found again as long as nobody touched the file, and no longer."""

import os
import shutil

import pytest

from hpsearch.data import load_ratings, load_table, ratings, tables
from hpsearch.data.cache import fingerprints
from hpsearch.errors import InputError


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(fingerprints, "SETTLED_S", -1e9)
    (tmp_path / "own.csv").write_text("x,y\n1,a\n2,b\n")
    return tmp_path / "own.csv"


def table(file):
    return load_table({"path": str(file)}, path=None, progress=lambda *_: None)


def refuse(*_, **__):
    raise AssertionError("it was read again")


def test_a_table_is_not_read_again_before_somebody_wants_its_rows(file, monkeypatch):
    first = table(file).fingerprint
    with monkeypatch.context() as patched:
        patched.setattr(tables, "read_typed", refuse)
        assert table(file).fingerprint == first
    assert table(file).table["x"].tolist() == [1, 2]


@pytest.mark.parametrize("change", ["same size and time", "replaced", "longer"])
def test_a_change_of_any_kind_is_seen(file, change):
    first, before = table(file).fingerprint, file.stat()
    if change == "replaced":
        shutil.copy(file, other := file.with_name("other"))
        other.write_text("x,y\n1,a\n3,b\n")
        other.replace(file)
    else:
        file.write_text("x,y\n1,a\n3,b\n" + ("4,a\n" if change == "longer" else ""))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert table(file).fingerprint != first


def test_rows_of_another_file_are_never_taken_for_those_of_the_fingerprint(file):
    table(file)
    found = table(file)  # knows the fingerprint only
    file.write_text("x,y\n5,a\n6,b\n")
    with pytest.raises(InputError, match="changed while it was read"):
        _ = found.table


def test_a_file_that_changed_a_moment_ago_is_not_trusted(file, monkeypatch):
    monkeypatch.setattr(fingerprints, "SETTLED_S", 60)
    table(file)
    monkeypatch.setattr(fingerprints, "SETTLED_S", -1e9)
    monkeypatch.setattr(tables, "read_typed", refuse)
    with pytest.raises(AssertionError):
        table(file)


def test_ratings_are_hashed_once(file, monkeypatch):
    def load():
        data = {"path": str(file), "user": "y", "item": "x"}
        return load_ratings(data, path=None, progress=lambda *_: None).fingerprint

    first = load()
    monkeypatch.setattr(ratings, "_fingerprint", refuse)
    assert load() == first
    file.write_text("x,y\n1,a\n2,c\n")
    with pytest.raises(AssertionError):
        load()
