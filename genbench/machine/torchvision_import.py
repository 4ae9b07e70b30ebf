"""Imports torchvision even if its compiled operators do not fit the installed torch.

A torchvision built for CUDA, installed with a CPU-only torch, cannot load its compiled library and then fails to import
with "operator torchvision::nms does not exist", because it registers a shape rule for two operators of that library.
Their schemas are declared here, but only if they are missing. genbench calls neither operator.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec
from types import ModuleType

import torch

__all__ = ["declare_missing_operators", "import_torchvision"]

_OPERATORS = ("nms", "qnms")
_libraries: list[torch.library.Library] = []  # a declaration is withdrawn when its Library is collected


def import_torchvision() -> ModuleType:
    """Return the module `torchvision`, importable whether or not its compiled operators fit the installed torch."""
    declare_missing_operators()
    return importlib.import_module("torchvision")


def declare_missing_operators() -> None:
    """Declare the schemas of `torchvision::nms` and `torchvision::qnms` if torchvision cannot load them itself."""
    if "torchvision" in sys.modules:
        return
    _load_compiled_operators()
    missing = [name for name in _OPERATORS if not hasattr(torch.ops.torchvision, name)]
    if missing:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in missing:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _libraries.append(library)


def _load_compiled_operators() -> None:
    """Load torchvision's own library as its import would, so that existing operators are found; loading is cheap."""
    package = find_spec("torchvision")
    if package is None or not package.submodule_search_locations:
        return
    compiled = PathFinder.find_spec("_C", list(package.submodule_search_locations))
    if compiled is not None and compiled.origin is not None:
        with contextlib.suppress(OSError):
            torch.ops.load_library(compiled.origin)
