"""The publisher's layout: the same from a folder and any archive, and no archive does harm."""

from __future__ import annotations

import io
import os
import tarfile
import time
from pathlib import Path

import pytest

from hpsearch.data import load_text, texts
from hpsearch.data.named.imdb import content_key, read_aclimdb
from hpsearch.errors import InputError


def ignore(*_: object) -> None:
    pass


def load(path: Path):
    return load_text({"source": "imdb"}, path=path, progress=ignore)


def write_tree(tree: dict[str, bytes], root: Path) -> Path:
    for name, content in tree.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root / "aclImdb"


def test_folder_and_archives_hold_the_same(reviews, make_tar, tmp_path) -> None:
    folder = write_tree(reviews, tmp_path / "unpacked")
    paths = [folder, folder.parent]
    for suffix, mode in ((".tar.gz", "w:gz"), (".tar.xz", "w:xz"), (".tgz", "w:gz"), (".tar", "w")):
        paths.append(tmp_path / f"reviews{suffix}")
        paths[-1].write_bytes(make_tar(dict(reversed(reviews.items())), mode))
    loaded = [load(path) for path in paths]
    assert len({dataset.fingerprint for dataset in loaded}) == 1
    for dataset in loaded:
        assert dataset.table.equals(loaded[0].table)
        assert dataset.kind == "path"
        assert dataset.source.endswith("(--data)")


def test_rows_are_sorted_by_split_class_and_number(reviews, make_tar, tmp_path) -> None:
    (tmp_path / "a.tar").write_bytes(make_tar(reviews, "w"))
    dataset = load(tmp_path / "a.tar")
    assert dataset.table["text"].tolist()[:4] == [
        "train neg 0: caf\u00e9<br />",
        "train neg 2: caf\u00e9<br />",
        "train neg 10: caf\u00e9<br />",
        "train pos 0: caf\u00e9<br />",
    ]
    assert dataset.table["split"].tolist() == ["train"] * 6 + ["unsup"] * 3 + ["test"] * 6
    assert (dataset.table["label"].isna() == (dataset.table["split"] == "unsup")).all()
    assert dataset.classes == ("neg", "pos")
    assert dataset.note == "not the published reviews but 6 train, 3 unsup, 6 test"


@pytest.mark.parametrize(
    "name", ["../train/pos/1_9.txt", "/train/pos/1_9.txt", "a/../../x", "C:/x"]
)
def test_an_archive_that_leads_out_of_its_folder_is_refused(
    reviews, make_tar, tmp_path, name
) -> None:
    (tmp_path / "evil.tar.gz").write_bytes(make_tar({**reviews, name: b"evil"}))
    with pytest.raises(InputError, match="leads out of the archive's own folder"):
        load(tmp_path / "evil.tar.gz")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["evil.tar.gz", "home"]


def test_links_and_devices_are_passed_over(reviews, make_tar, tmp_path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a text that is not in the archive")
    buffer = io.BytesIO(make_tar(reviews, "w"))
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE), 50):
            member = tarfile.TarInfo(f"aclImdb/train/pos/{number}_9.txt")
            member.type, member.linkname = kind, str(secret)
            archive.addfile(member)
    (tmp_path / "links.tar").write_bytes(buffer.getvalue())
    assert len(load(tmp_path / "links.tar").table) == 15


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w"])
def test_a_truncated_archive_is_one_sentence(reviews, make_tar, tmp_path, mode) -> None:
    large = {name: os.urandom(4_000).hex().encode() for name in reviews}
    content = make_tar(large, mode)
    file = tmp_path / f"cut.tar{mode[1:].replace(':', '.')}"
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="is damaged or not a tar archive"):
        load(file)


def test_a_text_file_named_tar_gz_is_one_sentence(tmp_path) -> None:
    (tmp_path / "page.tar.gz").write_text("<html>Not Found</html>")
    with pytest.raises(InputError, match="is damaged or not a tar archive"):
        load(tmp_path / "page.tar.gz")


def test_an_archive_of_something_else_names_the_way_out(make_tar, tmp_path) -> None:
    (tmp_path / "other.tar").write_bytes(make_tar({"readme": b"hello"}, "w"))
    with pytest.raises(InputError, match="no reviews in train/neg: give the aclImdb folder"):
        load(tmp_path / "other.tar")


def test_reviews_that_are_not_utf8_are_one_sentence(reviews, make_tar, tmp_path) -> None:
    reviews["aclImdb/train/pos/7_9.txt"] = b"caf\xe9"
    (tmp_path / "latin.tar").write_bytes(make_tar(reviews, "w"))
    with pytest.raises(InputError, match="not UTF-8"):
        load(tmp_path / "latin.tar")


def test_a_folder_that_is_not_the_data_set_and_a_missing_path(tmp_path) -> None:
    with pytest.raises(InputError, match="no train/pos and train/neg"):
        load(tmp_path)
    with pytest.raises(InputError, match="does not exist: give the aclImdb folder"):
        load(tmp_path / "nowhere")
    (tmp_path / "notes.docx").write_text("x")
    with pytest.raises(InputError, match="is of no known kind"):
        load(tmp_path / "notes.docx")


def test_the_second_load_reads_no_review(reviews, make_tar, tmp_path, monkeypatch) -> None:
    (tmp_path / "a.tar.gz").write_bytes(make_tar(reviews))
    first = load(tmp_path / "a.tar.gz")
    monkeypatch.setattr(texts.imdb, "read_aclimdb", None)
    (tmp_path / "a.tar.gz").rename(tmp_path / "b.tar.gz")
    second = load(tmp_path / "b.tar.gz")
    assert second.fingerprint == first.fingerprint
    assert second.table.equals(first.table)


def test_a_changed_folder_is_read_again(reviews, tmp_path) -> None:
    folder = write_tree(reviews, tmp_path)
    before = load(folder).fingerprint
    key = content_key(folder)
    time.sleep(0.02)
    (folder / "train/pos/2_9.txt").write_bytes(b"another text")
    assert content_key(folder) != key
    assert load(folder).fingerprint != before


def test_a_damaged_cache_is_rebuilt(reviews, make_tar, tmp_path, empty_home) -> None:
    (tmp_path / "a.tar.gz").write_bytes(make_tar(reviews))
    first = load(tmp_path / "a.tar.gz")
    (kept,) = (empty_home / "data").glob("*.parquet")
    content = bytearray(kept.read_bytes())
    content[10] ^= 0xFF  # in the first page of texts
    kept.write_bytes(content)
    assert load(tmp_path / "a.tar.gz").table.equals(first.table)
    kept.write_bytes(b"")
    assert load(tmp_path / "a.tar.gz").table.equals(first.table)


def test_without_a_writable_cache_the_work_is_done_each_time(
    reviews, make_tar, tmp_path, monkeypatch
) -> None:
    (tmp_path / "a.tar.gz").write_bytes(make_tar(reviews))
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "a.tar.gz" / "below"))
    said: list[str] = []
    path = tmp_path / "a.tar.gz"
    dataset = load_text({"source": "imdb"}, path=path, progress=ignore, say=said.append)
    assert len(dataset.table) == 15
    assert len(said) == 1
    assert "cannot be written to" in said[0]


def test_progress_ends_within_the_total(reviews, make_tar, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(texts.imdb, "EVERY", 1)
    (tmp_path / "a.tar.gz").write_bytes(make_tar(reviews))
    seen: list[tuple[str, float, float]] = []
    read_aclimdb(tmp_path / "a.tar.gz", lambda *step: seen.append(step))
    assert len(seen) == 15
    assert all(what == "reading a.tar.gz" and 0 <= done <= total for what, done, total in seen)
