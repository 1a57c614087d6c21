"""Write docs/api.md from the docstrings of the public API: `make api`."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path

import hpsearch
from hpsearch.api import models, rules, studies, trained, trials

PAGE = Path(__file__).with_name("api.md")
CLASSES = (
    "Explanation",
    "Rule",
    "Verification",
    "Cluster",
    "Limits",
    "HpsearchError",
    "InputError",
)
START = """# The Python API

Each function mirrors a command of the command line (`join` is `hpsearch worker`): same names, same
defaults. `import hpsearch` takes no time; what a function needs is imported when it is called. This
page is made from the docstrings by `make api`.
"""


def page() -> str:
    """The whole page."""
    parts = [START]
    for module in (trials, models, trained, rules, studies):
        title, _, what = (module.__doc__ or "").strip().partition(": ")
        parts.append(f"## {title}\n\n{what[:1].upper()}{what[1:]}\n")
        names = [name for name in vars(module) if name in hpsearch.__all__]
        parts += [function_text(name) for name in names]
    parts.append("## Classes\n")
    parts += [class_text(name) for name in CLASSES]
    return "\n".join(parts)


def function_text(name: str) -> str:
    """A heading, the signature, and the docstring's parts."""
    function = getattr(hpsearch, name)
    shown = f"```python\nhpsearch.{name}{signature(function)}\n```"
    return f"### {name}\n\n{shown}\n\n{markdown(inspect.getdoc(function) or '')}\n"


def signature(function: Callable[..., object]) -> str:
    """The parameters and what is returned, one parameter a line where they are many."""
    whole = inspect.signature(function)
    shown: list[str] = []
    for one in whole.parameters.values():
        if one.kind is one.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        default = "" if one.default is one.empty else f" = {json.dumps(one.default)}"
        default = default.replace("null", "None").replace("false", "False").replace("[]", "()")
        shown.append(f"{one.name}: {one.annotation}{default}")
    line = ", ".join(shown)
    if len(line) > 60:
        line = "\n    " + ",\n    ".join(shown) + ",\n"
    return f"({line}) -> {whole.return_annotation}"


def markdown(text: str) -> str:
    """A docstring with lists for Args and Raises and a block for the example."""
    head, *sections = re.split(r"\n\n(?=(?:Args|Returns|Raises|Example):\n)", text)
    parts = [head]
    for section in sections:
        title, _, body = section.partition(":\n")
        body = inspect.cleandoc(body)
        if title == "Example":
            parts.append(f"```python\n{body}\n```")
        elif title == "Returns":
            parts.append(f"**Returns** {body[:1].lower()}{body[1:]}")
        else:
            items = re.sub(r"^(\w+): ", r"- `\1`: ", body, flags=re.MULTILINE)
            items = re.sub(r"^ {4}", "  ", items, flags=re.MULTILINE)
            parts.append(f"**{title}**\n\n{items}")
    return "\n\n".join(parts)


def class_text(name: str) -> str:
    """A heading, the docstring, the fields, and a line for each method and property."""
    one = getattr(hpsearch, name)
    parts = [f"### {name}", markdown(inspect.getdoc(one) or "")]
    if dataclasses.is_dataclass(one):
        fields = [f"{field.name}: {field.type}" for field in dataclasses.fields(one)]
        parts.append("```python\n" + "\n".join(fields) + "\n```")
    if methods := [method_text(one, key) for key in dir(one) if is_own_method(one, key)]:
        parts.append("\n".join(methods))
    return "\n\n".join(parts) + "\n"


def is_own_method(one: type, key: str) -> bool:
    """Whether it is a public method or property of ours."""
    found = inspect.getattr_static(one, key)
    inside = isinstance(found, property) or inspect.isfunction(found)
    function = found.fget if isinstance(found, property) else found
    ours = inside and str(function.__module__).startswith("hpsearch")
    return ours and not key.startswith("_") and inspect.getdoc(function) is not None


def method_text(one: type, key: str) -> str:
    """Its name and the first sentences of its docstring, in a line."""
    found = inspect.getattr_static(one, key)
    first = " ".join((inspect.getdoc(found) or "").split("\n\n")[0].split())
    if isinstance(found, property):
        return f"- `{key}`: {first}"
    names = [name for name in inspect.signature(found).parameters if name != "self"]
    return f"- `{key}({', '.join(names)})`: {first}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
