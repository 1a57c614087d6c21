"""What stands above the rows: names, the sign between cells, and lines that are no header."""

import pytest

from hpsearch.data.own.csv_header import read_header
from hpsearch.data.own.typed_columns import read_typed


@pytest.mark.parametrize(
    ("text", "names", "delimiter", "skipped"),
    [
        ("a,b\n1,2\n", ["a", "b"], ",", 0),
        ("a;b (x, y);c\n1;2;3\n4;5;6\n", ["a", "b (x, y)", "c"], ";", 0),
        ("a\tb, or c\n1\t2\n", ["a", "b, or c"], "\t", 0),
        ('text,label\n"one; two",x\nthree; four,y\n', ["text", "label"], ",", 0),
        ("sep=;\na;b\n1;2\n", ["a", "b"], ";", 1),
        ('"sep=|"\na|b\n1|2\n', ["a", "b"], "|", 1),
        ("# of May, by hand\n# twice\na,b\n1,2\n", ["a", "b"], ",", 2),
        ("#a,b\n1,2\n", ["#a", "b"], ",", 0),
        ("\n\na,b\n1,2\n", ["a", "b"], ",", 0),
        ("a\n1\n2\n", ["a"], ",", 0),
    ],
)
def test_the_header_is_found(tmp_path, text, names, delimiter, skipped):
    (tmp_path / "t.csv").write_text(text)
    assert read_header(tmp_path / "t.csv") == (names, delimiter, skipped)
    assert read_typed(tmp_path / "t.csv").columns.tolist() == names


def test_rows_behind_skipped_lines_are_all_read(tmp_path):
    (tmp_path / "t.csv").write_text("# a note\na,b\n1,2\n3,4\n")
    assert read_typed(tmp_path / "t.csv").to_numpy().tolist() == [[1, 2], [3, 4]]
