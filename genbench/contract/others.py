"""`Others`: the threads and processes that ran before a plugin was loaded, and are none of its doing."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import psutil

from genbench.plugin import leftovers

__all__ = ["Others"]


@dataclass(frozen=True)
class Others:
    """Threads of this process by their identifiers, and its child processes."""

    threads: set[int]
    processes: set[psutil.Process]

    @classmethod
    def now(cls) -> Others:
        """Return those that run at this moment."""
        return cls(*leftovers.running())

    def left(self) -> list[str]:
        """Describe the threads and processes that have been started since and still run."""
        return leftovers.left_since((self.threads, self.processes))

    def keeps_from_ending(self) -> bool:
        """Return whether the interpreter would wait for a thread that has been started since, perhaps for ever."""
        return any(each.ident not in self.threads and not each.daemon for each in threading.enumerate())
