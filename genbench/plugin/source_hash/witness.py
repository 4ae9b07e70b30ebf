"""Observes which files a model's code reads while it runs, and whether its identity covers them."""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from genbench.plugin.source_hash.files import Coverage, Source
from genbench.plugin.source_hash.installed import exempt, is_versioned

__all__ = ["Witness"]

_OPENINGS = ("open", "ctypes.dlopen", "sqlite3.connect")  # audit events whose first argument is a path
_NOT_READ = os.O_WRONLY | os.O_CREAT | os.O_TRUNC  # a file opened like this need not have content

_recording: list[set[str]] = []  # for each witness that has not settled, the files that were opened


class Witness:
    """Records the modules loaded after its creation and, until `settle`, the files that are opened.

    Args:
        covered: what the model's identity covers; files opened outside of its folder are data, not code.
        apart: genbench's own folders, wherever they are.
    """

    def __init__(self, covered: Coverage, apart: Collection[Path] = ()) -> None:
        self._covered = covered
        self._sources = {source.path: source for source in covered.files.values()}
        self._folder = covered.folder.resolve()
        self._apart = [path.resolve() for path in apart]
        self._before = set(sys.modules)
        self._opened: set[str] = set()
        _recording.append(self._opened)
        _listen()

    def settle(self) -> list[str]:
        """Stop recording opened files, after a first step; return the covered files that were read and have changed."""
        _recording[:] = [opened for opened in _recording if opened is not self._opened]
        loaded = {str(path.resolve()) for _, path in _files(self._before)}
        # Changes of files that were not read have no effect: a package may contain a growing log.
        return self._changed(loaded | {os.path.realpath(path) for path in self._opened})

    def changed_later(self, known: Collection[str]) -> list[str]:
        """Return the covered files of modules loaded in addition to the `known` ones that have changed."""
        return self._changed(str(path.resolve()) for _, path in _files(known))

    def uncovered(self) -> dict[str, str]:
        """Return the files that were read but are not covered, as named in records, each with its SHA-256."""
        own = exempt()  # read from the metadata of what is installed: once, not for each of a thousand modules
        loaded = {path.resolve() for module, path in _files(self._before) if not _has_version(module, path, own)}
        # The files of modules are judged as modules; what remains was executed by other means, or is data.
        imported = {os.path.abspath(path) for _, path in _files(())}
        opened = {path.resolve() for path in map(Path, self._opened - imported) if self._is_beside(path.resolve())}
        compiled = _written_by_compiler()
        missed = sorted(
            path for path in loaded | opened if str(path) not in self._sources and not compiled(path) and path.is_file()
        )
        return {self._covered.shown(path): Source.of(path).sha256 for path in missed}

    def _changed(self, paths: Iterable[str]) -> list[str]:
        held = (self._sources[path] for path in paths if path in self._sources)
        return sorted(Path(source.path).name for source in held if not source.is_unchanged())

    def _is_beside(self, path: Path) -> bool:
        if not path.is_relative_to(self._folder) or any(path.is_relative_to(folder) for folder in self._apart):
            return False
        parts = path.relative_to(self._folder).parts
        return not any(part.startswith((".", "__pycache__")) for part in parts) and not is_versioned(path)


@functools.cache
def _listen() -> None:
    """Have Python tell of every file that is opened, whoever opens it; the hook stays for the life of the process.

    A function in place of `builtins.open` would miss libraries that took theirs earlier, as NumPy does, and `os.open`.
    """
    sys.addaudithook(_hear)


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    # Nothing more once all have settled: the events of a training step then cost it less than a microsecond together.
    if not _recording or event not in _OPENINGS:
        return
    path, flags = arguments[0], arguments[2] if event == "open" else 0
    if isinstance(path, str | bytes | os.PathLike) and not flags & _NOT_READ:
        file = _source_of(os.path.abspath(os.fsdecode(path)))
        for opened in _recording:
            opened.add(file)


def _source_of(path: str) -> str:
    """Return the source of a module's compiled file, or the path of any other file."""
    try:
        return importlib.util.source_from_cache(path)
    except (NotImplementedError, ValueError):  # not a compiled file
        return path


def _files(known: Collection[str]) -> list[tuple[str, Path]]:
    """Return the modules that are not `known` and have a file, each with that file."""
    new = [(name, getattr(module, "__file__", None)) for name, module in list(sys.modules.items()) if name not in known]
    return [(name, Path(file)) for name, file in new if isinstance(file, str)]


def _has_version(module: str, path: Path, own: Collection[str]) -> bool:
    """Return whether a version identifies a module.

    Args:
        module: its full name.
        path: its file.
        own: the top-level modules of genbench and of what it requires.
    """
    top = module.partition(".")[0]
    file = getattr(sys.modules.get(top), "__file__", None)
    return top in own or is_versioned(path) or (isinstance(file, str) and is_versioned(Path(file)))


def _written_by_compiler() -> Callable[[Path], bool]:
    """Return a function that tells what torch's compiler wrote into its cache: kernels, and the code that calls them.

    They follow from the model's code and torch's version, and the cache, in the folder for temporary files, is
    emptied now and then: if they counted, a finished cell would run again then.
    """
    caching = sys.modules.get("torch._inductor.runtime.cache_dir_utils")  # imported by the first compilation
    if caching is None:
        return lambda path: False
    folder = Path(caching.cache_dir()).resolve()
    return lambda path: path.is_relative_to(folder)
