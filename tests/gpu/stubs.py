"""Modules in name only, for what fastai imports and nobody calls here: it asks for plots, images
and web pages to train a network on texts."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

NAMES = ("fasthtml", "IPython", "PIL", "torchvision", "matplotlib")


class _Named(type):
    """A class whose every attribute is another such class."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Named(name, (), {})


class _Stub(ModuleType):
    """A module that has everything by name, and nothing to import with a star."""

    __all__: Sequence[str] = ()
    __path__: Sequence[str] = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Named(name, (), {})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the missing of NAMES, and all that would lie below them."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name.partition(".")[0] not in self.names:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Stub(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing in it."""


def install() -> None:
    """From now on those of NAMES that this machine does not have can be imported."""
    missing = [name for name in NAMES if importlib.util.find_spec(name) is None]
    sys.meta_path.append(_Finder(missing))
