"""Several labels a text, in whatever form somebody's file has them."""

import json

import pandas as pd
import pytest

from hpsearch.data.text_dataset import set_of
from hpsearch.data.texts import load_text
from hpsearch.errors import InputError

SETS = [["drama"], ["comedy", "drama"], [], ["comedy"], ["drama", "war"], ["war"]] * 4
WAR = [int("war" in one) for one in SETS]


def texts():
    return [f"a film number {i}" for i in range(len(SETS))]


def read(folder, table, name="films.csv", **data):
    path = folder / name
    table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)
    return load_text({"path": str(path), **data}, path=None, progress=lambda *_: None)


def sets(found):
    return [None if pd.isna(one) else set_of(one) for one in found.table["label"]]


def flags(**changes):
    names = ("comedy", "drama", "war")
    columns = {name: [int(name in one) for one in SETS] for name in names}
    return pd.DataFrame({"text": texts(), **columns, **changes})


FORMS = {
    "bars": (["|".join(one) or "|" for one in SETS], "films.csv", {"label_separator": "|"}),
    "commas": ([", ".join(one) or "," for one in SETS], "films.csv", {"label_separator": ","}),
    "blanks and doubles": (
        ["; ".join([*one, " ", "", *one]) for one in SETS], "films.csv", {"label_separator": ";"},
    ),
    "lists": (SETS, "films.parquet", {}),
    "lists as Python writes them": ([str(one) for one in SETS], "films.csv", {}),
    "lists as JSON has them": ([json.dumps(one) for one in SETS], "films.csv", {}),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_the_labels_of_a_cell_are_the_same_in_every_form(tmp_path, form):
    cells, name, data = FORMS[form]
    found = read(
        tmp_path, pd.DataFrame({"text": texts(), "genres": cells}), name, labels="genres", **data
    )
    assert found.several
    assert found.classes == ("comedy", "drama", "war")
    assert sets(found) == SETS
    assert set(found.table["split"]) == {"train"}
    plain = read(tmp_path, flags(), labels=["war", "comedy", "drama"])
    assert found.fingerprint == plain.fingerprint


@pytest.mark.parametrize(("yes", "no"), [(True, False), (1.0, 0.0), ("yes", "no"), ("1", "0")])
def test_a_column_a_label_may_say_so_in_other_words(tmp_path, yes, no):
    war = pd.Series([yes if "war" in one else no for one in SETS])
    found = read(tmp_path, flags(war=war), labels=["comedy", "drama", "war"])
    assert sets(found) == SETS


def test_an_empty_cell_is_not_labelled_unless_it_means_none(tmp_path):
    table = pd.DataFrame({"text": texts(), "genres": ["|".join(one) for one in SETS]})
    data = {"labels": "genres", "label_separator": "|"}
    found = read(tmp_path, table, **data)
    assert sets(found) == [one or None for one in SETS]
    assert found.table["split"].value_counts().to_dict() == {"train": 20, "unsup": 4}
    assert "4 rows without a label" in found.note
    assert sets(read(tmp_path, table, **data, empty_labels="none")) == SETS
    marks = flags().replace({0: None})
    assert (
        sets(read(tmp_path, marks, labels=["comedy", "drama", "war"], empty_labels="none")) == SETS
    )


def test_a_label_of_one_text_is_said_or_left_out_and_its_text_stays(tmp_path):
    table = pd.DataFrame({"text": texts(), "genres": [*SETS[:-1], ["noir", "war"]]})
    with pytest.raises(InputError, match=r"'noir' is a label of only one text.*--skip-bad-rows"):
        read(tmp_path, table, "films.parquet", labels="genres")
    found = read(tmp_path, table, "films.parquet", labels="genres", on_error="skip")
    assert sets(found) == SETS
    assert found.note == "left out 1 label of one text each ('noir')"


@pytest.mark.parametrize(
    ("changes", "sentence", "left"),
    [
        ({"war": [2, *WAR[1:]]}, "'2' in row 1, where a column of", 23),
        ({"war": [None, *WAR[1:]]}, "are empty in row 1: write 0", 23),
        ({"war": [0] * 24}, "no row has the label 'war'", 24),
    ],
)  # fmt: skip
def test_rows_whose_labels_cannot_be_read_are_said_or_left_out(tmp_path, changes, sentence, left):
    data = {"labels": ["comedy", "drama", "war"]}
    with pytest.raises(InputError, match=sentence):
        read(tmp_path, flags(**changes), **data)
    found = read(tmp_path, flags(**changes), **data, on_error="skip")
    assert len(found.table) == left


@pytest.mark.parametrize(
    ("cells", "data", "sentence"),
    [
        (["a;b"] * 24, {"labels": "g"}, 'as in label_separator = ";"'),
        (["a;b", "a"] * 12, {"labels": "g", "label_separator": "|"}, 'say label_separator = ";"'),
        (["a", "b"] * 12, {"labels": "g", "label_separator": "|"}, 'say label = "g" in the place'),
        (["a|b"] * 24, {"labels": "g", "label_separator": "|"}, "all texts have the same labels"),
        ([""] * 23 + ["|"], {"labels": "g", "label_separator": "|"}, "no row has a label"),
        (["['a']"] * 23 + ["a|b"], {"labels": "g"}, "'a|b' in row 24, which is no list"),
    ],
)
def test_what_does_not_fit_is_said_with_the_way_out(tmp_path, cells, data, sentence):
    with pytest.raises(InputError) as error:
        read(tmp_path, pd.DataFrame({"text": texts(), "g": cells}), **data)
    assert sentence in str(error.value)


def test_a_column_of_lists_is_no_column_of_one_label(tmp_path):
    table = pd.DataFrame({"text": texts(), "g": SETS})
    with pytest.raises(InputError, match='holds lists of labels: say labels = "g"'):
        read(tmp_path, table, "films.parquet", label="g")


def test_a_label_of_the_test_split_alone_cannot_be_learnt(tmp_path):
    table = flags(part=["test" if "war" in one else "train" for one in SETS])
    with pytest.raises(InputError, match="'war' has no row in the split 'train'"):
        read(tmp_path, table, labels=["comedy", "drama", "war"], split="part")
