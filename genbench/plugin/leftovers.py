"""Threads and processes that a plugin leaves running, apart from those that are not its doing."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Iterator

import psutil

__all__ = ["left_since", "running", "started_by_another"]

# Processes of the compiler, and the tracker that Python starts with its first spawned process and keeps running.
_OTHERS_COMMANDS = ("torch/_inductor/", "multiprocessing.resource_tracker")
_LIBRARIES_THREADS = ("tqdm.", "torch.")
_POOLS_THREADS = "ThreadPoolExecutor"
_threads_of_others: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


@contextlib.contextmanager
def started_by_another() -> Iterator[None]:
    """Exclude the threads that start in the block from `left_since`: they are another plugin's, as a library's pool."""
    before = set(threading.enumerate())
    try:
        yield
    finally:
        _threads_of_others.update(set(threading.enumerate()) - before)


def running() -> tuple[set[int], set[psutil.Process]]:
    """Return the identifiers of the threads and the child processes that run now."""
    threads = {thread.ident for thread in threading.enumerate() if thread.ident is not None}
    return threads, set(psutil.Process().children())


def left_since(before: tuple[set[int], set[psutil.Process]], compiled: bool = False) -> list[str]:
    """Describe the threads and child processes that were not `running` before.

    Threads and processes of torch's compiler, of a progress bar and of other plugins are excluded; if networks were
    `compiled`, so are threads of unnamed pools, because the compiler uses some.
    """
    known, processes = before
    threads = [
        f"thread {thread.name!r}"
        for thread in threading.enumerate()
        if thread.ident not in known
        and thread not in _threads_of_others
        and not type(thread).__module__.startswith(_LIBRARIES_THREADS)
        and not (compiled and thread.name.startswith(_POOLS_THREADS))
    ]
    return threads + [
        f"process {child.pid} ({name})"
        for child in psutil.Process().children()
        if child not in processes and (name := _name(child))
    ]


def _name(process: psutil.Process) -> str:
    """Return what a process runs; empty if it has ended, or belongs to the compiler or to Python itself."""
    try:
        command = process.cmdline()
        ended = process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return ""
    others = any(known in part for part in command for known in _OTHERS_COMMANDS)
    return "" if ended or others else os.path.basename(command[0] if command else process.name())
