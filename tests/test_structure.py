"""The measures of the house: small folders and files, short parameter lists, no circles.

Which folder may import which stands in pyproject.toml; `make lint` checks it.
"""

import ast
from pathlib import Path

import grimp

import hpsearch

PACKAGE = Path(hpsearch.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_MODULES, MOST_LINES, MOST_PARAMETERS = 12, 450, 7

MANY_PARAMETERS = {
    "trainers/text/networks/classifier:TextClassifier.__init__": 8,
    "trainers/text/networks/lstm:_TrainedLSTM.forward": 8,
}
"""Functions with more parameters than MOST_PARAMETERS: this only shrinks."""


def functions(tree, prefix=""):
    """(qualified name, node) of every function, methods and inner ones too."""
    for node in ast.iter_child_nodes(tree):
        name = f"{prefix}{getattr(node, 'name', '')}"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield name, node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from functions(node, f"{name}.")
        else:
            yield from functions(node, prefix)


def parameters(function):
    named = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return len([one for one in named if one.arg not in ("self", "cls")])


def test_a_folder_has_at_most_twelve_modules():
    by_folder = {}
    for path in MODULES:
        if path.name != "__init__.py":
            by_folder.setdefault(path.parent, []).append(path.name)
    full = {str(folder): names for folder, names in by_folder.items() if len(names) > MOST_MODULES}
    assert full == {}


def test_a_file_has_at_most_450_lines():
    long = {str(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {path: lines for path, lines in long.items() if lines > MOST_LINES} == {}


def test_a_function_has_at_most_seven_parameters():
    """Commands and the functions that mirror them excepted: theirs are the options of a command."""
    found = {}
    for path in MODULES:
        place = path.relative_to(PACKAGE)
        if place.parts[0] in ("cli", "api"):
            continue
        for name, function in functions(ast.parse(path.read_text())):
            if parameters(function) > MOST_PARAMETERS:
                found[f"{place.with_suffix('').as_posix()}:{name}"] = parameters(function)
    known = {name: most for name, most in MANY_PARAMETERS.items() if name in found}
    more = {
        name: count for name, count in found.items() if count > known.get(name, MOST_PARAMETERS)
    }
    assert more == {}, "take fewer, or one value that holds them"
    assert known == MANY_PARAMETERS, "take the others off the list: it only shrinks"


def test_no_modules_import_each_other_in_a_circle():
    """Imports inside functions count; those for type checkers alone do not."""
    graph = grimp.build_graph("hpsearch", exclude_type_checking_imports=True, cache_dir=None)
    imported = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    while free := {name for name, below in imported.items() if not below}:
        imported = {name: below - free for name, below in imported.items() if name not in free}
    in_circles = {name: sorted(below) for name, below in imported.items()}
    assert in_circles == {}, "these import each other, or what does"
