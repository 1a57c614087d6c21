"""Each journey starts in an empty folder."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from journey import Journey


@pytest.fixture
def me(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Journey(tmp_path)
