"""The files of a model's code as they were read, and the single hash of all of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from genbench.machine.privacy import without_home

__all__ = ["Coverage", "Source"]


@dataclass(frozen=True)
class Source:
    """One file as it was read: its SHA-256, and the size and time that later show whether it has changed."""

    path: str
    sha256: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Source:
        """Read a file."""
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(str(path), digest, about.st_size, about.st_mtime_ns)

    def is_unchanged(self) -> bool:
        """Return whether the file's content is unchanged; it is read again only if its size or time differs."""
        path = Path(self.path)
        try:
            about = path.stat()
            same = (about.st_size, about.st_mtime_ns) == (self.size, self.mtime_ns)
            return same or Source.of(path).sha256 == self.sha256
        except OSError:
            return False


@dataclass(frozen=True)
class Coverage:
    """The files that a model's code comes from, by their names in the hash; `folder` holds the first."""

    folder: Path
    files: Mapping[str, Source]

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` reads."""
        return {"folder": str(self.folder), "files": {name: asdict(source) for name, source in self.files.items()}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Coverage:
        """Read what `to_json` returned."""
        return cls(Path(data["folder"]), {name: Source(**source) for name, source in data["files"].items()})

    def still_holds(self, also_read: Mapping[str, str]) -> bool:
        """Return whether the additional files that a cell read, by `shown` path, are unchanged since then."""
        return all(_digest(self.folder / os.path.expanduser(path)) == sha256 for path, sha256 in also_read.items())

    def shown(self, path: Path) -> str:
        """Return a file's name in a record: its path in the model's folder, or the full path if it is elsewhere."""
        folder = self.folder.resolve()
        return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else without_home(str(path))

    def sha256(self, versions: Sequence[str] = ()) -> str:
        """Return the SHA-256 of the files' names and contents, wherever they are, and of the `versions`."""
        digest = hashlib.sha256()
        for name, source in sorted(self.files.items()):
            digest.update(f"{name}\0".encode("utf-8", "surrogateescape"))
            digest.update(bytes.fromhex(source.sha256))
        for line in versions:
            digest.update(f"{line}\0".encode())
        return digest.hexdigest()


def _digest(path: Path) -> str:
    try:
        return Source.of(path).sha256
    except OSError:
        return ""  # missing, or not readable by this user
