"""Archives and files that are damaged or hostile: refused in one sentence, nothing written."""

import io
import os
import pickle
import tarfile
import zipfile

import pytest

from hpsearch.errors import InputError
from hpsearch.trainers.text.language_model import fastai_files
from hpsearch.trainers.text.language_model.pretrained import load_pretrained


def refused(place, *words):
    with pytest.raises(InputError) as caught:
        load_pretrained(str(place))
    assert "\n" not in str(caught.value)
    for word in words:
        assert str(word) in str(caught.value)


def member(name, **attributes):
    info = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


def write_tgz(path, *members):
    with tarfile.open(path, "w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_weights(folder, content):
    folder.mkdir()
    (folder / "lstm_fwd.pth").write_bytes(content)
    (folder / "itos_wt103.pkl").write_bytes(pickle.dumps(["xxunk"]))
    return folder


def test_an_archive_cut_short_or_of_another_kind_is_refused(tmp_path):
    path = write_tgz(tmp_path / "model.tgz", (member("lstm_fwd.pth"), os.urandom(5_000)))
    content = path.read_bytes()
    for length in (0, 5, 100, len(content) // 2, len(content) - 20):
        path.write_bytes(content[:length])
        refused(path, path)
    path.write_bytes(b"<html>Log in first</html>")
    refused(path, "damaged or not a .tgz")
    middle = len(content) // 2
    path.write_bytes(content[:middle] + b"\0" * 20 + content[middle + 20 :])
    refused(path, path)


@pytest.mark.parametrize("name", ["../lstm_fwd.pth", "/tmp/lstm_fwd.pth", "a/../../lstm_fwd.pth"])
def test_a_path_that_leads_out_of_the_archive_is_refused(tmp_path, name):
    path = write_tgz(tmp_path / "model.tgz", (member(name), b"weights"))
    refused(path, "leads out of the archive")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.tgz"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_not_followed(tmp_path, kind):
    link = member("lstm_fwd.pth", type=kind, linkname="/etc/passwd")
    tokens = (member("itos_wt103.pkl"), pickle.dumps(["xxunk"]))
    refused(write_tgz(tmp_path / "model.tgz", (link, b""), tokens), "holds no lstm_fwd.pth")


def test_what_unpacks_to_more_than_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(fastai_files, "MOST_BYTES", 1 << 20)
    zeros = b"\0" * (2 << 20)
    path = write_tgz(tmp_path / "large.tgz", (member("lstm_fwd.pth"), zeros))
    refused(path, "lstm_fwd.pth", "2,097,152 bytes")
    many = [(member(f"other{i}"), zeros[: 1 << 19]) for i in range(4)]
    refused(write_tgz(tmp_path / "many.tgz", *many), "unpacks to more than 1,048,576 bytes")
    header = member("lstm_fwd.pth", pax_headers={"comment": "0" * (2 << 20)})
    refused(write_tgz(tmp_path / "header.tgz", (header, b"x")), "unpacks to more than")
    refused(write_weights(tmp_path / "model", zeros), "lstm_fwd.pth", "2,097,152 bytes")


def test_weights_that_are_packed_zeros_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(fastai_files, "MOST_BYTES", 1 << 20)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", b"\0" * (4 << 20))
    refused(write_weights(tmp_path / "model", file.getvalue()), "unpacks to 4,194,304 bytes")
