"""Limits on the time and memory of a task, and how a hung task is distinguished from a slow one."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import psutil

from genbench.errors import InputError, quoted

__all__ = ["UNLIMITED", "Limits", "Watch", "parse_bytes"]

LOOK_INTERVAL_S = 1.0
LOOK_INTERVAL_WITH_MEMORY_S = 0.1  # memory can exceed the limit by what is allocated between two looks
BUSY_SHARE = 0.01  # of one core: a process that uses less is waiting
MOST_BYTES = 2**63
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


@dataclass(frozen=True)
class Limits:
    """The limits of one task; None means no limit.

    Args:
        seconds: from its start.
        memory_bytes: resident memory of the process and all its descendants.
        silent_s: without a sign of life: no message, almost no processor time used, no waiting for the disk. A
            slow step uses the processor, or spins on a core while it waits for a GPU; a deadlock does neither.
    """

    seconds: float | None = None
    memory_bytes: int | None = None
    silent_s: float | None = None


UNLIMITED = Limits()


def parse_bytes(text: str) -> int:
    """Read `2GB`, `1.5 GiB`, `800M` or a number of bytes; units are powers of 1024.

    >>> parse_bytes("2GB") == parse_bytes("2048 MiB") == 2 * 1024**3
    True
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(?:i?b)?\s*", text.lower())
    count = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 1 <= count < MOST_BYTES:
        raise InputError(f"memory limit {quoted(text)} cannot be read; write for example 2GB or 800MB")
    return int(count)


class Watch:
    """Watches one process and its descendants; the caller passes the time (seconds, monotonic)."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._begin = self._heard = self._alive = self._looked = self._metered = math.inf
        self._process: psutil.Process | None = None
        self._processor_s = 0.0
        self._interval = LOOK_INTERVAL_S if limits.memory_bytes is None else LOOK_INTERVAL_WITH_MEMORY_S

    def follow(self, pid: int, now: float) -> None:
        """Set the process once it has started: its time begins here, not when it was requested."""
        self._begin = self._heard = self._alive = self._looked = self._metered = now
        try:
            self._process = psutil.Process(pid)
        except psutil.NoSuchProcess:
            self._process = None  # it has ended already

    def heard(self, now: float) -> None:
        """Note that the process has reported something."""
        self._heard = self._alive = now

    def silence(self, now: float) -> float:
        """Return the seconds since the last report, if the process is still working, else 0."""
        return now - self._heard if self._alive > self._heard else 0.0

    def breach(self, now: float) -> str | None:
        """Return a description of the exceeded limit, or None."""
        limits = self._limits
        if limits.seconds is not None and now - self._begin > limits.seconds:
            return f"timed out after {limits.seconds:g} s"
        if now - self._looked < self._interval:
            return None
        resident, processor_s, reading = self._look()
        self._looked = now
        if reading:
            self._alive = now
        self._meter(processor_s, now)
        if limits.memory_bytes is not None and resident > limits.memory_bytes:
            most = limits.memory_bytes / 2**20
            return f"out of memory: used {resident / 2**20:,.0f} MiB, and the limit is {most:,.0f} MiB"
        if limits.silent_s is not None and now - self._alive > limits.silent_s:
            return f"hung: no step, no message and no use of the processor for {limits.silent_s:g} s"
        return None

    def _meter(self, processor_s: float, now: float) -> None:
        """Note whether the processor is used.

        Systems count its time in hundredths of a second, which is too coarse between two looks at the memory.
        """
        used = processor_s - self._processor_s
        # Less than before: a descendant has ended, which is also a sign of life.
        if used >= 0 and now - self._metered < LOOK_INTERVAL_S:
            return
        if used < 0 or used > BUSY_SHARE * (now - self._metered):
            self._alive = now
        self._processor_s, self._metered = processor_s, now

    def _look(self) -> tuple[int, float, bool]:
        """Return resident bytes, processor seconds so far, and whether a process is waiting for the disk."""
        resident, processor_s, reading = 0, 0.0, False
        if self._process is None:
            return resident, processor_s, reading
        try:
            family = [self._process, *self._process.children(recursive=True)]
        except psutil.Error:
            return resident, processor_s, reading
        for member in family:
            try:
                times = member.cpu_times()
                # Memory that a child shares with its parent is counted for the parent.
                resident += member.memory_info().rss if member is self._process else member.memory_full_info().uss
                processor_s += times.user + times.system
                reading |= member.status() == psutil.STATUS_DISK_SLEEP
            except psutil.Error:
                continue  # it has ended in the meantime
        return resident, processor_s, reading
