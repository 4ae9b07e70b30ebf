"""How long this process's threads have waited for a processor that something else was using."""

from __future__ import annotations

import contextlib
from pathlib import Path

__all__ = ["NOTICEABLE", "Contention"]

NOTICEABLE = 0.1  # on a machine with nothing else to do, threads wait for less than a hundredth of their time
_LEAST_S = 5.0  # of processor time, below which the speed of a training says little anyway
_NANOSECONDS = 1e9


class Contention:
    """Measures from its creation on.

    torch's threads wait for each other actively, so a thread that waits for a processor holds up all of them: with one
    other busy process on two cores, small models train at a thirtieth of their speed.

    Args:
        least_s: the processor time from which on there is a share.
        threads: the folder with a folder for each thread of the process. Where the kernel does not provide it, as
            outside Linux, nothing is measured.

    Source: Linux kernel documentation, "Scheduler Statistics", /proc/<pid>/schedstat.
    """

    def __init__(self, least_s: float = _LEAST_S, threads: Path = Path("/proc/self/task")) -> None:
        self._least_s = least_s
        self._threads = threads
        self._before = self._times()

    def share(self) -> float | None:
        """Return the share of their time that the threads have waited; None if unknown, or too short."""
        ran, waited = 0, 0
        for thread, (now_ran, now_waited) in self._times().items():  # threads that have ended are left out
            before_ran, before_waited = self._before.get(thread, (0, 0))
            ran += now_ran - before_ran
            waited += now_waited - before_waited
        return waited / (ran + waited) if ran >= self._least_s * _NANOSECONDS else None

    def _times(self) -> dict[str, tuple[int, int]]:
        """Return the nanoseconds that each thread has run, and waited to run."""
        found = {}
        with contextlib.suppress(OSError):  # no such folder
            for folder in self._threads.iterdir():
                with contextlib.suppress(OSError, ValueError):  # the thread has just ended; another kernel's format
                    ran, waited, *_ = map(int, (folder / "schedstat").read_text().split())
                    found[folder.name] = ran, waited
        return found
