"""Finds all files of a model's code that no version identifies, following references from file to file."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from genbench.plugin.source_hash.files import Coverage, Source
from genbench.plugin.source_hash.installed import exempt, is_versioned
from genbench.plugin.source_hash.reading import read

__all__ = ["coverage"]

_LEFT_OUT = (".pyc", ".pyo", ".egg-info", ".dist-info", "__pycache__", "py.typed")  # none affects what code does
_CACHE_TAG = "CACHEDIR.TAG"  # https://bford.info/cachedir: the folder's content can be regenerated


def coverage(root: Path, modules: Iterable[str] = (), named: Iterable[str] = ()) -> Coverage:
    """Find every file of a model's code by reading it, importing nothing.

    Starting at `root`, imports are followed to modules next to a model file, in the working directory, on the Python
    path and in distributions installed from a folder. For a package, all files count; for any module, so do the files
    and folders next to it that its text names. Distributions installed from an index, Python and genbench are excluded.

    Args:
        root: the model's file, or the folder of the package that holds it.
        modules: further top-level modules that belong to it.
        named: texts that may name files passed to it, such as the values of its options.

    Raises:
        OSError: a file cannot be read.
    """
    importlib.invalidate_caches()
    folder = root.parent if root.is_file() else root
    search = _Search(folder, [folder, Path.cwd()] if root.is_file() else [Path.cwd()])
    if root.is_file():
        search.add(root.name, root)
        search.follow(root, "")
    else:
        search.add_package(root, "", root.name)
    for module in sorted(modules):
        search.add_module(module)
    for text in named:
        search.add_named(text, Path.cwd(), _given(text))
    return Coverage(folder, {name: Source.of(path) for name, path in search.files.items()})


class _Search:
    """The files found so far, by name; names of files outside the model's own package begin with `+`."""

    def __init__(self, folder: Path, first: Sequence[Path]) -> None:
        self.folder = folder
        self.path = [*map(str, first), *sys.path]
        self.files: dict[str, Path] = {}
        self._known: set[Path] = set()
        self._seen: set[str] = set()
        self._exempt = exempt()

    def add(self, name: str, path: Path) -> bool:
        """Add a file; return whether it is new."""
        real = path.resolve()
        if real in self._known:
            return False
        self._known.add(real)
        while name in self.files:  # two folders may each hold a file of the same name
            name += "+"
        self.files[name] = real
        return True

    def add_package(self, folder: Path, prefix: str, package: str) -> None:
        """Add every file of a package, and the files that its modules read elsewhere."""
        held = [path.relative_to(folder) for path in _below(folder)]
        new = [path for path in held if self.add(f"{prefix}{path.as_posix()}", folder / path)]
        for path in (path for path in new if path.suffix == ".py"):
            self.follow(folder / path, ".".join([package, *path.parts[:-1]]))

    def add_module(self, module: str) -> None:
        """Add a module by its dotted name, unless a version identifies it."""
        top, *below = module.split(".")
        if module in self._seen or top in self._exempt:
            return
        self._seen.add(module)
        spec, name = self._find(top, self.path), top
        for part in below:
            # A namespace package is just a folder, so only what is imported from it counts.
            if spec is None or spec.origin is not None or not spec.submodule_search_locations:
                break
            name = f"{name}.{part}"
            spec = self._find(name, list(spec.submodule_search_locations))
        if spec is None or spec.origin is None or is_versioned(Path(spec.origin)):
            return
        origin, called = Path(spec.origin), "+" + name.replace(".", "/")
        if spec.submodule_search_locations:
            self.add_package(origin.parent, f"{called}/", name)
        elif origin.is_file() and self.add(f"{called}{origin.suffix}", origin) and origin.suffix == ".py":
            self.follow(origin, name.rpartition(".")[0])

    def follow(self, path: Path, package: str) -> None:
        """Add the modules that a Python file imports, and the files that it names."""
        reading = read(path, package)
        for module in reading.modules:
            self.add_module(module)
        for text in reading.files:
            self.add_named(text, path.parent)
            self.add_named(text, Path.cwd())
        for text in reading.paths:
            self.add_named(text, path.parent, _beside(path.parent, text))

    def add_named(self, text: str, folder: Path, more: Iterable[Path] = ()) -> None:
        """Add the file that a text names, resolved against `folder`, and any `more` files that it denotes."""
        try:
            path = folder / os.path.expanduser(text)
            found = [path] if path.is_file() and not path.is_relative_to("/proc") else [*more]
        except (OSError, ValueError, RuntimeError, NotImplementedError):  # the text is not a path
            return
        for each in found:
            if not is_versioned(each):
                inside = each.resolve().is_relative_to(self.folder.resolve())
                name = os.path.relpath(each.resolve(), self.folder.resolve()) if inside else f"{text}/{each.name}"
                if self.add(f"+{name}", each) and each.suffix == ".py":
                    self.follow(each, "")

    def _find(self, name: str, path: Sequence[str]) -> ModuleSpec | None:
        """Find a module as an import would, without importing its parent package."""
        if name in sys.builtin_module_names:
            return None
        try:
            spec = PathFinder.find_spec(name, path)
            # Editable installs may have their own finder, which knows top-level names.
            return spec if spec is not None or "." in name else importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError):
            return None


def _beside(folder: Path, text: str) -> Iterator[Path]:
    """Yield the files next to the code that a text joined to a path denotes: those of a folder or of a pattern."""
    path = folder / text
    if Path(text).is_absolute() or not path.resolve().is_relative_to(folder.resolve()):
        return
    if "*" in text:
        yield from (found for found in sorted(folder.glob(text)) if found.is_file())
    elif path.is_dir():
        yield from _below(path)


def _given(text: str) -> Iterator[Path]:
    """Yield the files of a folder that an option names, unless the folder contains all of the user's work."""
    path = Path(os.path.expanduser(text))
    if path.is_dir() and not Path.cwd().resolve().is_relative_to(path.resolve()):
        yield from _below(path)


def _below(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and below, sorted, following links; without hidden files, caches and metadata."""
    seen: set[str] = set()
    for where, below, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(where)
        if real in seen or _CACHE_TAG in files:
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if _counts(name))
        yield from (path for name in sorted(files) if _counts(name) and (path := Path(where, name)).is_file())


def _counts(name: str) -> bool:
    return not name.startswith(".") and not name.endswith(_LEFT_OUT)
