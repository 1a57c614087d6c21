"""Python processes that we start. They do not look for modules in the current folder.

`python -m` looks there first, and so does a process that has the current folder in its PYTHONPATH.
A file `html.py` beside the user's data would then replace the module of Python's library.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def python_command(module: str, *arguments: str) -> list[str]:
    """The command that runs `module` with this Python; -P keeps the current folder out."""
    return [sys.executable, "-P", "-m", module, *arguments]


def python_environment(**variables: str) -> dict[str, str]:
    """This process's environment plus `variables`, for the command of `python_command`.

    The new process finds the same modules as this one, except those in the current folder. The
    folder of the user's script and the folder that holds hpsearch come last in its path, even if
    one of them is the current folder. So no file there hides a module of Python's library or of an
    installed package.
    """
    return {**os.environ, "PYTHONPATH": os.pathsep.join(module_path()), **variables}


def module_path() -> list[str]:
    """Where this process finds modules, without the current folder: see `python_environment`."""
    try:
        here = os.path.realpath(Path.cwd())
    except OSError:  # it was deleted
        here = None
    entries = [str(Path(entry or os.curdir).absolute()) for entry in sys.path]
    last = [place for place in (_script_folder(), str(Path(__file__).parents[2])) if place]
    kept = [one for one in entries if os.path.realpath(one) != here and one not in last]
    return [*kept, *(one for one in dict.fromkeys(last) if one in entries)]


def _script_folder() -> str | None:
    """The folder of the script that Python was started with, None where there is none."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return None if file is None else str(Path(file).absolute().parent)
