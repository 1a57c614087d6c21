"""The user's own file: taken as it says, or refused in one sentence with file, column and row."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest

from hpsearch.data import TextDataset, load_text
from hpsearch.errors import InputError

GOOD = [("great", "yes"), ("awful", "no"), ("fine", "yes"), ("dull", "no")]


def load(path: Path, **data: object) -> TextDataset:
    return load_text({"path": str(path), **data}, path=None, progress=lambda *_: None)


def csv_file(folder: Path, content: str | bytes, name: str = "own.csv") -> Path:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def rows_of(dataset: TextDataset) -> list[tuple[str, object, str]]:
    return [
        (text, None if pd.isna(label) else label, split)
        for text, label, split in dataset.table.itertuples(index=False)
    ]


def test_texts_and_labels_stay_what_the_file_says(tmp_path) -> None:
    """What pandas and Arrow guess by default: NA, 1.0, 007 and True must stay themselves."""
    labels = ["NA", "1", "True", "null", "1.0", "007"]
    lines = [f"{n}.50,{label}" for n in range(2) for label in labels]
    dataset = load(csv_file(tmp_path, "\n".join(["text,label", *lines])))
    assert dataset.table["label"].tolist() == labels * 2
    assert dataset.table["text"].tolist() == ["0.50"] * 6 + ["1.50"] * 6
    assert dataset.classes == tuple(sorted(labels))
    assert [str(kind) for kind in dataset.table.dtypes] == ["str"] * 3


def test_quotes_line_ends_and_other_columns(tmp_path) -> None:
    content = '\ufeffid,review,sentiment\r\n1,"a, ""b""\nc",yes\r\n2,d,no\r\n3,e,yes\r\n4,f,no\r\n'
    file = csv_file(tmp_path, content)
    dataset = load(file, text="review", label="sentiment")
    assert rows_of(dataset)[0] == ('a, "b"\nc', "yes", "train")
    assert dataset.source == f"{file} (the study's path)"
    assert dataset.kind == "path"
    assert dataset.note is None


def test_layouts_of_the_same_rows_have_one_fingerprint(tmp_path) -> None:
    frame = pd.DataFrame(GOOD, columns=["text", "label"])
    text = frame.to_csv(index=False)
    frame.to_parquet(tmp_path / "own.parquet")
    frame.astype({"label": "category"}).to_parquet(tmp_path / "category.parquet")
    files = [
        csv_file(tmp_path, text),
        csv_file(tmp_path, text.replace(",", "\t"), "own.tsv"),
        csv_file(tmp_path, text.replace(",", ";"), "semicolon.csv"),
        csv_file(tmp_path, gzip.compress(text.encode()), "own.csv.gz"),
        tmp_path / "own.parquet",
        tmp_path / "category.parquet",
    ]
    loaded = [load(file) for file in files]
    assert len({dataset.fingerprint for dataset in loaded}) == 1
    assert all(rows_of(dataset) == [(*row, "train") for row in GOOD] for dataset in loaded)


def test_the_fingerprint_sees_every_cell() -> None:
    """Moving a character to the next cell or a label to another row changes it."""
    import pyarrow as pa

    from hpsearch.data.text_dataset import fingerprint, make_table

    def mark(texts: list[str], labels: list[str | None]) -> str:
        return fingerprint(make_table(pa.array(texts), pa.array(labels), pa.array(["train"] * 2)))

    marks = [
        mark(["ab", "c"], ["x", "y"]),
        mark(["a", "bc"], ["x", "y"]),
        mark(["ab", "c"], ["y", "x"]),
        mark(["ab", "c"], ["x", ""]),
        mark(["ab", "c"], ["x", None]),
    ]
    assert len(set(marks)) == len(marks)
    assert marks[0] == mark(["ab", "c"], ["x", "y"])


@pytest.mark.parametrize(
    ("labels", "classes"),
    [([1, 0, 1, 0], ("0", "1")), ([True, False] * 2, ("False", "True")), ([1.0, 0, 1, 0], "01")],
)
def test_parquet_labels_that_are_not_strings(tmp_path, labels, classes) -> None:
    frame = pd.DataFrame({"text": list("abcd"), "label": labels})
    frame.to_parquet(tmp_path / "own.parquet")
    assert load(tmp_path / "own.parquet").classes == tuple(classes)


def test_rows_without_a_label_are_unlabelled_and_empty_ones_are_dropped(tmp_path) -> None:
    lines = ["text,label", "a,x", "b,x", "c,y", "d,y", "e,", "  , ", '"f",""']
    dataset = load(csv_file(tmp_path, "\n".join(lines)))
    assert rows_of(dataset)[4:] == [("e", None, "unsup"), ("f", None, "unsup")]
    assert dataset.note == "2 rows without a label; dropped 1 row without text or label"


def test_a_split_column_is_followed(tmp_path) -> None:
    lines = ["text,label,part", "a,x,train", "b,y,Train", "c,x,test", "d,y,test", "e,x,unsup"]
    dataset = load(csv_file(tmp_path, "\n".join(lines)), split="part")
    assert dataset.table["split"].tolist() == ["train", "train", "test", "test", "unsup"]
    assert rows_of(dataset)[4] == ("e", None, "unsup")


def test_several_text_columns_become_fields_of_one_document(tmp_path) -> None:
    """fastai's `mark_fields`: xxbos once, xxfld and a number before each column."""
    from hpsearch.trainers.text.tokens.tokenizer import Tokenizer

    title, body = ["A tale", None, "D", "F", "  "], ["Not bad", "c", "e", None, "NaN"]
    frame = pd.DataFrame({"title": title, "body": body, "label": list("xxyyy")})
    frame.to_parquet(tmp_path / "own.parquet")
    frame.to_csv(tmp_path / "own.csv", index=False)
    for name in ("own.parquet", "own.csv"):
        dataset = load(tmp_path / name, text=["title", "body"])
        texts = dataset.table["text"].tolist()
        assert texts[:2] == ["xxfld 1 A tale xxfld 2 Not bad", "xxfld 1  xxfld 2 c"]
        tokens = [" ".join(Tokenizer().tokens(text)) for text in texts]
        assert tokens == [
            "xxbos xxfld 1 a tale xxfld 2 xxmaj not bad",
            "xxbos xxfld 1 xxfld 2 c",
            "xxbos xxfld 1 d xxfld 2 e",
            "xxbos xxfld 1 f xxfld 2",
            "xxbos xxfld 1 xxfld 2 nan",
        ]


