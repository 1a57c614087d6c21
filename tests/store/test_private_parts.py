"""Two modules use private parts of Optuna and scikit-learn, of the versions named here.

A new version may change them without a word. When a pinned version below is not the one in
constraints.txt any more, read what changed in the parts named here, then write the new version.
"""

import ast
import re
from pathlib import Path

import pytest

import hpsearch

SOURCES = Path(hpsearch.__file__).parent
READ_IN = {"optuna": "5.0.0", "scikit-learn": "1.9.1"}
IMPORTED = {
    "store/tables/optuna_private.py": {
        "optuna._transform._SearchSpaceTransform",
        "optuna.storages._cached_storage._CachedStorage",
        "optuna.storages._rdb.models",
    },
    "analysis/surrogate/forest.py": {
        "sklearn.tree._criterion.MSE",
        "sklearn.tree._splitter.BestSplitter",
        "sklearn.tree._tree.DepthFirstTreeBuilder",
        "sklearn.tree._tree.Tree",
    },
}
OF_STUDIES = {"_study_id", "_backend"}
"""What Optuna's studies and caches hold; `optuna_private.study_id` and `engine_of` read it."""


def modules():
    for path in sorted(SOURCES.rglob("*.py")):
        yield str(path.relative_to(SOURCES)), ast.parse(path.read_text(encoding="utf-8"))


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{one.name}" for one in node.names)


def test_each_private_part_has_one_place():
    found = {}
    for name, tree in modules():
        private = {one for one in imports(tree) if re.match(r"(optuna|sklearn)\b.*\._", one)}
        if private:
            found[name] = private
    assert found == IMPORTED


def test_what_studies_hold_is_read_in_one_module():
    found = {
        name
        for name, tree in modules()
        for node in ast.walk(tree)
        if getattr(node, "attr", getattr(node, "value", None)) in OF_STUDIES
    }
    assert found == {"store/tables/optuna_private.py"}


@pytest.mark.parametrize("package", READ_IN)
def test_the_pinned_version_is_the_one_that_was_read(package):
    constraints = SOURCES.parent.joinpath("constraints.txt").read_text(encoding="utf-8")
    (pinned,) = re.findall(rf"^{package}==(\S+)", constraints, re.MULTILINE)
    assert pinned == READ_IN[package], (
        f"constraints.txt pins {package} {pinned}: read what changed in {sorted(IMPORTED)} and "
        "run tests/store and tests/analysis against it, then write its version into READ_IN."
    )
