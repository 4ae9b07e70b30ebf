"""What a task may take of time and memory, and how one that hangs is told from one that is slow."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import psutil

from genbench.errors import InputError, quoted

__all__ = ["UNLIMITED", "Limits", "Watch", "parse_bytes"]

LOOK_INTERVAL_S = 1.0
LOOK_INTERVAL_WITH_MEMORY_S = 0.1  # what grows between two looks is over the limit by that much
BUSY_SHARE = 0.01  # of one core: a process that uses less is waiting
MOST_BYTES = 2**63
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


@dataclass(frozen=True)
class Limits:
    """What one task may take; None is no limit.

    Args:
        seconds: from its start.
        memory_bytes: resident, of the process and all that it has started.
        silent_s: without a sign of life: nothing reported, next to no processor time used, the disk not waited for. A
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
    """Watches one process and all that it has started, by the clock that its caller reads (seconds, monotonic)."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._begin = self._heard = self._alive = self._looked = math.inf
        self._process: psutil.Process | None = None
        self._processor_s = 0.0
        self._interval = LOOK_INTERVAL_S if limits.memory_bytes is None else LOOK_INTERVAL_WITH_MEMORY_S

    def follow(self, pid: int, now: float) -> None:
        """Say which process it is, once it has started: its time begins here, not where it was asked for."""
        self._begin = self._heard = self._alive = self._looked = now
        try:
            self._process = psutil.Process(pid)
        except psutil.NoSuchProcess:
            self._process = None  # it has ended already

    def heard(self, now: float) -> None:
        """Something was reported."""
        self._heard = self._alive = now

    def silence(self, now: float) -> float:
        """Return the seconds since anything was reported, by a process that is still at work."""
        return now - self._heard if self._alive > self._heard else 0.0

    def breach(self, now: float) -> str | None:
        """Return in words which limit is passed, or None."""
        limits = self._limits
        if limits.seconds is not None and now - self._begin > limits.seconds:
            return f"timed out after {limits.seconds:g} s"
        if now - self._looked < self._interval:
            return None
        resident, processor_s, reading = self._look()
        # Less than before: something that it had started has ended, which is a sign of life too.
        used = processor_s - self._processor_s
        if reading or used < 0 or used > BUSY_SHARE * (now - self._looked):
            self._alive = now
        self._processor_s, self._looked = processor_s, now
        if limits.memory_bytes is not None and resident > limits.memory_bytes:
            most = limits.memory_bytes / 2**20
            return f"out of memory: used {resident / 2**20:,.0f} MiB, and the limit is {most:,.0f} MiB"
        if limits.silent_s is not None and now - self._alive > limits.silent_s:
            return f"hung: no step, no message and no use of the processor for {limits.silent_s:g} s"
        return None

    def _look(self) -> tuple[int, float, bool]:
        """Return resident bytes, processor seconds so far, and whether the disk is waited for."""
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
                # What a child shares with the process that it was forked from is counted there.
                resident += member.memory_info().rss if member is self._process else member.memory_full_info().uss
                processor_s += times.user + times.system
                reading |= member.status() == psutil.STATUS_DISK_SLEEP
            except psutil.Error:
                continue  # ended meanwhile
        return resident, processor_s, reading