def test_a_row_without_text_in_any_column_is_refused_where_it_has_a_label(tmp_path) -> None:
    lines = ["title,body,label", "A,b,x", ",,x", "D,e,y", ",f,y"]
    with pytest.raises(InputError, match="'title', 'body' has no text in row 2, which has a label"):
        load(csv_file(tmp_path, "\n".join(lines)), text=["title", "body"])


def test_the_data_option_goes_before_the_study(tmp_path) -> None:
    study = csv_file(tmp_path, "text,label\na,x\nb,y\nc,x\nd,y\n")
    option = csv_file(tmp_path, "review,label\ne,x\nf,y\ng,x\nh,y\n", "option.csv")
    data = {"path": str(study), "text": "review"}
    dataset = load_text(data, path=option, progress=lambda *_: None)
    assert dataset.table["text"].tolist() == ["e", "f", "g", "h"]
    assert dataset.source == f"{option} (--data)"


BAD = {
    "no-column": ("review,label\na,x\n", r"no column 'text'; its columns are 'review', 'label'"),
    "near-column": ("Text,label\na,x\n", r"no column 'text' \(did you mean 'Text'\?\)"),
    "same-column": ("text,text,label\na,b,x\n", r"2 columns 'text'"),
    "no-label": ("text,lable\na,x\n", r"no column 'label' \(did you mean 'lable'\?\)"),
    "empty": ("", r"is empty: give a file with the columns 'text', 'label'"),
    "only-header": ("text,label\n", r"a header but no rows"),
    "empty-text": ("text,label\na,x\n,x\nb,y\n,y\n", r"column 'text' has no text in rows 2 and 4"),
    "many-empty": ("text,label\n" + ",x\n,y\n" * 9, r"rows 1, 2, 3 and 15 more, which have labels"),
    "label-once": ("text,label\na,x\nb,x\nc,y\nd,z\n", r"'y', 'z' are labels that occur only once"),
    "one-class": ("text,label\na,x\nb,x\n", r"only the label 'x': a classifier needs two"),
    "no-labels": ("text,label\na,\nb,\n", r"column 'label' has no labels"),
    "ragged": ("text,label\na,x\nb, c,y\n", r"row 2 has 3 columns where the header has 2"),
    "open-quote": ('text,label\na,x\n"b,y\nc,x\n', r"a quote that opens in row 2 is not closed"),
    "latin-1": (b"text,label\na,x\ncaf\xe9,x\n", r"column 'text', row 2 is not UTF-8 text: save"),
    "latin-1-header": (b"t\xe9xt,label\na,x\n", r"a header that is not UTF-8 text: save"),
    "utf-16": ("text,label\na,x\n".encode("utf-16"), r"a header that is not UTF-8 text"),
    "not-gzip": (b"text,label\na,x\n", r"damaged or not in gzip format", "own.csv.gz"),
    "not-parquet": (b"text,label\na,x\n", r"cannot be read as Parquet", "own.parquet"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_what_is_wrong_with_the_file_is_one_sentence(tmp_path, case) -> None:
    content, message, *name = case
    file = csv_file(tmp_path, content, *name)
    with pytest.raises(InputError, match=message) as caught:
        load(file)
    said = str(caught.value)
    assert said.startswith(str(file))
    assert said.endswith(".")
    assert "\n" not in said
    assert len(said.removeprefix(str(file))) < 200
    assert caught.value.exit_status == 2


def test_a_split_that_is_none_or_trains_nothing(tmp_path) -> None:
    lines = ["text,label,part", "a,x,train", "b,y,later", "c,x,test", "d,y,test"]
    with pytest.raises(InputError, match="'later' in row 2: use train, test or unsup"):
        load(csv_file(tmp_path, "\n".join(lines)), split="part")
    lines[2] = "b,y,test"
    with pytest.raises(InputError, match="'y' has no row in the split 'train'"):
        load(csv_file(tmp_path, "\n".join(lines)), split="part")


def test_missing_texts_in_parquet_are_missing_and_not_the_word_nan(tmp_path) -> None:
    frame = pd.DataFrame({"text": ["a", float("nan"), None, "d"], "label": ["x", "x", "y", "y"]})
    frame.to_parquet(tmp_path / "own.parquet")
    with pytest.raises(InputError, match="has no text in rows 2 and 3, which have labels"):
        load(tmp_path / "own.parquet")
    frame["label"] = ["x", None, None, "y"]
    more = pd.concat([frame, frame])
    more.to_parquet(tmp_path / "own.parquet")
    dataset = load(tmp_path / "own.parquet")
    assert dataset.table["text"].tolist() == ["a", "d"] * 2
    assert dataset.note == "dropped 4 rows without text or label"


def test_a_column_of_lists_is_not_text(tmp_path) -> None:
    frame = pd.DataFrame({"text": [["a"], ["b"]], "label": ["x", "y"]})
    frame.to_parquet(tmp_path / "own.parquet")
    with pytest.raises(InputError, match="column 'text' has the type list"):
        load(tmp_path / "own.parquet")


def test_what_is_wrong_with_the_section_is_one_sentence(tmp_path) -> None:
    with pytest.raises(InputError, match=r"does not exist: give the aclImdb folder"):
        load(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match=r"no data source 'imbd': use imdb, rt or newsgroups"):
        load_text({"source": "imbd"}, path=None, progress=lambda *_: None)
    with pytest.raises(InputError, match=r"text in \[data\] names no column"):
        load(tmp_path / "own.csv", text=[])


def test_strange_characters_stay_as_they_are(tmp_path) -> None:
    texts = ["nul \x00 bell \x07", "👍🏽 \u202e", "x" * 100_000, "\x85\xa0."]
    frame = pd.DataFrame({"text": texts, "label": list("abab")})
    frame.to_csv(tmp_path / "own.csv", index=False)
    frame.to_parquet(tmp_path / "own.parquet")
    for name in ("own.csv", "own.parquet"):
        assert load(tmp_path / name).table["text"].tolist() == texts


def test_one_review_as_long_as_a_book(tmp_path) -> None:
    book = "word " * 1_000_000
    file = csv_file(tmp_path, f'text,label\n"{book}",x\nb,y\nc,x\nd,y\n')
    assert len(load(file).table["text"][0]) == 5_000_000
