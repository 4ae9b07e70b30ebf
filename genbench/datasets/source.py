"""`Source` and `Request`: a row of the table of datasets, and one user's wish for one of them. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from genbench.errors import InputError, shortened
from genbench.plugin.finding import Found

__all__ = ["Part", "Progress", "Request", "Source", "cache_root", "default_data_root", "fault"]

Progress = Callable[[int, int], None]  # (done, total), of images or of bytes

HELD_OUT_SHARE = 0.1  # of a dataset that has no split of its own
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
        argument: what may follow the name after a colon, such as `ring or grid`; None where only a part may be named.
        argument_needed: whether it must follow; it is then a path.
        is_file: whether that path is of a file, not of a folder.
        drawn: whether its items are drawn, not read from files; `argument` then lists options of its own.
        files: the files it is read from, relative to the data root; for `genbench doctor`.
        options: names of its own that may be given a value after the colon, beside its part.
        own_held_out: whether `held_out=` may also name the path of what is held out.
        found: the plugin that brings it, or None for genbench's own.
    """

    name: str
    summary: str
    licence: str
    module: str
    needs_download: bool = False
    argument: str | None = None
    argument_needed: bool = False
    is_file: bool = False
    drawn: bool = False
    files: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    own_held_out: bool = False
    found: Found | None = None


@dataclass(frozen=True)
class Part:
    """How much of each split is used: what `fraction=` and `held_out=` after a dataset's colon say.

    Args:
        fraction: the share of the training split, 0 < F <= 1; exact, so that a tenth of 70 is 7.
        held_out: how many held-out items, or None for all that the dataset holds out.
    """

    fraction: Fraction = Fraction(1)
    held_out: int | None = None


@dataclass(frozen=True)
class Request:
    """One dataset as the user asked for it: what every source's `load` takes.

    Args:
        source: its row of the table.
        spec: the user's own words, such as `gaussians:grid`; the name of the dataset.
        argument: what followed the colon, without the part; or None.
        data_root: the folder that holds downloaded data.
        cache: the folder for what genbench can make again.
        image_size: the side, in pixels, that images are to have, or None for what they are.
        download: whether missing files may be fetched.
        progress: called with (done, total) while files are fetched or decoded.
        options: of the source's own, as they were written.
        part: how much is used. A source looks at it only where it has no held-out split of its own.
        own_held_out: the path of what is held out, as it was written; None where the source holds out by itself.
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
        """Return the error that says `text` of this dataset, on one line."""
        return fault(self.spec, text)

    def held_out_of(self, count: int) -> int:
        """Return how many of `count` items, two or more, are held out where a dataset has no split of its own.

        Raises:
            InputError: none would be left to train on.
        """
        asked = self.part.held_out
        if asked is not None and asked >= count:
            raise self.fault(f"held_out={asked} leaves nothing to train on: it has {count:,} in all; hold out fewer")
        return asked or max(1, round(count * HELD_OUT_SHARE))


def fault(spec: str, text: str) -> InputError:
    """Return the error that says `text` of the dataset that a user named as `spec`, on one line."""
    return InputError(f"dataset {shortened(repr(spec), LONGEST_SPEC)}: {' '.join(text.split())}")


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
