"""The user's own functions, "package.module:function": which may be imported, and from where.

The user allows a function when his study file or his command line names it. A saved model, a store
or an archive may also name a function; it is imported only if the study file or the command line
names it too, or if the user says `--trust-code`. Its module must be in PYTHONPATH or in the folder
of the study file (for a command line: in the current folder), and is never looked for in a model's
folder. Functions of Python's library and of installed packages are refused. Some of these tens of
thousands of functions run a text as a command. With them a study.toml and a table, which look like
mere data, could run anything.

A function that Python code hands over itself (`hpsearch.run(function)`) is the user's decision,
too. Where other processes cannot import it, it is held here, for this process alone.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import sysconfig
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from hpsearch.errors import InputError

INSTALLED = {"site-packages", "dist-packages"}
"""The folders in which packages are installed, wherever they are."""
_folders: dict[str, str] = {}
"""The functions that may be imported -> the folder in which their modules may lie."""
_held: dict[str, tuple[Callable[..., Any], str]] = {}
"""Functions that this process was handed, and why no other can import them."""
_shown: set[str] | None = set()
"""Sentences that were shown to the user; None in a process whose parent shows them."""


def is_named(name: str) -> bool:
    """Whether `name` is meant to be a function of somebody's own."""
    return ":" in name


def allow(name: str, folder: Path) -> None:
    """Allow a function that the user's command names, or his study file, which is in `folder`."""
    if is_named(name):
        _folders[name] = str(folder.absolute())


def hand_over(function: Callable[..., Any], name: str, kind: str) -> str:
    """Allow a function that the user's own Python code gives us: its name as "module:function",
    with `name` as the second part where other processes cannot import it (see `why_held`)."""
    module = getattr(function, "__module__", None) or "__main__"
    place = f"{module}:{getattr(function, '__qualname__', '')}"
    file = getattr(sys.modules.get(module), "__file__", None)
    if module == "__main__" or file is None:
        reason = "it is defined in a notebook, a script or a shell"
    elif "." in place.partition(":")[2]:
        reason = "it is a lambda, a method, or defined inside another function"
    else:
        root = Path(file).resolve().parents[module.count(".") + (Path(file).stem == "__init__")]
        before = _folders.get(place)
        allow(place, root)
        try:
            if load(place, kind) is function:
                return place
            reason = f"{place} is another object"
        except InputError as error:
            reason = str(error).rstrip(".")
        _folders.pop(place) if before is None else _folders.update({place: before})
    held = f"{module}:{name}"
    _held[held] = function, reason
    return held


def why_held(name: str) -> str | None:
    """Why no other process can import a function that was handed over; None if others can."""
    return _held[name][1] if name in _held else None


def folder_of(name: str) -> Path | None:
    """The folder that the module of an allowed function may lie in; None for one that is held."""
    return None if name in _held else Path(_folders[name])


def file_of(function: Callable[..., Any]) -> str | None:
    """The file that a function comes from, where it comes from one."""
    code = getattr(function, "__code__", None)
    file = None if code is None else str(code.co_filename)
    return file if file and Path(file).is_file() else None


def require(name: str, what: str, *, trust: bool) -> None:
    """Raises InputError unless the user allows the function `name`, which `what` needs.

    `what` comes from somebody else. The user allows the function by naming it himself or by
    `trust`.
    """
    if not is_named(name) or name in _folders:
        return
    if not trust:
        raise InputError(
            f"{what} needs the function {name}, code that is not part of it: look at that code, "
            "then say --trust-code (in Python trust_code=True) to have it imported and run."
        )
    allow(name, Path.cwd())


def allowed() -> dict[str, str]:
    """What another process of ours passes to `allow_all`, so that it may import the same."""
    return dict(_folders)


def allow_all(folders: Mapping[str, str]) -> None:
    """In a process whose parent has asked the user: allow what the parent allows."""
    global _shown
    _shown = None
    _folders.update(folders)


