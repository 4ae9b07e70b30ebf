"""Going on where a folder of the user's home cannot be written: environment variables that hold for a while."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["home_folder", "is_writable", "settings_of_matplotlib", "variable"]


def home_folder() -> Path:
    """Return the user's home folder; `/nonexistent`, as Debian calls it, for a user without one, as in containers."""
    found = os.path.expanduser("~")
    return Path("/nonexistent" if found == "~" else found)


@contextlib.contextmanager
def settings_of_matplotlib() -> Iterator[None]:
    """Give matplotlib a temporary folder if its own is not writable; otherwise it prints a two-line warning."""
    named = os.environ.get("XDG_CONFIG_HOME")
    own = (Path(os.path.expanduser(named)) if named else home_folder() / ".config") / "matplotlib"
    if os.environ.get("MPLCONFIGDIR") or is_writable(own):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="genbench-matplotlib-") as folder, variable("MPLCONFIGDIR", folder):
        yield


@contextlib.contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Set an environment variable until the block ends."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def is_writable(folder: Path) -> bool:
    """Return whether a folder is writable or could be created."""
    existing = folder
    while not os.path.lexists(existing) and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return False
    try:  # permissions alone are not enough: they allow root everything, also where a file system refuses it
        tempfile.TemporaryFile(dir=existing).close()
    except OSError:
        return False
    return True
