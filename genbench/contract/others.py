"""`Others`: the threads and processes that ran before a plugin was loaded, and are none of its doing."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import psutil

from genbench.plugin import world

__all__ = ["Others"]


@dataclass(frozen=True)
class Others:
    """Threads of this process, and its child processes, by their identifiers."""

    threads: frozenset[int | None]
    processes: frozenset[int]

    @classmethod
    def now(cls) -> Others:
        """Return those that run at this moment."""
        children = psutil.Process().children()
        return cls(frozenset(each.ident for each in threading.enumerate()), frozenset(child.pid for child in children))

    def left(self) -> list[str]:
        """Describe the threads and processes that have been started since and still run."""
        return world.leftovers(self.threads, besides=self.processes)

    def keeps_from_ending(self) -> bool:
        """Return whether the interpreter would wait for a thread that has been started since, perhaps for ever."""
        return any(each.ident not in self.threads and not each.daemon for each in threading.enumerate())
