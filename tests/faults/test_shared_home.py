"""One HPSEARCH_HOME for several users and processes: what another owns, locks, or left when killed.

The ordinary user is `nobody`: a process that was root's while it imported everything and ran each
command once, since Python itself may lie where only root can read.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from run_processes import wait_until
from tiny_table import write_table

from hpsearch.data.cache.stages import cached_stage

as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user"
)
BUILD = """
import encodings.ascii, filelock, json, os, sys, time
from pathlib import Path
from hpsearch.errors import HpsearchError
from hpsearch.data.cache.stages import cached_stage

def become_nobody():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)

def build(folder, key="shared", seconds=0.0):
    def fill(place):
        with Path(folder, "journal").open("a") as journal:
            journal.write(f"{os.getpid()}\\n")
        (place / "half").write_text("half")
        time.sleep(seconds)
        (place / "whole").write_text(key)
    return cached_stage("fake", {"key": key}, fill)
"""


def start(folder, code, **variables):
    """A process that runs BUILD and then `code`, with its own HPSEARCH_HOME in the folder."""
    environment = {**os.environ, "HPSEARCH_HOME": str(folder / "home"), **variables}
    return subprocess.Popen(
        [sys.executable, "-c", f"{BUILD}\nfolder = {str(folder)!r}\n{code}"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finished(process):
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder that everybody may look into, with a home in it."""
    for place in (tmp_path, *tmp_path.parents):
        with contextlib.suppress(PermissionError):
            if place.name.startswith(("bt-", "pytest-", "test_", "hpsearch-test-")):
                place.chmod(0o755)
    (tmp_path / "home" / "stages").mkdir(parents=True)
    (tmp_path / "journal").touch()
    (tmp_path / "journal").chmod(0o666)
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    return tmp_path


def builders(folder):
    return [int(line) for line in (folder / "journal").read_text().split()]


def test_of_those_who_wait_for_a_builder_that_is_killed_one_builds(folder):
    """Once more, and whole; nothing that was half built is left, and nobody waits for ever."""
    slow = start(folder, "build(folder, seconds=60)")
    wait_until(lambda: builders(folder), "the first builder")
    waiting = [start(folder, "print(json.dumps(str(build(folder, seconds=0.5))))") for _ in "ab"]
    time.sleep(3)  # they have come to the lock, or come to it when it is free: both must do
    assert all(one.poll() is None for one in waiting)
    assert builders(folder) == [slow.pid]
    slow.send_signal(signal.SIGKILL)
    places = {finished(one) for one in waiting}
    slow.communicate()
    assert len(places) == 1
    assert len(builders(folder)) == 2
    assert builders(folder)[1] in {one.pid for one in waiting}
    assert (Path(places.pop()) / "whole").read_text() == "shared"
    stages = [one.name for one in (folder / "home" / "stages").iterdir()]
    assert not [name for name in stages if name.endswith(".part")]


def test_a_builder_that_fails_lets_the_next_one_build(folder):
    with pytest.raises(RuntimeError, match="no luck"):
        cached_stage("fake", {"key": "shared"}, lambda place: exec("raise RuntimeError('no luck')"))
    place = finished(start(folder, "print(json.dumps(str(build(folder))))"))
    assert (Path(place) / "whole").read_text() == "shared"


@as_root
def test_what_one_user_built_another_reads(folder):
    """With the usual umask: files that all may read, and folders that one may write to."""
    place = finished(start(folder, "os.umask(0o022); print(json.dumps(str(build(folder))))"))
    code = """
build(folder)  # everything is imported
become_nobody()
place = build(folder)
text = (place / "whole").read_text()
try:
    build(folder, key="another")
except HpsearchError as error:
    print(json.dumps([str(place), text, str(error)]))
"""
    same, text, error = finished(start(folder, code))
    assert (same, text) == (place, "shared")
    assert "cannot be written: Permission denied" in error
    assert "HPSEARCH_HOME" in error
    assert "\n" not in error


