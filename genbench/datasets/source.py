"""`Source` and `Request`: a row of the table of datasets, and one user's wish for one of them. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from genbench.errors import InputError, shortened

__all__ = ["Progress", "Request", "Source", "cache_root", "default_data_root"]

Progress = Callable[[int, int], None]  # (done, total), of images or of bytes

LONGEST_SPEC = 500  # characters of a dataset's name in an error: a path is shown whole


@dataclass(frozen=True)
class Source:
    """Where a dataset comes from.

    Args:
        name: what the user writes.
        summary: one line.
        licence: one line.
        module: the file of `genbench.datasets` that loads it.
        needs_download: whether its files must be fetched once, or be on the disk already.
        argument: what may follow the name after a colon, such as `ring or grid`; None where nothing may.
        argument_needed: whether it must follow.
        files: the files it is read from, relative to the data root; for `genbench doctor`.
    """

    name: str
    summary: str
    licence: str
    module: str
    needs_download: bool = False
    argument: str | None = None
    argument_needed: bool = False
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """One dataset as the user asked for it: what every source's `load` takes.

    Args:
        source: its row of the table.
        spec: the user's own words, such as `gaussians:grid`; the name of the dataset.
        argument: what followed the colon, or None.
        data_root: the folder that holds downloaded data.
        cache: the folder for what genbench can make again.
        image_size: the side, in pixels, that images are to have, or None for what they are.
        download: whether missing files may be fetched.
        progress: called with (done, total) while files are fetched or decoded.
    """

    source: Source
    spec: str
    argument: str | None
    data_root: Path
    cache: Path
    image_size: int | None = None
    download: bool = True
    progress: Progress | None = None

    def fault(self, text: str) -> InputError:
        """Return the error that says `text` of this dataset, on one line."""
        return InputError(f"dataset {shortened(repr(self.spec), LONGEST_SPEC)}: {' '.join(text.split())}")


def cache_root() -> Path:
    """Return the folder for what genbench can make again.

    It is `$GENBENCH_CACHE`, else `$XDG_CACHE_HOME/genbench`, else `~/.cache/genbench`.
    """
    if named := os.environ.get("GENBENCH_CACHE"):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "genbench"


def default_data_root() -> Path:
    """Return the folder for downloaded data: `$GENBENCH_DATA`, else `data` in the cache folder."""
    named = os.environ.get("GENBENCH_DATA")
    return Path(named).expanduser() if named else cache_root() / "data"
