"""Paths in a form that may be published: records, reports and baselines are committed, and a path names its user."""

from __future__ import annotations

import contextlib
import os
import re
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["installed_folders", "without_home", "without_paths"]


def without_home(text: str) -> str:
    """Return a text with `~` for the home folder: the same text on every machine, so it can be part of an identity.

    >>> without_home(f"folder:{Path.home()}/faces")
    'folder:~/faces'
    """
    return _replaced(text, _homes())


def without_paths(value: Any, *folders: Path) -> Any:
    """Return plain values with `~` for the home folder in their texts, and relative paths where possible.

    Paths in the working directory become relative to it, and those in one of the `folders` relative to that.
    """
    near = {str(folder): "" for path in (Path.cwd(), *folders) for folder in (path.absolute(), path.resolve())}
    return _each(value, {**near, **_homes()})


def installed_folders() -> list[Path]:
    """Return the folders in which genbench and other packages are installed: every traceback names them."""
    paths = sysconfig.get_paths()
    return [Path(__file__).parents[2], *(Path(paths[name]) for name in ("purelib", "platlib"))]


def _each(value: Any, places: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _replaced(value, places)
    if isinstance(value, Mapping):
        return {name: _each(entry, places) for name, entry in value.items()}
    return [_each(entry, places) for entry in value] if isinstance(value, Sequence) else value


def _replaced(text: str, places: Mapping[str, str]) -> str:
    # Longest first: of two nested folders, a path is made relative to the inner one.
    for place in sorted(places, key=len, reverse=True):
        if place != os.sep:
            before, after, named = r"(?<![\w.~-])", r"(?![\w.-])", places[place]
            text = re.sub(f"{before}{re.escape(place)}/", f"{named}/" if named else "", text)
            text = re.sub(f"{before}{re.escape(place)}{after}", named or ".", text)
    return text


def _homes() -> dict[str, str]:
    """Return the home folder under each of its names: the environment's, the system's, and with links resolved."""
    homes = {os.path.expanduser("~")}
    with contextlib.suppress(ImportError, KeyError):  # not Unix; a user without an entry
        import pwd

        homes.add(pwd.getpwuid(os.getuid()).pw_dir)
    named = {home.rstrip(os.sep) for home in homes if os.path.isabs(home)}
    return dict.fromkeys([*named, *map(os.path.realpath, named)], "~")
