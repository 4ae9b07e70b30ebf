"""What a model costs: clocks that synchronise the device, throughput over windows, peak memory."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

__all__ = ["Throughput", "clock", "largest", "peak_memory", "reset_peak_memory", "synchronise", "throughput"]

WARM_UP_SHARE = 0.05  # of the windows, at least one


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished all queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def clock(device: torch.device) -> Callable[[], float]:
    """Return a clock in seconds that synchronises the device before each reading."""

    def read() -> float:
        synchronise(device)
        return time.perf_counter()

    return read


@dataclass(frozen=True)
class Throughput:
    """Items per second over windows after warm-up: median, and the 5th and 95th percentile of windows."""

    median: float
    p5: float
    p95: float
    windows: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def throughput(windows: Sequence[tuple[int, float]]) -> Throughput | None:
    """Summarise windows of (items, seconds), leaving out the first twentieth, at least one, as warm-up.

    A single window is used as it is; None where there is none.

    >>> throughput([(64, 9.0), (64, 1.0), (64, 2.0), (64, 1.0)]).median
    64.0
    """
    warm_up = max(1, round(len(windows) * WARM_UP_SHARE)) if len(windows) > 1 else 0
    rates = sorted(items / max(seconds, 1e-9) for items, seconds in windows[warm_up:])
    if not rates:
        return None
    return Throughput(statistics.median(rates), _quantile(rates, 0.05), _quantile(rates, 0.95), len(rates))


def _quantile(ordered: Sequence[float], share: float) -> float:
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def reset_peak_memory(device: torch.device) -> None:
    """Start a new peak of device memory; the resident set's peak belongs to the process and cannot be reset."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> dict[str, int | None]:
    """Return peak bytes: allocated and reserved on a CUDA device (None elsewhere), and resident in this process."""
    cuda = device.type == "cuda"
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "peak_allocated_bytes": torch.cuda.max_memory_allocated(device) if cuda else None,
        "peak_reserved_bytes": torch.cuda.max_memory_reserved(device) if cuda else None,
        "peak_resident_bytes": resident if sys.platform == "darwin" else resident * 1024,
    }


def largest(peaks: Sequence[dict[str, int | None]]) -> dict[str, int | None]:
    """Return the largest of each amount that `peak_memory` returned in several processes.

    >>> largest([{"peak_allocated_bytes": None, "peak_resident_bytes": 5}, {"peak_resident_bytes": 7}])
    {'peak_allocated_bytes': None, 'peak_resident_bytes': 7}
    """
    found = {name: [peak[name] for peak in peaks if peak.get(name) is not None] for name in peaks[0]}
    return {name: max((each for each in amounts if each is not None), default=None) for name, amounts in found.items()}
