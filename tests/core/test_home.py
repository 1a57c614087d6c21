"""What lies under HPSEARCH_HOME is named in one module."""

import ast
from pathlib import Path

import hpsearch
from hpsearch.core import home

SOURCES = Path(hpsearch.__file__).parent
FOLDERS = {
    home.DATA_SETS, home.FINGERPRINTS, home.STAGES, home.CHECKPOINTS, home.TRIAL_MODELS,
    home.LANGUAGE_MODELS, home.NAMED_PATHS, home.DEVICE_SPEEDS, home.SET_ASIDE,
}  # fmt: skip


def first_names(tree):
    """What is first put behind the home: names of constants, and texts that stand there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("below", "ensure_home"):
            yield from node.args[:1]
        elif isinstance(node, ast.BinOp) and ast.unparse(node.left) == "home()":
            yield node.right


def test_the_list_of_folders_is_whole():
    assert home.__doc__ is not None
    listed = {line.split()[0] for line in home.__doc__.splitlines() if line.startswith("    ")}
    assert listed == {f"{folder}/" for folder in FOLDERS}


def test_no_other_module_names_a_folder():
    used = 0
    for path in SOURCES.rglob("*.py"):
        for name in first_names(ast.parse(path.read_text(encoding="utf-8"))):
            used += 1
            assert not isinstance(name, ast.Constant | ast.JoinedStr), f"{path}:{name.lineno}"
    assert used > len(FOLDERS)
