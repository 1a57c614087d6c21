"""Where a function has asked its trial for everything, so that what follows need not be run."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

TRIAL = "trial"
NO_QUESTIONS = {
    "report", "should_prune", "set_user_attr", "number", "params", "user_attrs", "seed", "device",
    "checkpoint",
}  # fmt: skip
"""What a trial is used for beside asking it for parameters."""
LOOPS = (ast.For, ast.While, ast.AsyncFor)
INNER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
NEVER = 0


def last_question(function: Callable[..., Any]) -> int | None:
    """The last line, in its file, on which the function may ask its trial for a parameter.

    Returns:
        NEVER if it asks for none; None where that cannot be told: its source cannot be read, or it
        asks in a function inside itself.
    """
    try:
        lines, first = inspect.getsourcelines(inspect.unwrap(function))
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef):
        return None
    ends = _ends(definition, [])
    if None in ends:
        return None
    found = [end for end in ends if end is not None]
    return first - 1 + max(found) if found else NEVER


def _ends(node: ast.AST, above: list[ast.AST]) -> list[int | None]:
    """Where each use of the trial for a question ends; None for one in an inner function."""
    ends: list[int | None] = []
    for child in ast.iter_child_nodes(node):
        if (
            isinstance(child, ast.Attribute)
            and child.attr in NO_QUESTIONS
            and isinstance(child.value, ast.Name)
            and child.value.id == TRIAL
        ):
            continue
        if isinstance(child, ast.Name) and child.id == TRIAL:
            ends.append(_end(child, [*above, node]))
        ends += _ends(child, [*above, node])
    return ends


def _end(name: ast.Name, above: list[ast.AST]) -> int | None:
    """The end of the outermost loop around the name, else of its statement, or of the condition
    of that."""
    if any(isinstance(one, INNER) for one in above[1:]):
        return None
    for one in above:
        if isinstance(one, LOOPS):
            return one.end_lineno
    end = name.end_lineno
    for one in reversed(above):
        if isinstance(one, ast.stmt):
            return end if hasattr(one, "body") else one.end_lineno
        if isinstance(one, ast.expr):
            end = one.end_lineno
    return end