@as_root
def test_what_another_users_killed_process_left_stops_nobody(folder):
    """In a home that all may write to: its lock, and its half of a stage, belong to root."""
    (folder / "home" / "stages").chmod(0o777)
    killed = start(folder, "os.umask(0o022); build(folder, seconds=60)")
    wait_until(lambda: builders(folder), "the first builder")
    waiting = start(
        folder,
        "build(folder, key='warm'); become_nobody(); Path(folder, 'journal').open('a');"
        "print(json.dumps(str(build(folder))))",
    )
    wait_until(lambda: len(builders(folder)) == 2, "the second process")
    time.sleep(1)
    assert waiting.poll() is None, waiting.communicate()  # another user's lock holds, too
    killed.kill()
    killed.communicate()
    place = Path(finished(waiting))
    assert (place / "whole").read_text() == "shared"
    assert place.stat().st_uid == 65534
    again = finished(start(folder, "print(json.dumps(str(build(folder))))"))
    assert again == str(place)
    assert len(builders(folder)) == 3


COMMANDS = """
from typer.testing import CliRunner
from hpsearch.cli.app import app

def typed(line):
    done = CliRunner().invoke(app, line.split())
    error = done.exception
    expected = error is None or isinstance(error, (SystemExit, HpsearchError))
    return [done.exit_code, str(error) if error else done.output, expected]

def run(store):
    return f"run study.toml --preset quick --trials 2 --workers 1 --storage sqlite:///{store}"

os.chdir(folder)
Path(folder, "warm").mkdir()
os.environ["HPSEARCH_DEVICE"] = "cpu"
typed(run("warm/store.db"))
for line in ("train study.toml --preset quick --output warm/model", "data list", "studies",
             "explain --storage sqlite:///warm/store.db", "doctor --storage sqlite:///warm/store.db"):
    typed(line)
Path(folder, "nobodys").mkdir()
os.chown(Path(folder, "nobodys"), 65534, 65534)
become_nobody()
"""


@as_root
def test_an_ordinary_user_works_with_a_home_that_he_may_only_read(folder):
    """What was prepared is taken from there; checkpoints are done without; results are the same."""
    write_table(folder)
    code = (
        COMMANDS
        + """
ran = typed(run("nobodys/store.db"))
trained = typed("train study.toml --preset quick --output nobodys/model")
refused = typed("train study.toml --preset quick --output refused")
own = typed(run("own.db"))
mended = typed("doctor --mend --storage sqlite:///warm/store.db")
explained = typed("explain --storage sqlite:///warm/store.db")
from hpsearch.store import Store
with Store.open("sqlite:///nobodys/store.db") as store:
    events = [row["kind"] for row in store.events("mine-quick")]
print(json.dumps([ran, trained, refused, own, mended, explained, events]))
"""
    )
    ran, trained, refused, own, mended, explained, events = finished(start(folder, code))
    assert ran[0] == 0, ran
    assert "2 complete" in ran[1]
    assert events.count("no-checkpoints") == 2
    assert trained[0] == 0, trained
    assert refused[1] == "refused cannot be written: Permission denied."
    assert "cannot be made" in own[1]
    assert "is not yours to write in; name another place with --storage" in own[1]
    assert "is read-only" in mended[1]
    assert explained[0] in (0, 1)  # two trials support no rule: it says so
    assert all(one[2] for one in (ran, trained, refused, own, mended, explained))
    assert not (folder / "refused").exists()


@as_root
def test_a_home_that_nobody_may_look_into_is_one_sentence(folder):
    """run, train, data and doctor "failed unexpectedly (PermissionError)"."""
    write_table(folder)
    code = (
        COMMANDS
        + """
os.environ["HPSEARCH_HOME"] = str(Path(folder, "closed", "home"))
lines = (run("nobodys/store.db"), "train study.toml --preset quick --output nobodys/model",
         "data list", "data fetch adult", "pretrain people.csv --text left --name mine",
         "doctor --storage sqlite:///nobodys/store.db", "studies", "data show study.toml")
print(json.dumps([typed(line) for line in lines]))
"""
    )
    (folder / "closed").mkdir(mode=0o700)
    answers = finished(start(folder, code))
    assert all(expected for _, _, expected in answers), answers
    for status, sentence, _ in answers[:5]:
        assert status == 1
        assert sentence.startswith(f"The cache folder {folder / 'closed' / 'home'} cannot be read")
        assert "\n" not in sentence
    assert "There is no store at" in answers[5][1]  # a run that is refused makes none
    assert [status for status, _, _ in answers[5:]] == [1, 0, 0], answers
