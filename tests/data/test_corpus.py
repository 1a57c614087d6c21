"""What a language model can be pretrained on: folders, archives, files, known data sets."""

import io
import tarfile
import zipfile

import pytest

from hpsearch.data.corpus import read_corpus
from hpsearch.errors import InputError

TEXTS = {"a/1.txt": "first text", "a/2.txt": "zweiter Text\n", "b/3.txt": "  \n", "b/x.bin": "no"}
READ = ["first text", "zweiter Text\n"]


@pytest.fixture
def folder(tmp_path):
    for name, text in TEXTS.items():
        path = tmp_path / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "corpus"


def test_a_folder_and_its_archives_hold_the_same_documents(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        for name, text in TEXTS.items():
            archive.writestr(name, text)
    with tarfile.open(tmp_path / "c.tar.xz", "w:xz") as archive:
        archive.add(folder, "corpus")
    read = [
        read_corpus(str(place)) for place in (folder, tmp_path / "c.zip", tmp_path / "c.tar.xz")
    ]
    assert [corpus.texts for corpus in read] == [READ] * 3
    assert len({corpus.fingerprint for corpus in read}) == 1


def test_one_file_has_documents_between_empty_lines(tmp_path):
    (tmp_path / "c.txt").write_bytes("one\r\nline two\r\n\r\n\r\nnext".encode("utf-8-sig"))
    assert [text.strip() for text in read_corpus(str(tmp_path / "c.txt")).texts] == [
        "one\nline two",
        "next",
    ]


def test_a_table_needs_no_labels_and_several_columns_become_fields(tmp_path):
    (tmp_path / "c.csv").write_text("title,body\nGood,very good\n,\nBad,\n")
    corpus = read_corpus(str(tmp_path / "c.csv"), text_columns=("title", "body"))
    assert corpus.texts == ["xxfld 1 Good xxfld 2 very good", "xxfld 1 Bad xxfld 2 "]
    dataset = corpus.dataset()
    assert dataset.classes == ()
    assert dataset.table["label"].isna().all()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.txt", None, "does not exist"),
        ("empty.txt", b"", "holds no text"),
        ("latin.txt", "café".encode("latin-1"), "not UTF-8"),
        ("cut.zip", b"PK\x03\x04cut short", "is not whole"),
        ("c.csv", b"review\ngood\n", "no column 'text'"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_corpus(str(tmp_path / name))


def test_an_archive_cut_short_is_one_sentence(folder, tmp_path):
    path = tmp_path / "c.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for i in range(200):
            member = tarfile.TarInfo(f"{i}.txt")
            member.size = 1000
            archive.addfile(member, io.BytesIO(bytes(65 + (i * k) % 26 for k in range(1000))))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="is it whole"):
        read_corpus(str(path))


def test_a_part_is_for_known_data_sets_only(folder):
    with pytest.raises(InputError, match="--split"):
        read_corpus(str(folder), split="unsup")
