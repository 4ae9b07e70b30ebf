"""The machine and software behind the numbers: versions, device, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import psutil
import torch

import genbench
from genbench.errors import InputError
from genbench.machine import processors

__all__ = ["choose_device", "describe", "share"]


def choose_device(name: str) -> torch.device:
    """Return the device that `auto`, `cpu`, `cuda`, `cuda:1` or `mps` means on this machine.

    Raises:
        InputError: the device is not available.
    """
    cuda = torch.cuda.is_available()
    mps = torch.backends.mps.is_available()
    if name == "auto":
        name = "cuda" if cuda else "mps" if mps else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device {name!r} cannot be read; write auto, cpu, cuda, cuda:1 or mps") from error
    if device.type == "cuda":
        if not cuda:
            built = "built without CUDA" if torch.version.cuda is None else "finds no GPU"
            raise InputError(f"device {name!r} is not available: torch {torch.__version__} {built}; use --device cpu")
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise InputError(f"device {name!r} is not available: this machine has cuda:0 to cuda:{count - 1}")
    if device.type == "mps" and not mps:
        raise InputError(f"device {name!r} is not available; use --device cpu")
    return device


def share(name: str, slot: int = 0, jobs: int = 1) -> torch.device:
    """Return the device of one of several parallel jobs: GPUs are assigned in turn, the CPU's cores are divided.

    torch gets no more threads than the process may keep busy, unless `OMP_NUM_THREADS` sets their number.
    """
    threads = torch.get_num_threads()
    if "OMP_NUM_THREADS" not in os.environ:
        threads = min(threads, processors.allowed())
    threads = max(1, threads // jobs)
    if threads != torch.get_num_threads():
        torch.set_num_threads(threads)
    device = choose_device(name)
    if jobs > 1 and device.type == "cuda" and ":" not in name:
        return torch.device("cuda", slot % torch.cuda.device_count())
    return device


def describe(device: torch.device) -> dict[str, Any]:
    """Return the versions and the machine as plain values for a record."""
    return {
        "genbench": genbench.__version__,
        "commit": commit(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_bytes": psutil.virtual_memory().total,
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "cuda": torch.version.cuda if device.type == "cuda" else None,
    }


def processor() -> str:
    """Return the processor's name as its manufacturer writes it, if the system provides it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def commit() -> str | None:
    """Return the commit of genbench's own checkout, with `+` if files differ from it; None outside a checkout."""
    folder = Path(genbench.__file__).parent.parent
    if not (folder / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
