"""How many processors this process may keep busy: those it may run on, or those its container grants."""

from __future__ import annotations

import math
import os
from pathlib import Path

__all__ = ["allowed"]


def allowed(proc: Path = Path("/proc/self/cgroup"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the number of processors worth a thread each, at least 1.

    A container's share (`docker run --cpus=2`, a pod's limit) is a quota of time: all processors are visible, torch
    starts a thread for each, and the kernel stops them all when the quota is used up. torch does not check it.

    Args:
        proc: the file that names the process's control groups.
        groups: where the control groups are mounted.

    Source: Linux kernel documentation, "Control Group v2", cpu.max, and "CFS Bandwidth Control".
    """
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for folder in _folders(proc, groups) if (quota := _quota(folder)) is not None]
    return max(1, min([seen, *(math.ceil(quota) for quota in quotas)]))


def _folders(proc: Path, groups: Path) -> list[Path]:
    """Return the control groups that bound this process: its own and their parents; empty if there are none."""
    try:
        lines = [line.split(":", 2) for line in proc.read_text().splitlines()]
    except OSError:
        return []
    found = []
    for _, controllers, name in (line for line in lines if len(line) == 3):
        root = groups / "cpu" if "cpu" in controllers.split(",") else groups
        if root != groups or not controllers:
            own = root / name.lstrip("/")
            found += [folder for folder in (own, *own.parents) if folder.is_relative_to(root)]
    return found


def _quota(folder: Path) -> float | None:
    """Return the processors that a group may use; None if it has no bound, or is not visible from here."""
    try:
        if (unified := folder / "cpu.max").exists():
            quota, period = unified.read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return float(quota) / float(period) if float(quota) > 0 else None
    except (OSError, ValueError):  # "max", or no such group
        return None
