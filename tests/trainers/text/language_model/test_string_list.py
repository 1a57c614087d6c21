"""A pickled vocabulary is read whatever the protocol, and nothing that is in it ever runs."""

import collections
import copyreg
import os
import pickle
import struct
from pathlib import Path

import pytest

from hpsearch.trainers.text.language_model import fastai_files
from hpsearch.trainers.text.language_model.fastai_files import read_string_list

TOKENS = ["xxunk", "the", "é", "日本", "\n", "\\u0041", "the", "\ud800", "x" * 300]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_list_of_strings_comes_back_from_every_protocol(protocol):
    assert read_string_list(pickle.dumps(TOKENS, protocol)) == TOKENS
    assert read_string_list(pickle.dumps([], protocol)) == []
    many = [f"token {i}" for i in range(5_000)] + TOKENS
    assert read_string_list(pickle.dumps(many, protocol)) == many


class Touch:
    """Unpickling it makes a file, by whichever of its ways pickle was asked to use."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


class TouchState(Touch):
    """The same through __setstate__: the opcode BUILD."""

    def __reduce_ex__(self, protocol):
        return copyreg.__newobj__, (TouchState, None), {"path": self.path}

    def __new__(cls, path):
        return object.__new__(cls)

    def __setstate__(self, state):
        Path(state["path"]).touch()


def attacks(path):
    """Pickles that run code when they are loaded, each through other opcodes."""
    command = f"touch {path}".encode()
    tail = b"(lVa\naVb\na."
    for protocol in (0, 2, 4, 5):
        yield pickle.dumps(Touch(path), protocol)
        yield pickle.dumps(["a", Touch(path)], protocol)
        yield pickle.dumps([TouchState(path)], protocol)
    yield b"cos\nsystem\n(V" + command + b"\ntR0" + tail  # GLOBAL, REDUCE, then an innocent list
    yield b"(V" + command + b"\nios\nsystem\n0" + tail  # INST
    yield b"(cos\nsystem\nV" + command + b"\no0" + tail  # OBJ
    stack_global = b"\x8c\x02os\x8c\x06system\x93"
    yield b"\x80\x04" + stack_global + b"\x8c" + bytes([len(command)]) + command + b"\x85R0]."
    yield b"\x80\x04]" + stack_global + b"\x8c" + bytes([len(command)]) + command + b"\x85Ra."


@pytest.mark.parametrize("index", range(17))
def test_an_attack_that_works_on_pickle_is_refused_here(tmp_path, index):
    pickled = list(attacks(tmp_path / "ran"))[index]
    with pytest.raises(ValueError, match="more than strings"):
        read_string_list(pickled)
    assert not (tmp_path / "ran").exists()
    pickle.loads(pickled)
    assert (tmp_path / "ran").exists()


def test_extension_codes_and_persistent_ids_are_refused():
    copyreg.add_extension("os", "getcwd", 240)
    try:
        pickled = b"\x80\x02\x82\xf0)R."  # EXT1 240, called with no arguments
        assert pickle.loads(pickled) == os.getcwd()  # noqa: PTH109
        with pytest.raises(ValueError, match="EXT1"):
            read_string_list(pickled)
    finally:
        copyreg.remove_extension("os", "getcwd", 240)
    for pickled in (b"Pwhatever\n.", b"Va\nQ."):
        with pytest.raises(ValueError, match="PERSID"):
            read_string_list(pickled)


@pytest.mark.parametrize(
    "content",
    [
        [["a", "b"], "c"],
        ["a", ["b"]],
        ["a", 1],
        ["a", None],
        ["a", b"bytes"],
        ["a", 1.5],
        ("a", "b"),
        {"a": 0},
        "a",
        7,
        collections.OrderedDict(a=1),
        {"a"},
    ],
    ids=repr,
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_anything_but_a_flat_list_of_strings_is_refused(content, protocol):
    with pytest.raises(ValueError, match="it holds") as caught:
        read_string_list(pickle.dumps(content, protocol))
    assert "\n" not in str(caught.value)


def test_a_list_that_holds_itself_is_refused():
    endless = ["a"]
    endless.append(endless)
    with pytest.raises(ValueError, match="other than strings"):
        read_string_list(pickle.dumps(endless))


def test_what_would_fill_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr(fastai_files, "MOST_STRINGS", 1_000)
    with pytest.raises(ValueError, match=r"more than 1,000 strings"):
        read_string_list(pickle.dumps(["a"] * 1_001))
    with pytest.raises(ValueError, match=r"a string of 1,000,000 characters"):
        read_string_list(pickle.dumps(["a" * 1_000_000]))
    # pickle would make room for two thousand million memo entries: 16 GB.
    far = b"\x80\x02](X\x01\x00\x00\x00ar" + struct.pack("<I", 2**31 - 1) + b"e."
    assert read_string_list(far) == ["a"]
    # A string that says it is longer than the file.
    with pytest.raises(ValueError, match="remain"):
        read_string_list(b"\x80\x04]\x8d" + struct.pack("<Q", 2**40) + b"abc.")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_cut_anywhere_is_refused(protocol):
    whole = pickle.dumps(["a", "the", "é"], protocol)
    for length in range(len(whole)):
        with pytest.raises(ValueError):  # noqa: PT011 (which of its reasons does not matter)
            read_string_list(whole[:length])


@pytest.mark.parametrize("damaged", [b"a.", b"e.", b"0.", b"h\x07.", b"]].", b"(.", b"t.", b"\xff"])
def test_a_damaged_pickle_is_refused(damaged):
    with pytest.raises(ValueError):  # noqa: PT011
        read_string_list(damaged)
