"""Finds the files in a folder; shared by `folder:`, `audio:` and `genbench evaluate`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from genbench.datasets.decoding import SUFFIXES
from genbench.errors import InputError

__all__ = ["Found", "find_files", "find_images", "is_image_name", "kinds_text"]


@dataclass(frozen=True)
class Found:
    """The wanted files in a folder and its sub-folders, and what was skipped there.

    Args:
        names: relative to the folder, with forward slashes, sorted.
        passed_over: the skipped kinds (singular and plural) and their counts.
    """

    names: tuple[str, ...]
    passed_over: tuple[tuple[tuple[str, str], int], ...]

    def remark(self) -> str | None:
        """Return what was skipped, such as `2 hidden files, 1 file of another kind`, or None if nothing was."""
        return ", ".join(f"{count} {what[count > 1]}" for what, count in self.passed_over) or None


_HIDDEN_FILE = ("hidden file", "hidden files")
_HIDDEN_FOLDER = ("hidden folder", "hidden folders")
_OTHER = ("file of another kind", "files of other kinds")
_SEEN = ("link to a folder that was read already", "links to folders that were read already")


def find_images(root: Path) -> Found:
    """Return every image file in `root` and its sub-folders; see `find_files`."""
    return find_files(root, is_image_name)


def find_files(root: Path, is_wanted: Callable[[str], bool]) -> Found:
    """Return every wanted file in `root` and its sub-folders; links to folders are followed, each folder is read once.

    Hidden files and folders (`.DS_Store`, `.ipynb_checkpoints`), the entries that `zip` adds on a Mac (`__MACOSX`) and
    files whose names are not wanted are skipped and counted.

    Raises:
        InputError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"cannot read {error.filename}: {error.strerror}") from error

    names: list[str] = []
    passed: Counter[tuple[str, str]] = Counter()
    seen: set[str] = set()
    for folder, below, files in os.walk(root, followlinks=True, onerror=refuse):
        real = os.path.realpath(folder)
        if real in seen:
            passed[_SEEN] += 1
            below[:] = []
            continue
        seen.add(real)
        hidden = [name for name in below if _is_hidden(name)]
        passed[_HIDDEN_FOLDER] += len(hidden)
        below[:] = sorted(set(below) - set(hidden))
        relative = Path(folder).relative_to(root)
        for name in files:
            if is_wanted(name):
                names.append((relative / name).as_posix())
            else:
                passed[_HIDDEN_FILE if _is_hidden(name) else _OTHER] += 1
    return Found(tuple(sorted(names)), tuple((what, count) for what, count in sorted(passed.items()) if count))


def is_image_name(name: str) -> bool:
    """Return whether a path, on disk or within an archive, names an image that is not hidden."""
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and not any(_is_hidden(part) for part in path.parts)


def kinds_text() -> str:
    """Return the suffixes of all supported image formats."""
    return ", ".join(sorted(SUFFIXES))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
