"""Threads and processes that a plugin leaves running, apart from those that are not its doing."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

__all__ = ["Others", "started_by_another"]

# Processes of the compiler, and the tracker that Python starts with its first spawned process and keeps running.
_OTHERS_COMMANDS = ("torch/_inductor/", "multiprocessing.resource_tracker")
_LIBRARIES_THREADS = ("tqdm.", "torch.")
_POOLS_THREADS = "ThreadPoolExecutor"
_threads_of_others: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


@contextlib.contextmanager
def started_by_another() -> Iterator[None]:
    """Exclude threads that start in the block from `Others.left`: they are another plugin's, as a library's pool."""
    before = set(threading.enumerate())
    try:
        yield
    finally:
        _threads_of_others.update(set(threading.enumerate()) - before)


@dataclass(frozen=True)
class Others:
    """Threads of this process, by their identifiers, and child processes that ran before a plugin: not its doing."""

    threads: frozenset[int | None]
    processes: frozenset[psutil.Process]

    @classmethod
    def now(cls) -> Others:
        """Return those that run at this moment."""
        threads = frozenset(thread.ident for thread in threading.enumerate())
        return cls(threads, frozenset(psutil.Process().children()))

    def left(self, compiled: bool = False) -> list[str]:
        """Describe the threads and child processes that have been started since and still run.

        Threads and processes of torch's compiler, of a progress bar and of other plugins are excluded; if networks were
        `compiled`, so are threads of unnamed pools, because the compiler uses some.
        """
        threads = [
            f"thread {thread.name!r}"
            for thread in self._new_threads()
            if thread not in _threads_of_others
            and not type(thread).__module__.startswith(_LIBRARIES_THREADS)
            and not (compiled and thread.name.startswith(_POOLS_THREADS))
        ]
        return threads + [
            f"process {child.pid} ({name})"
            for child in psutil.Process().children()
            if child not in self.processes and (name := _name(child))
        ]

    def keeps_from_ending(self) -> bool:
        """Return whether the interpreter would wait for a thread that has been started since, perhaps for ever."""
        return any(not thread.daemon for thread in self._new_threads())

    def _new_threads(self) -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.ident not in self.threads]


def _name(process: psutil.Process) -> str:
    """Return what a process runs; empty if it has ended, or belongs to the compiler or to Python itself."""
    try:
        command = process.cmdline()
        ended = process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return ""
    others = any(known in part for part in command for known in _OTHERS_COMMANDS)
    return "" if ended or others else os.path.basename(command[0] if command else process.name())
