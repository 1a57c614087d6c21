"""What stands in users' databases is named once."""

import ast
from pathlib import Path

import pytest

import hpsearch
from hpsearch.store.tables import attributes, schema
from hpsearch.store.tables.migrate import VERSION_TABLE

SOURCES = Path(hpsearch.__file__).parent
NAMES_THEM = SOURCES / "store" / "tables" / "attributes.py"
TABLES = {VERSION_TABLE, "uq_hps_epoch_trial_epoch", *schema.metadata.tables}


def spelled(path: Path) -> list[str]:
    """The texts of a module that begin with hps_ and are the name of no table."""
    texts = (
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    return [text for text in texts if text.startswith(attributes.PREFIX) and text not in TABLES]


@pytest.mark.parametrize("folder", sorted(p.name for p in SOURCES.iterdir() if p.is_dir()))
def test_one_module_spells_the_attributes(folder):
    modules = (path for path in (SOURCES / folder).rglob("*.py") if "migrations" not in path.parts)
    found = {str(path): spelled(path) for path in modules if path != NAMES_THEM and spelled(path)}
    assert found == {}
    assert len(spelled(NAMES_THEM)) > 20
