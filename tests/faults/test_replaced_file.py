"""The SQLite file of a run is replaced by an empty one, or removed, in its middle."""

import os
import sqlite3
import threading

import pytest
from calls import run
from run_processes import entries, wait_until

from hpsearch.store.server.connections import StoreReplacedError


def empty(path):
    other = path.with_suffix(".new")
    other.touch()
    other.replace(path)


def another_store(path):
    other = path.with_suffix(".new")
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE studies (study_id INTEGER)")
    other.replace(path)


@pytest.mark.parametrize("harm", [empty, another_store, os.remove])
def test_a_run_ends_and_says_so(spec, tmp_path, console, harm):
    path = tmp_path / "own.db"

    def meddle():
        wait_until(lambda: len(entries(spec)) >= 2, "the second trial")
        harm(path)

    thread = threading.Thread(target=meddle)
    thread.start()
    with pytest.raises(StoreReplacedError, match=r"own\.db was replaced or removed") as caught:
        run(spec.but(sleep=0.1), trials=30, storage=f"sqlite:///{path}", console=console)
    thread.join()
    assert caught.value.exit_status == 1
    assert "finished" not in console.file.getvalue()
    assert len(entries(spec)) < 10  # not to the end, into a file that nobody finds again
