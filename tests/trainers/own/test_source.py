"""Whether a function counts as changed: by what decides about its results, and nothing else."""

import importlib.util

import pytest

from hpsearch.trainers.own.source import code_digest

MODULE = '''
"""A module."""
import math
from os import path as place
SCALE = 2
OTHER = 3

def helper(x):
    return SCALE * x

def unused(x):
    return OTHER * x

def objective(x: "float" = 1.0):
    """Says what it does."""
    # a comment
    return helper(math.sin(x))

if __name__ == "__main__":
    print(objective(1))
'''


def digest(folder, text, name="objective"):
    file = folder / f"module_{abs(hash(text))}.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[file.stem] = module  # inspect asks there
    spec.loader.exec_module(module)
    try:
        return code_digest(getattr(module, name))
    finally:
        del sys.modules[file.stem]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a comment", "# another"),
        ("Says what it does.", "Says it otherwise."),
        ("    return helper(math.sin(x))", "\n    return helper(\n        math.sin(x)\n    )"),
        ("OTHER * x", "OTHER + x"),
        ("print(objective(1))", "print(objective(2))"),
    ],
)
def test_what_does_not_decide_about_a_result_does_not_count(tmp_path, old, new):
    assert old in MODULE
    assert digest(tmp_path, MODULE) == digest(tmp_path, MODULE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("math.sin(x)", "math.cos(x)"),
        ("SCALE = 2", "SCALE = 4"),
        ("SCALE * x", "SCALE + x"),
        ("= 1.0)", "= 2.0)"),
        ("import math", "import cmath as math"),
    ],
)
def test_what_the_function_reaches_counts(tmp_path, old, new):
    assert old in MODULE
    assert digest(tmp_path, MODULE) != digest(tmp_path, MODULE.replace(old, new))


def test_a_lambda_is_what_it_computes_whatever_stands_beside_it():
    one = (lambda x: x + 1, 5)[0]
    same = (lambda x: x + 1, 6)[0]
    other = (lambda x: x + 2, 5)[0]
    assert code_digest(one) == code_digest(same) != code_digest(other)


def test_a_function_without_source_has_no_digest():
    made = {}
    exec("def made(x):\n    return x", made)
    assert code_digest(made["made"]) is None
