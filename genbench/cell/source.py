"""Whether the code that a cell runs is the code that its identity says, and what else that code read."""

from __future__ import annotations

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
    """Watches a model's code from before it is imported.

    Args:
        payload: of the cell: what is `covered`, its `description`, and the `directory` of the benchmark.
        settings: of the cell.
        checkpoint_path: of the cell; what lies there does not say what was read beyond the identity.
        events: receives a notice of what that is.
    """

    def __init__(self, payload: Mapping[str, Any], settings: Settings, checkpoint_path: Path, events: Events) -> None:
        directory, covered = Path(payload["directory"]), payload["covered"]
        data = Path(settings.data_root).expanduser() if settings.data_root else default_data_root()
        # None is covered where the module is gone, as its import is about to say.
        self._covered = Coverage.from_json(covered) if covered else Coverage(directory, {})
        self._witness = Witness(self._covered, [directory, cache_root(), data])
        self._description: dict[str, Any] = payload["description"]
        self._checkpoint_path = checkpoint_path
        self._events = events
        self._also_read: dict[str, str] = {}
        self._loaded: set[str] = set()

    def after_first_step(self, plugin: Plugin) -> None:
        """Check what was imported, built and stepped; raise `PluginError` where a file is no longer what was hashed."""
        changed = self._witness.settle()
        self._loaded = set(sys.modules)
        self._check(plugin, changed)

    def at_the_end(self, plugin: Plugin) -> None:
        """Check what was imported since; raise `PluginError` where a file is no longer what was hashed."""
        self._check(plugin, self._witness.changed_later(self._loaded))

    def described(self) -> dict[str, Any]:
        """Return what the record says of the cell: as planned, and what its code read that its identity lacks."""
        if not self._also_read:
            return self._description
        return {**self._description, "plugin": {**self._description["plugin"], "also_read": self._also_read}}

    def _check(self, plugin: Plugin, changed: Sequence[str]) -> None:
        if changed:
            raise PluginError(
                f"{plugin}: {', '.join(changed)} changed after this run began, so the code is not what the cell's "
                "identity says; run the same command again"
            )
        also_read = self._witness.uncovered()
        if also_read != self._also_read:
            self._also_read = also_read
            self._checkpoint_path.unlink(missing_ok=True)
            self._events.notice(
                f"{plugin}: reads {', '.join(also_read)}, which its source does not name as genbench reads it; "
                "a change there runs the cell again from the start"
            )