def load(name: str, kind: str) -> Callable[..., Any]:
    """Tell the user from which file the function comes, then import and return it.

    `kind` says what the function is for. Raises InputError in one sentence if nobody allowed the
    function, if its module is missing or belongs to Python or an installed package, or if it is not
    a plain Python function.
    """
    if name in _held:
        return _held[name][0]
    module, _, attribute = name.partition(":")
    what = f"The {kind} {name}"
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*", name) or module == "__main__":
        raise InputError(
            f"The {kind} {name!r} is no importable function: write it as "
            "package.module:function, with the function in a file of its own."
        )
    if name not in _folders:
        raise InputError(
            f"{what} is code that neither your study file nor your command names, so it is not "
            "imported: name it there, or say --trust-code where a command has that."
        )
    folder = _folders[name]
    if folder not in sys.path:
        sys.path.append(folder)  # last, so that no file there hides an installed module
    file = _file_of(module, folder, what)
    _tell(f"{what} is imported from {file}.")
    return _function(_module(module, file, what), attribute, what)


def _module(module: str, file: Path, what: str) -> Any:  # noqa: ANN401
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever the user's module does when imported
        raise InputError(
            f"{what}: the module {module} cannot be imported from {file} "
            f"({type(error).__name__}: {' '.join(str(error).split())[:160]})."
        ) from error
    if not _same(getattr(found, "__file__", None), file):
        raise InputError(
            f"{what}: this process has imported another module {module} already, from "
            f"{getattr(found, '__file__', 'no file')}: give one of them another name."
        )
    return found


def _function(module: Any, attribute: str, what: str) -> Callable[..., Any]:  # noqa: ANN401
    name = module.__name__
    found = getattr(module, attribute, None)
    if found is None:
        raise InputError(f"{what}: the module {name} has nothing of that name.")
    if not inspect.isfunction(found):
        raise InputError(
            f"{what}: the module {name} has no function of that name, but a "
            f"{type(found).__name__}: write a Python function (def) that calls it."
        )
    if _is_librarys(found.__code__.co_filename):
        raise InputError(
            f"{what} is a function of Python's own library ({found.__code__.co_filename}): "
            "write one of your own that does what you want of it."
        )
    return found


def _file_of(module: str, folder: str, what: str) -> Path:
    """The file that an import of `module` would run; none of it, or of its packages, runs yet."""
    spec: ModuleSpec | None = None
    if module.partition(".")[0] in sys.stdlib_module_names:
        raise InputError(
            f"{what} is of Python's own library: name a function in a file of your own."
        )
    parts = module.split(".")
    for i in range(len(parts)):
        within = None if spec is None else spec.submodule_search_locations
        if i and within is None:
            spec = None
            break
        spec = _spec(".".join(parts[: i + 1]), within)
        if spec is None:
            break
    if spec is None:
        raise InputError(
            f"{what}: the module {module} cannot be imported: it is neither in {folder} nor in "
            "PYTHONPATH."
        )
    if not spec.has_location or not str(spec.origin).endswith(".py") or _is_librarys(spec.origin):
        raise InputError(
            f"{what}: {module} is no Python file of somebody's own ({spec.origin}): name a "
            "function in one."
        )
    file = Path(str(spec.origin)).resolve()
    if INSTALLED & set(file.parts) or file.is_relative_to(Path(__file__).resolve().parents[1]):
        raise InputError(
            f"{what} is of an installed package ({spec.origin}): call it in a function of your "
            f"own, in a file in {folder}."
        )
    return file


def _spec(name: str, within: Any) -> ModuleSpec | None:  # noqa: ANN401
    """Where an import would find the module, as `importlib.util.find_spec` says it, which imports
    the packages above it."""
    for finder in sys.meta_path:
        if (spec := finder.find_spec(name, within)) is not None:
            return spec
    return None


def _is_librarys(file: str | None) -> bool:
    """Whether a file is one of Python's standard library, not an installed package's."""
    if file is None or file.startswith("<"):
        return True
    place = Path(file).resolve()
    libraries = {Path(sysconfig.get_path(key)).resolve() for key in ("stdlib", "platstdlib")}
    return any(
        place.is_relative_to(one) and not INSTALLED & set(place.relative_to(one).parts)
        for one in libraries
    )


def _same(file: str | None, other: Path) -> bool:
    return file is not None and Path(file).resolve() == other.resolve()


def _tell(sentence: str) -> None:
    from hpsearch.core.console import say  # half of the start of a process that prints nothing
    from hpsearch.core.terminal import new_console

    if _shown is not None and sentence not in _shown:
        _shown.add(sentence)
        say(new_console(stderr=True), sentence)
