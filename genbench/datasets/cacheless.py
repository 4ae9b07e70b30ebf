"""Continuing without a cache: if the user's default folder is not writable, a temporary one replaces it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from genbench.datasets.source import cache_root, default_data_root
from genbench.machine.home import is_writable, variable

__all__ = ["without_cache"]


@contextlib.contextmanager
def without_cache() -> Iterator[str | None]:
    """Substitute a temporary folder for a cache folder that cannot be written.

    Existing cache files can still be read: the temporary folder links to them. A folder set with `$GENBENCH_CACHE` is
    never replaced, because a mistyped name should be reported.

    Yields:
        One line that warns the user, or None if the cache is writable.
    """
    if os.environ.get("GENBENCH_CACHE") or is_writable(cache_root()):
        yield None
        return
    unwritable, data = cache_root(), default_data_root()
    with tempfile.TemporaryDirectory(prefix="genbench-cache-") as folder, contextlib.ExitStack() as held:
        _link(unwritable, Path(folder))
        if data.is_dir():
            held.enter_context(variable("GENBENCH_DATA", str(data)))
        held.enter_context(variable("GENBENCH_CACHE", folder))
        yield (
            f"{unwritable} cannot be written: continuing without a cache, so what this run computes is computed "
            "again by the next; set $GENBENCH_CACHE to another folder"
        )


def _link(unwritable: Path, folder: Path) -> None:
    """Create the sub-folders of a cache in `folder`, each with links to the files of the unwritable one."""
    with contextlib.suppress(OSError):  # files that are not readable either are rebuilt
        for kind in (path for path in unwritable.iterdir() if path.is_dir() and path.name != "data"):
            (folder / kind.name).mkdir()
            for path in kind.iterdir():
                if path.is_file() and not path.name.startswith("."):
                    (folder / kind.name / path.name).symlink_to(path)
