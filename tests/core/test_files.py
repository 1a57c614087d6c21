"""What killed processes left is found, whatever others do in the folder meanwhile."""

import os
from pathlib import Path

from hpsearch.core.files import LONG_AGO_S, unfinished_files


def test_a_file_that_another_process_removes_meanwhile_hides_no_other(tmp_path, monkeypatch):
    gone, left = (tmp_path / f".rules.json.{'0' * 8}-7-{one * 12}.part" for one in "ab")
    for path in (gone, left):
        path.touch()
        os.utime(path, (0, path.stat().st_mtime - LONG_AGO_S - 1))
    look = Path.lstat
    monkeypatch.setattr(Path, "lstat", lambda path: look(path / "no" if path == gone else path))
    assert unfinished_files(tmp_path) == [left]
