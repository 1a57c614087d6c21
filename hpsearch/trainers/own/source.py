"""Whether one's own function is still the same: a digest of its source, and of what it uses there.

Comments, docstrings, blank lines and formatting do not count. Of the function's module those
definitions count that the function reaches by name. What it imports from elsewhere does not.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

Definitions = dict[str, list[ast.stmt]]


def code_digest(function: Callable[..., Any]) -> str | None:
    """A hex digest of the function's source; None where that cannot be read."""
    try:
        module = inspect.getmodule(function)
        text = inspect.getsource(module) if module else ""
        tree = ast.parse(text)
    except (OSError, TypeError, SyntaxError, ValueError):
        return _own_source(function)
    known = dict(_definitions(tree))
    name = getattr(function, "__name__", "")
    if getattr(function, "__qualname__", name) != name or name not in known:
        return _own_source(function)
    reached = _reached(known, name)
    content = [ast.dump(_plain(one)) for key in sorted(reached) for one in known[key]]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()


def _own_source(function: Callable[..., Any]) -> str | None:
    """A digest of the function alone: one of a notebook, one inside another, a lambda where its
    line has no other. Its line may hold more than a lambda: what is beside it does not count."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    kinds: Any = ast.FunctionDef
    if getattr(function, "__name__", "") == "<lambda>":
        kinds = ast.Lambda
    found = [one for one in ast.walk(tree) if isinstance(one, kinds)]
    if not found or (kinds is ast.Lambda and len(found) > 1):
        return None
    text = ast.dump(_plain(found[0]))
    return hashlib.sha256(text.encode()).hexdigest()


def _definitions(tree: ast.Module) -> Iterator[tuple[str, list[ast.stmt]]]:
    """The statements of the module's top level that give each name its value."""
    found: Definitions = {}
    for statement in _top(tree.body):
        for name in _names_given(statement):
            found.setdefault(name, []).append(statement)
    yield from found.items()


def _top(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those below `if` and `try` too; not those of `__main__`."""
    for statement in body:
        if isinstance(statement, ast.If):
            if "__main__" not in ast.dump(statement.test):
                yield from _top([*statement.body, *statement.orelse])
        elif isinstance(statement, ast.Try):
            handled = [one for handler in statement.handlers for one in handler.body]
            yield from _top([*statement.body, *handled, *statement.orelse])
        else:
            yield statement


def _names_given(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(one.asname or one.name).partition(".")[0] for one in statement.names}
    return {
        one.id
        for one in ast.walk(statement)
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
    }


def _reached(known: Definitions, name: str) -> set[str]:
    """The names of the module that its definition `name` uses, directly or through others."""
    reached, new = set[str](), {name}
    while new:
        reached |= new
        used = {
            one.id
            for key in new
            for statement in known[key]
            for one in ast.walk(statement)
            if isinstance(one, ast.Name)
        }
        new = (used & known.keys()) - reached
    return reached


def _plain(statement: ast.AST) -> ast.AST:
    """The statement without docstrings."""
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = node.body[0]
            if ast.get_docstring(node, clean=False) is not None and isinstance(first, ast.Expr):
                node.body = node.body[1:] or [ast.Pass()]
    return statement
