"""How far apart are the two processors that a measurement runs on? Nanoseconds for a byte to go from one to the other.

The host of a virtual machine places its processors on cores that share a cache, or that do not, and moves them at run
time: on the machine of docs/performance.md about every ten seconds. Two threads that work on the same weights are
half again as slow on cores that share none, and no counter of the guest shows it. The figure includes the interpreter's
own overhead, the same on both: 130 to 190 ns where a compiled probe measures 28, and 260 to 400 where that measures
165.

    python benchmarks/peers/core_distance.py
"""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["SHARED_CACHE_NS", "core_distance"]

SHARED_CACHE_NS = 230.0  # between the values observed on cores that share a cache and on those that do not
ROUNDS = 5000
_WARM_UP = 500


def core_distance(processors: tuple[int, int] = (0, 1)) -> float | None:
    """Return the nanoseconds that a byte takes from one processor to the other; None if there are not two.

    A separate process measures, which can fork without harm to the threads of this one.
    """
    if not hasattr(os, "sched_getaffinity") or not set(processors) <= os.sched_getaffinity(0):
        return None
    command = [sys.executable, "-I", str(Path(__file__)), *map(str, processors)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _to_and_fro(first: int, second: int) -> float:
    """Two processes, each pinned to one processor, pass a byte back and forth through shared memory."""
    box = memoryview(mmap.mmap(-1, mmap.PAGESIZE))
    child = os.fork()
    os.sched_setaffinity(0, {first if child else second})
    if child == 0:
        for turn in range(ROUNDS):
            awaited = (2 * turn + 1) % 256
            while box[0] != awaited:
                pass
            box[0] = (2 * turn + 2) % 256
        os._exit(0)
    begin = time.perf_counter()
    for turn in range(ROUNDS):
        if turn == _WARM_UP:
            begin = time.perf_counter()
        box[0] = (2 * turn + 1) % 256
        awaited = (2 * turn + 2) % 256
        while box[0] != awaited:
            pass
    seconds = time.perf_counter() - begin
    os.waitpid(child, 0)
    return seconds / (ROUNDS - _WARM_UP) / 2 * 1e9


if __name__ == "__main__":
    print(f"{_to_and_fro(*map(int, sys.argv[1:] or (0, 1))):.0f}")
