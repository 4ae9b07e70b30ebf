"""Whether the code that a cell runs is the code in its identity, and what else that code read."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genbench.cell.events import Events
from genbench.config import Settings
from genbench.datasets import cache_root, default_data_root
from genbench.errors import PluginError
from genbench.plugin.loading import Plugin
from genbench.plugin.source_hash import Coverage
from genbench.plugin.source_hash.witness import Witness

__all__ = ["SourceWatch"]


class SourceWatch:
    """Watches a model's code, starting before it is imported.

    Args:
        payload: of the cell: its `covered` files, its `description`, and the `directory` of the benchmark.
        settings: of the cell.
        checkpoint_path: of the cell; a checkpoint there does not record what was read beyond the identity.
        events: receives a notice about those files.
    """

    def __init__(self, payload: Mapping[str, Any], settings: Settings, checkpoint_path: Path, events: Events) -> None:
        directory, covered = Path(payload["directory"]), payload["covered"]
        data = Path(os.path.expanduser(settings.data_root)) if settings.data_root else default_data_root()
        # Nothing is covered if the module is gone, which its import is about to report.
        self._covered = Coverage.from_json(covered) if covered else Coverage(directory, {})
        self._witness = Witness(self._covered, [directory, cache_root(), data])
        self._description: dict[str, Any] = payload["description"]
        self._checkpoint_path = checkpoint_path
        self._events = events
        self._also_read: dict[str, str] = {}
        self._loaded: set[str] = set()

    def after_first_step(self, plugin: Plugin) -> None:
        """Check what was imported, built and stepped; raise `PluginError` if a file differs from what was hashed."""
        changed = self._witness.settle()
        self._loaded = set(sys.modules)
        self._check(plugin, changed)

    def at_the_end(self, plugin: Plugin) -> None:
        """Check what was imported since; raise `PluginError` if a file differs from what was hashed."""
        self._check(plugin, self._witness.changed_later(self._loaded))

    def described(self) -> dict[str, Any]:
        """Return the record's description of the cell: as planned, plus what its code read beyond its identity."""
        if not self._also_read:
            return self._description
        return {**self._description, "plugin": {**self._description["plugin"], "also_read": self._also_read}}

    def _check(self, plugin: Plugin, changed: Sequence[str]) -> None:
        if changed:
            raise PluginError(
                f"{plugin}: {', '.join(changed)} changed after this run began, so the code is not that of the cell's "
                "identity; run the same command again"
            )
        also_read = self._witness.uncovered()
        if also_read != self._also_read:
            self._also_read = also_read
            self._checkpoint_path.unlink(missing_ok=True)
            self._events.notice(
                f"{plugin}: reads {', '.join(also_read)}, which genbench could not find by reading its source; "
                "a change there runs the cell again from the start"
            )
