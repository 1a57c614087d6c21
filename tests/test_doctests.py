"""The examples in docstrings give what they say, each in an empty folder of its own."""

import doctest
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

import hpsearch
from hpsearch.analysis import Explanation

ROOT = Path(hpsearch.__file__).parent
MODULES = sorted(
    ".".join(("hpsearch", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
    if ">>> " in path.read_text("utf-8")
)
ON_AN_EXPLANATION = tuple(
    f"hpsearch.analysis.{name}" for name in ("explanation", "plotted", "results")
)
"""The examples of methods there go on from the example of the class Explanation."""


@cache
def explained():
    """The names that a reader has who typed the example of Explanation."""
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(Explanation, globs={})
    result = doctest.DocTestRunner().run(example, clear_globs=False)
    assert result.failed == 0
    return {name: example.globs[name] for name in ("study", "explanation")}


@pytest.mark.parametrize("module", MODULES)
def test_examples(module, tmp_path, monkeypatch):
    monkeypatch.delenv("HPSEARCH_STORAGE", raising=False)
    monkeypatch.setenv("HPSEARCH_HOME", str(tmp_path / "home"))
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    known = {"hpsearch": hpsearch} | (explained() if module in ON_AN_EXPLANATION else {})
    tests = doctest.DocTestFinder().find(import_module(module), extraglobs=known)
    for number, test in enumerate(one for one in tests if one.examples):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        result = runner.run(test)
        assert result.failed == 0, f"{test.name}: see what was printed"
