"""One measurement in a separate process, so that its peak memory is its own and one that is killed ends alone."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import psutil
import torch

from genbench.training import cost

__all__ = ["added_bytes", "isolated", "resident_bytes"]


def isolated(call: Callable[..., Any], *arguments: Any) -> Any:
    """Return the result of `call` in a forked child; exceptions are raised here too.

    This process must not have computed with torch before: threads do not survive a fork.

    Raises:
        BrokenProcessPool: the child was killed, for example when out of memory.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return pool.submit(call, *arguments).result()


def resident_bytes() -> int:
    """Return the current resident set of this process."""
    return int(psutil.Process().memory_info().rss)


def added_bytes(before: int) -> int:
    """Return by how much the peak of this process's resident set exceeded `before`."""
    peak = cost.peak_memory(torch.device("cpu"))["peak_resident_bytes"]
    assert peak is not None
    return max(0, peak - before)
