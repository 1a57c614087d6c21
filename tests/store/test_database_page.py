"""docs/database.md is a contract: it names all that stands in users' databases."""

import re
from pathlib import Path

import pytest

from hpsearch.store.tables import attributes, schema
from hpsearch.store.tables.migrate import VERSION_TABLE
from hpsearch.store.tables.optuna_tables import KEYS

PAGE = (Path(__file__).parents[2] / "docs" / "database.md").read_text(encoding="utf-8")
NAMES = {
    value for name, value in vars(attributes).items()
    if name.isupper() and isinstance(value, str) and name != "PREFIX"
}  # fmt: skip


def section(heading):
    found = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", PAGE, re.MULTILINE | re.DOTALL
    )
    assert found, f"docs/database.md has no section {heading}"
    return found[1]


def first_cells(text):
    rows = re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_attribute_stands_there(name):
    assert f"`{name}`" in PAGE


def test_the_page_names_no_attribute_that_there_is_not():
    tables = {*schema.metadata.tables, VERSION_TABLE}
    assert set(re.findall(r"`(hps_\w+)`", PAGE)) - tables == NAMES


@pytest.mark.parametrize("table", schema.metadata.sorted_tables, ids=str)
def test_every_column_of_ours_stands_there(table):
    assert first_cells(section(f"`{table.name}`")) == set(table.c.keys())


def test_every_table_of_optuna_that_is_written_stands_there():
    assert first_cells(section("Optuna's tables")) >= {table.name for table in KEYS}


def test_the_kinds_that_are_checked_are_those_of_the_page():
    kinds = {str: "text", dict: "object", int: "whole number"}
    of_study, of_trial = section("Of a study"), section("Of a trial")
    for page, checked in ((of_study, attributes.REQUIRED), (of_trial, attributes.OF_PLAN)):
        for name, kind in checked.items():
            assert re.search(rf"^\| `{name}` \| {kinds[kind]}\b", page, re.MULTILINE), name
