"""Files are written whole, through no link, with the user's mode, and killed writers leave none."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch

from hpsearch.core import files
from hpsearch.data.named.bundles import write_zip
from hpsearch.errors import InputError
from hpsearch.trainers.shared.weights import save_weights

WRITERS = {
    "text": lambda path: files.write_atomically(path, "new"),
    "stream": lambda path: written(path),
    "zip": lambda path: write_zip(path, {"a": b"1"}, "comment"),
    "weights": lambda path: save_weights({"a": torch.zeros(2)}, path),
}


def written(path):
    with files.atomic_file(path) as file:
        file.write(b"new")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=WRITERS)
def write(request):
    return WRITERS[request.param]


def test_no_link_that_waits_there_is_followed(write, tmp_path):
    """What was a link under the name of the temporary file wrote into the file behind it."""
    (tmp_path / "victim").write_text("precious")
    for name in (
        f".out.{os.getpid()}",
        "out.part",
        f"out.{os.getpid()}",
        f".out.{os.getpid()}.part",
    ):
        (tmp_path / name).symlink_to(tmp_path / "victim")
    write(tmp_path / "out")
    assert (tmp_path / "victim").read_text() == "precious"
    assert (tmp_path / "out").stat().st_size > 0


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_umask_says_who_may_read(write, tmp_path, umask):
    before = os.umask(umask)
    try:
        write(tmp_path / "out")
    finally:
        os.umask(before)
    assert mode(tmp_path / "out") == 0o666 & ~umask


def test_a_file_that_is_replaced_keeps_its_mode(write, tmp_path):
    (tmp_path / "out").write_text("old")
    (tmp_path / "out").chmod(0o640)
    write(tmp_path / "out")
    assert mode(tmp_path / "out") == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_is_the_groups_too_where_the_umask_says_so(tmp_path):
    before = os.umask(0o002)
    try:
        with files.atomic_folder(tmp_path / "model") as unfinished:
            (unfinished / "a").write_text("1")
    finally:
        os.umask(before)
    assert mode(tmp_path / "model") == 0o775


def test_a_longest_name_is_written(tmp_path):
    files.write_atomically(tmp_path / ("n" * 255), "whole")
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(InputError, match="cannot be written: File name too long"):
        files.write_atomically(tmp_path / ("n" * 100_000), "")


KILLED = """
import os, sys, time
from pathlib import Path
from hpsearch.core import files
with files.atomic_path(Path(sys.argv[1])) as one, files.atomic_folder(Path(sys.argv[2])) as other:
    one.write_bytes(b"half")
    (other / "half").write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "out"), str(tmp_path / "model")]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b"writing\n"
    left = list(tmp_path.iterdir())
    assert len(left) == 2
    long_ago = time.time() - 3600
    for path in left:
        os.utime(path, (long_ago, long_ago))
    files.write_atomically(tmp_path / "out", "whole")  # its writer lives: it may yet finish
    assert set(left) < set(tmp_path.iterdir())
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    (tmp_path / ".out.other").write_text("somebody's own")
    files.write_atomically(tmp_path / "out", "whole")
    with files.atomic_folder(tmp_path / "model") as unfinished:
        (unfinished / "a").write_text("1")
    assert {path.name for path in tmp_path.iterdir()} == {"out", "model", ".out.other"}


def test_what_another_machine_writes_stays_for_a_day(tmp_path):
    theirs = tmp_path / ".out.00000000-4000000-0123456789ab.part"
    for age, stays in ((3600, True), (2 * 86_400, False)):
        theirs.write_text("half")
        os.utime(theirs, (time.time() - age,) * 2)
        files.write_atomically(tmp_path / "out", "whole")
        assert theirs.exists() is stays


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "out.zip").write_text("old")

    def fail():
        with files.atomic_file(tmp_path / "out.zip") as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (tmp_path / "out.zip").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1
    write_zip(tmp_path / "out.zip", {"a": b"1"}, "x" * 100_000)
    assert zipfile.ZipFile(tmp_path / "out.zip").read("a") == b"1"
    assert Path(tmp_path / "out.zip").is_file()


def test_doctor_removes_what_nobody_writes_again(tmp_path, monkeypatch):
    from hpsearch.store import Store
    from hpsearch.store.doctor import examine

    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "stages").mkdir(parents=True)
    left = []
    for name in ("lm-1", "texts-2"):
        process = subprocess.run(
            [
                sys.executable,
                "-c",
                "from hpsearch.core import files; print(files._unfinished_name('s'))",
            ],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        folder = tmp_path / "home" / "stages" / process.stdout.strip()
        folder.mkdir()
        (folder / name).write_text("half")
        os.utime(folder, (time.time() - 3600,) * 2)
        left.append(folder)
    (tmp_path / "home" / "stages" / ".mine.part").write_text("somebody's own")
    with Store.open(f"sqlite:///{tmp_path}/s.db") as store:
        for mend, fine, there in ((False, False, True), (True, True, False), (False, True, False)):
            found = next(one for one in examine(store, mend=mend) if one.what == "unfinished files")
            assert found.fine is fine
            assert all(folder.exists() is there for folder in left)
    assert (tmp_path / "home" / "stages" / ".mine.part").exists()
