"""Stages are built once, by one process, and never half."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from hpsearch.data.cache.stages import cached_stage
from hpsearch.errors import HpsearchError


def _build_slowly(home, started):
    os.environ["HPSEARCH_HOME"] = home

    def build(folder):
        (folder / "made").write_text(str(os.getpid()))
        with Path(started).open("a") as file:
            file.write("x")
        time.sleep(0.5)

    cached_stage("thing", {"a": 1}, build)


def test_two_processes_that_want_one_stage_build_it_once(tmp_path):
    started = tmp_path / "started"
    context = multiprocessing.get_context("spawn")
    arguments = (str(tmp_path / "home"), str(started))
    processes = [context.Process(target=_build_slowly, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert started.read_text() == "x"


def test_a_failed_build_leaves_nothing_and_the_next_one_succeeds(tmp_path, monkeypatch):
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path))

    def fail(folder):
        (folder / "half").write_text("half")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        cached_stage("thing", {"a": 1}, fail)
    assert [p for p in (tmp_path / "stages").iterdir() if p.is_dir()] == []
    folder = cached_stage("thing", {"a": 1}, lambda folder: (folder / "whole").touch())
    assert (folder / "whole").exists()


def test_another_key_is_another_stage(tmp_path, monkeypatch):
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path))
    first = cached_stage("thing", {"a": 1, "b": 2}, lambda folder: None)
    assert cached_stage("thing", {"b": 2, "a": 1}, lambda folder: None) == first
    assert cached_stage("thing", {"a": 1, "b": 3}, lambda folder: None) != first


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "file"))
    with pytest.raises(HpsearchError, match="HPSEARCH_HOME"):
        cached_stage("thing", {}, lambda folder: None)


def test_what_a_killed_build_left_goes_with_the_next(tmp_path, monkeypatch):
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path))

    def die(folder):
        (folder / "half").write_bytes(bytes(1000))
        os._exit(9)

    killed = multiprocessing.get_context("fork").Process(
        target=cached_stage, args=("thing", {"a": 1}, die)
    )
    killed.start()
    killed.join()
    assert list((tmp_path / "stages").rglob("half"))
    folder = cached_stage("thing", {"a": 1}, lambda folder: None)
    assert [one for one in (tmp_path / "stages").iterdir() if one.is_dir()] == [folder]
