"""Census Income ("Adult") as its publisher has it: two files without a header.

    39, State-gov, 77516, Bachelors, 13, ..., United-States, <=50K

The columns have the names of adult.names; the last, which has none there, is `salary` as in
fast.ai's ADULT_SAMPLE. The labels stay the publisher's, "<=50K" and ">50K" (fast.ai calls them
"<50k" and ">=50k", which is not what they mean). "?" is a missing value. In adult.test the first
line is a comment and each label ends in a full stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.data.named.places import Files, Reader
from hpsearch.data.own.typed_columns import to_frame
from hpsearch.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = (
    "age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week",
)  # fmt: skip
COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation",
    "relationship", "race", "sex", "capital-gain", "capital-loss", "hours-per-week",
    "native-country", "salary",
)  # fmt: skip
LABELS = ("<=50K", ">50K")


def read_adult(files: Files, where: str) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """(the rows of adult.data, those of adult.test if it is there), 15 columns each."""
    if "adult.data" not in files:
        raise InputError(
            f"{where} has no adult.data: give Adult's folder or zip, or a CSV or Parquet file."
        )
    test = files.get("adult.test")
    train = _read(files["adult.data"], f"{where}, adult.data")
    return train, None if test is None else _read(test, f"{where}, adult.test")


def _read(content: bytes, where: str) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pa_csv

    if content.startswith(b"|"):
        content = content.partition(b"\n")[2]
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(content.replace(b", ", b",")),
            read_options=pa_csv.ReadOptions(column_names=COLUMNS),
            parse_options=pa_csv.ParseOptions(quote_char=False),
            convert_options=pa_csv.ConvertOptions(
                column_types={
                    name: pa.int64() if name in NUMBERS else pa.large_string() for name in COLUMNS
                },
                null_values=["?"],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        raise InputError(f"{where} is damaged or not the data set's: get it again.") from error
    label = pc.utf8_rtrim(table["salary"], ".")
    if not set(label.unique().to_pylist()) <= set(LABELS):
        raise InputError(f"{where} has labels other than {' and '.join(LABELS)}: get it again.")
    return to_frame(table.set_column(14, "salary", label))


READER = Reader(("adult.data", "adult.test"), read_adult)
