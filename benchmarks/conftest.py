"""What every benchmark records in addition to its times: images/s, peak memory, and the machine and software."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from genbench.machine import environment
from genbench.training import cost

DEVICE = environment.choose_device("cuda" if torch.cuda.is_available() else "cpu")
MIB = 2**20


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    machine_info["genbench"] = environment.describe(DEVICE)


@pytest.fixture
def device() -> torch.device:
    return DEVICE


@pytest.fixture(autouse=True)
def _peak_memory(request: pytest.FixtureRequest) -> Iterator[None]:
    """Store the peak of the memory that a benchmark added to what was in use before, on the device or resident."""
    if "benchmark" not in request.fixturenames:
        yield
        return
    benchmark = request.getfixturevalue("benchmark")
    cost.reset_peak_memory(DEVICE)
    before, kind = _reset_resident_peak(), "resident"
    if DEVICE.type == "cuda":
        before, kind = torch.cuda.memory_allocated(DEVICE), "device"
    yield
    if before is not None:
        peak = torch.cuda.max_memory_allocated(DEVICE) if kind == "device" else _resident_peak()
        benchmark.extra_info |= {"peak_added_bytes": max(0, peak - before), "peak_of": kind}


@pytest.fixture
def timed(benchmark: Any) -> Callable[..., None]:
    """Time a call over rounds, after a warm-up round; `images` is how many it handles, `records` likewise."""

    def time(call: Callable[[], object], rounds: int = 5, **handled: int) -> None:
        benchmark.pedantic(call, rounds=rounds, warmup_rounds=1)
        median = benchmark.stats.stats.median
        benchmark.extra_info |= {f"{what}_per_s": count / median for what, count in handled.items()}

    return time


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    session = getattr(config, "_benchmarksession", None)
    if session is None or not session.benchmarks:
        return
    terminalreporter.section(f"rates and memory on {DEVICE}, {torch.get_num_threads()} threads")
    width = max(len(one.name) for one in session.benchmarks)
    for one in session.benchmarks:
        rates = [f"{value:,.1f} {name[:-6]}/s" for name, value in one.extra_info.items() if name.endswith("_per_s")]
        peak = one.extra_info.get("peak_added_bytes")
        memory = "" if peak is None else f"peak {one.extra_info['peak_of']} +{peak / MIB:,.1f} MiB"
        if "peak_bytes" in one.extra_info:  # the resident set of a warm process hides what a step allocates
            memory += f", tensors of a step {one.extra_info['peak_bytes'] / MIB:,.1f} MiB"
        terminalreporter.write_line(f"{one.name:<{width}}  {', '.join(rates):<24}  {memory}".rstrip())


def _reset_resident_peak() -> int | None:
    """Reset the peak of the resident set, and return its current size; None if the system cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return int(psutil.Process().memory_info().rss)


def _resident_peak() -> int:
    status = Path("/proc/self/status").read_text()
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), None)
    if line is not None:
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
