"""Labelled texts as files, one folder a class."""

import zipfile

import pytest

from hpsearch.core.console import silent
from hpsearch.data import load_text
from hpsearch.errors import InputError


def load(path, **data):
    return load_text({"path": str(path), **data}, path=None, progress=silent)


@pytest.fixture
def news(tmp_path):
    for label in ("science", "sport"):
        for i in range(3):
            file = tmp_path / "news" / label / f"{i}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"the {label} of day {i}", encoding="utf-8")
    return tmp_path / "news"


def test_a_folder_and_a_zip_of_it_are_one_data_set(news, tmp_path):
    found = load(news)
    assert found.classes == ("science", "sport")
    assert found.table["text"][0] == "the science of day 0"
    assert set(found.table["split"]) == {"train"}
    with zipfile.ZipFile(tmp_path / "news.zip", "w") as archive:
        for file in sorted(news.rglob("*.txt")):
            archive.write(file, file.relative_to(tmp_path))  # below a folder of its own
    assert load(tmp_path / "news.zip").fingerprint == found.fingerprint


def test_folders_may_say_which_texts_are_held_out(news, tmp_path):
    for part in ("train", "test"):
        for file in news.rglob("*.txt"):
            copy = tmp_path / "parts" / part / file.relative_to(news)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(f"{part}: {file.read_text()}")
    table = load(tmp_path / "parts").table
    assert table["split"].value_counts().to_dict() == {"train": 6, "test": 6}
    assert table["text"].str.startswith("test").equals(table["split"] == "test")


def test_what_cannot_be_used_is_said(news):
    (news / "sport" / "empty.txt").write_text(" ")
    with pytest.raises(InputError, match="no text in row 7"):
        load(news)
    assert "left out 1 row: no text (row 7)" in load(news, on_error="skip").note
    (news / "sport" / "empty.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"sport/empty\.txt is not UTF-8"):
        load(news)
