"""Checks whether the data of a source are on this machine, without reading them. Imports no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from genbench.datasets.source import Source

__all__ = ["Presence", "presence"]


@dataclass(frozen=True)
class Presence:
    """Whether the data of a source are on this machine.

    Args:
        available: whether the source can be loaded without a network.
        looked_for: the first missing file, or the first file if all are present; None if none is needed.
        advice: one line on where the data come from or how to get them.
    """

    available: bool
    looked_for: Path | None
    advice: str


def presence(source: Source, argument: str | None, root: Path, own_held_out: str | None = None) -> Presence:
    """Look for a source's files below the data root, or for the folders or files that the user names."""
    if source.found is not None:
        return Presence(True, None, f"brought by {source.found.distribution} {source.found.version}")
    if source.argument_needed:
        named = _named_presence(source, argument)
        return named if own_held_out is None or not named.available else _named_presence(source, own_held_out)
    if not source.needs_download:
        return Presence(True, None, "needs no files")
    paths = [root / file for file in source.files]
    missing = [path for path in paths if not path.exists()]
    if not missing:
        return Presence(True, paths[0], f"read from {root}")
    others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    advice = f"downloaded when first used, or put {source.files[0]}{others} into the data root"
    return Presence(False, missing[0], advice)


def _named_presence(source: Source, argument: str | None) -> Presence:
    what = source.path_of
    if argument is None:
        return Presence(True, None, f"reads the {what} that you name: {source.name}:{source.argument}")
    path = Path(os.path.expanduser(argument))
    kinds = {"file": os.path.isfile, "folder": os.path.isdir}  # pathlib raises for impossible names
    found = any(kinds[kind](path) for kind in what.split(" or "))
    return Presence(found, path, "read from there" if found else f"no such {what}")
