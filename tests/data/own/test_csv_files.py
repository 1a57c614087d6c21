"""Quotes that are not closed: found whatever stands around them, and never where all are."""

import csv
import gzip
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpsearch.data.own import csv_files
from hpsearch.data.own.csv_files import check_quotes
from hpsearch.data.own.labelled_texts import Columns, read_table
from hpsearch.data.own.typed_columns import read_typed
from hpsearch.errors import InputError


@pytest.mark.parametrize(
    ("content", "row"),
    [
        ('a,b\n1,"x\n2,y\n', 1),  # to the end of the file
        ('a,b\n1,x\n2,"y\n3,"z"\n', 2),  # to the next cell that has quotes
        ('a,b\n5" disk,"x\n2,y\n', 1),  # behind a quote that is part of a text
        ('a,b\n"1\n2",x\n3,"y', 2),
        ('a,b\r\n1,"x""\r\n2,y\r\n', 1),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_quote_that_is_not_closed_is_found_with_its_row(tmp_path, content, row, packed):
    path = tmp_path / ("t.csv.gz" if packed else "t.csv")
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    with pytest.raises(InputError, match=rf"opens in row {row} is not closed"):
        read_typed(path)


def test_texts_and_ratings_are_looked_at_too(tmp_path):
    (tmp_path / "t.csv").write_text('text,label\ngood,a\nbad,b\nfine,"a\nawful,b\n')
    with pytest.raises(InputError, match="row 3 is not closed"):
        read_table(tmp_path / "t.csv", Columns())
    (tmp_path / "h.csv").write_text('text,"label\ngood,a\n')
    with pytest.raises(InputError):
        read_table(tmp_path / "h.csv", Columns())


@pytest.mark.parametrize(
    "content",
    [
        'a,b\n5",x\n2,y 3"\n',  # inches
        'a,b\n"1", "x"\n2,y\n',  # a blank before a quote
        'a,b\n"1" ,x\n2,y\n',  # and behind one
        '"a","b"\n"x, ""y"" \n z","""q"""\n,\n"",""\n',
        '\ufeff"a","b"\n1,2\n',
        "a,b\n1,2",
    ],
)
def test_other_quotes_are_none_of_our_business(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_text(content)
    check_quotes(path, ",")
    read_typed(path)


CELLS = st.text(st.sampled_from('ab",;\n\r é'), max_size=6)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8), st.integers(1, 7), st.booleans())
def test_what_a_csv_writer_writes_passes_and_what_is_cut_off_in_a_cell_does_not(
    tmp_path_factory, rows, chunk, everywhere
):
    path = tmp_path_factory.getbasetemp() / "written.csv"
    file = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if everywhere else csv.QUOTE_MINIMAL
    csv.writer(file, quoting=quoting).writerows([("a", "b"), *rows])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(csv_files, "CHUNK", chunk)
        path.write_text(file.getvalue(), newline="")
        check_quotes(path, ",")
        path.write_text(file.getvalue() + '"and so', newline="")
        with pytest.raises(InputError, match=f"row {len(rows) + 1} is not closed"):
            check_quotes(path, ",")


@pytest.mark.parametrize(
    "words", [("True", "False"), ("1", "0"), ("valid", "train"), ("dev", "train")]
)
def test_a_split_says_which_texts_are_held_out_in_the_words_of_tables(tmp_path, words):
    held, kept = words
    rows = [f"good {i},pos,{held}\nbad {i},neg,{kept}\nfine {i},pos,{kept}" for i in range(3)]
    (tmp_path / "t.csv").write_text("\n".join(["text,label,is_valid", *rows]))
    table, _ = read_table(tmp_path / "t.csv", Columns(split="is_valid"))
    assert table["split"].to_pylist() == ["test", "train", "train"] * 3


def test_labels_that_differ_by_blanks_are_one_class(tmp_path):
    rows = ["a,pos", "b, pos ", "c,neg", "d,neg "]
    (tmp_path / "t.csv").write_text("\n".join(["text,label", *rows]))
    table, _ = read_table(tmp_path / "t.csv", Columns())
    assert table["label"].to_pylist() == ["pos", "pos", "neg", "neg"]
