"""A folder of Hugging Face's save_to_disk is read as texts and as a table, without that package."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from saved_dataset import save

from hpsearch.data.tables import load_table
from hpsearch.data.texts import load_text
from hpsearch.errors import InputError

CLASS = {"names": ["neg", "pos"], "_type": "ClassLabel"}


def reviews(labels):
    words = [f"a film {'good' if label == 1 else 'bad'} in every way" for label in labels]
    return pa.table({"text": words, "label": pa.array(labels, pa.int64())})


@pytest.fixture
def imdb(tmp_path):
    """Three splits, as the IMDb reviews have there: the unlabelled ones say -1."""
    features = {"text": {"dtype": "string", "_type": "Value"}, "label": CLASS}
    for name, labels in (("train", [0, 1] * 10), ("test", [1, 0] * 5), ("unsupervised", [-1] * 4)):
        save(tmp_path / "imdb" / name, reviews(labels), features, parts=2)
    names = ["train", "test", "unsupervised"]
    (tmp_path / "imdb/dataset_dict.json").write_text(json.dumps({"splits": names}))
    return tmp_path / "imdb"


def texts(path):
    return load_text({"path": str(path)}, path=None, progress=lambda *_: None)


def test_texts_have_the_names_of_their_classes_and_their_splits(imdb):
    table = texts(imdb).table
    assert set(table[table["split"] == "train"]["label"]) == {"neg", "pos"}
    assert table["split"].value_counts().to_dict() == {"train": 20, "test": 10, "unsup": 4}
    good = table[table["label"] == "pos"]["text"]
    assert all("good" in text for text in good)


def test_a_single_split_is_a_data_set(tmp_path):
    save(tmp_path / "one", reviews([0, 1] * 6), {"label": CLASS})
    assert len(texts(tmp_path / "one").table) == 12


def test_of_a_table_the_test_split_is_set_apart(tmp_path):
    rows = pa.table({"age": list(range(30)), "left": ["yes", "no"] * 15})
    for name in ("train", "validation", "test"):
        save(tmp_path / "people" / name, rows)
    (tmp_path / "people/dataset_dict.json").write_text(
        json.dumps({"splits": ["train", "validation", "test"]})
    )
    data = {"path": str(tmp_path / "people")}
    found = load_table(data, path=None, progress=lambda *_: None)
    assert (len(found.table), len(found.test)) == (60, 30)
    assert list(found.table.columns) == ["age", "left"]


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (lambda f: (f / "state.json").write_text("{"), "state.json cannot be read"),
        (lambda f: (f / "state.json").write_text("{}"), "names no files"),
        (
            lambda f: (f / "state.json").write_text(
                json.dumps({"_data_files": [{"filename": "../../secret.arrow"}]})
            ),
            "lies in no folder of its own",
        ),
        (lambda f: (f / "data-00000-of-00001.arrow").write_bytes(b"x"), "cannot be read as Arrow"),
        (lambda f: (f / "data-00000-of-00001.arrow").unlink(), "cannot be read as Arrow"),
    ],
)
def test_a_folder_that_is_not_whole_is_said_in_a_sentence(tmp_path, break_it, why):
    save(tmp_path / "one", reviews([0, 1] * 6), {"label": CLASS})
    break_it(tmp_path / "one")
    with pytest.raises(InputError, match=why):
        texts(tmp_path / "one")
