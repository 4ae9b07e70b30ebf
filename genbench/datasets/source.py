"""`Source` and `Request`: a row of the table of datasets, and a request for one of them. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from genbench.errors import InputError, shortened
from genbench.machine.home import home_folder
from genbench.plugin.finding import Found

__all__ = ["Part", "Progress", "Request", "Source", "cache_root", "default_data_root", "fault"]

Progress = Callable[[int, int], None]  # (done, total), in images or bytes

HELD_OUT_SHARE = 0.1  # of a dataset without a split of its own
LONGEST_SPEC = 500  # characters of a dataset's name in an error: a path is shown whole


@dataclass(frozen=True)
class Source:
    """Where a dataset comes from.

    Args:
        name: what the user writes.
        summary: one line.
        licence: one line.
        module: the file of `genbench.datasets` that loads it.
        needs_download: whether its files must be downloaded once or already be on the disk.
        argument: what may follow the name after a colon, such as `ring or grid`; None if only a part may be selected.
        argument_needed: whether the argument is required; it is then a path.
        path_of: what that path leads to: `folder`, `file`, or `file or folder`.
        drawn: whether its items are drawn, not read from files; `argument` then lists its own options.
        files: the files it is read from, relative to the data root; for `genbench doctor`.
        options: the names of its own options after the colon, in addition to the part.
        own_held_out: whether `held_out=` may also name the path of a held-out set.
        found: the plugin that provides it, or None for genbench's own.
    """

    name: str
    summary: str
    licence: str
    module: str
    needs_download: bool = False
    argument: str | None = None
    argument_needed: bool = False
    path_of: str = "folder"
    drawn: bool = False
    files: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    own_held_out: bool = False
    found: Found | None = None


@dataclass(frozen=True)
class Part:
    """How much of each split is used, as set by `fraction=` and `held_out=` after a dataset's colon.

    Args:
        fraction: the share of the training split, 0 < F <= 1; exact, so that a tenth of 70 is 7.
        held_out: the number of held-out items, or None for all that the dataset holds out.
    """

    fraction: Fraction = Fraction(1)
    held_out: int | None = None


@dataclass(frozen=True)
class Request:
    """One dataset as requested by the user: the argument of every source's `load`.

    Args:
        source: its row of the table.
        spec: as the user wrote it, such as `gaussians:grid`; the name of the dataset.
        argument: what followed the colon, without the part; or None.
        data_root: the folder that holds downloaded data.
        cache: the folder for data that genbench can rebuild.
        image_size: the requested side of the images in pixels, or None to keep their size.
        download: whether missing files may be fetched.
        progress: called with (done, total) while files are fetched or decoded.
        options: the source's own options, as they were written.
        part: how much is used. A source reads it only if it has no held-out split of its own.
        own_held_out: the path of the held-out set, as it was written; None if the source itself holds items out.
    """

    source: Source
    spec: str
    argument: str | None
    data_root: Path
    cache: Path
    image_size: int | None = None
    download: bool = True
    progress: Progress | None = None
    part: Part = Part()
    options: Mapping[str, str] = field(default_factory=dict)
    own_held_out: str | None = None

    def fault(self, text: str) -> InputError:
        """Return the one-line error `text` for this dataset."""
        return fault(self.spec, text)

    def held_out_of(self, count: int) -> int:
        """Return how many of `count` >= 2 items are held out if a dataset has no split of its own.

        Raises:
            InputError: none would be left to train on.
        """
        asked = self.part.held_out
        if asked is not None and asked >= count:
            raise self.fault(f"held_out={asked} leaves nothing to train on: it has {count:,} in all; hold out fewer")
        return asked or max(1, round(count * HELD_OUT_SHARE))


def fault(spec: str, text: str) -> InputError:
    """Return the one-line error `text` for the dataset that the user named as `spec`."""
    return InputError(f"dataset {shortened(repr(spec), LONGEST_SPEC)}: {' '.join(text.split())}")


def cache_root() -> Path:
    """Return the folder for data that genbench can rebuild.

    It is `$GENBENCH_CACHE`, else `$XDG_CACHE_HOME/genbench`, else `~/.cache/genbench`.
    """
    if named := os.environ.get("GENBENCH_CACHE"):
        return Path(os.path.expanduser(named))
    named = os.environ.get("XDG_CACHE_HOME")
    return (Path(os.path.expanduser(named)) if named else home_folder() / ".cache") / "genbench"


def default_data_root() -> Path:
    """Return the folder for downloaded data: `$GENBENCH_DATA`, else `data` in the cache folder."""
    named = os.environ.get("GENBENCH_DATA")
    return Path(os.path.expanduser(named)) if named else cache_root() / "data"
