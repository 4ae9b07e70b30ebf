"""What a plugin shares with every other program: global settings, the environment, threads, child processes."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil
import torch

from genbench import checkpoint

__all__ = ["changes", "kept", "leftovers", "snapshot"]

# Compiling networks sets these, and leaves a pool of compilers running: no plugin's doing.
_COMPILERS_VARIABLES = ("TORCH", "TRITON", "PYTORCH")
_COMPILERS_COMMAND = "torch/_inductor/"
_POOLS_THREADS = "ThreadPoolExecutor"
_LIBRARIES_THREADS = ("tqdm.", "torch.")


def snapshot() -> dict[str, Any]:
    """Return the global state that a plugin must leave as it is, by the name that a message gives it."""
    return {
        "torch's default dtype": torch.get_default_dtype(),
        "torch's default device": torch.get_default_device(),
        "torch's number of threads": torch.get_num_threads(),
        "torch's gradient mode": torch.is_grad_enabled(),
        "torch's choice of deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "torch's detection of anomalies": torch.is_anomaly_enabled(),
        "torch's precision of float32 products": torch.get_float32_matmul_precision(),
        "the working directory": os.getcwd(),
        "the state of Python's random": random.getstate(),
        "the state of numpy's random": _plain(np.random.get_state()),
        "the environment": _environment(),
    }


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return what differs between two snapshots, in words."""
    return [_describe(name, before[name], after[name]) for name in before if before[name] != after[name]]


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Put the global state and torch's generators back after the block, so that no check disturbs the next one."""
    before, generators = snapshot(), checkpoint.random_state()
    try:
        yield
    finally:
        _restore(before)
        checkpoint.restore_random_state(generators)


def leftovers(before: set[int], compiled: bool = False) -> list[str]:
    """Return the threads that were not there `before` (their identifiers) and the child processes, in words.

    Left out are what torch's compiler and a progress bar keep running; where networks were `compiled` also the threads
    of pools without a name, since the compiler has such.
    """
    threads = [
        f"thread {thread.name!r}"
        for thread in threading.enumerate()
        if thread.ident not in before
        and not type(thread).__module__.startswith(_LIBRARIES_THREADS)
        and not (compiled and thread.name.startswith(_POOLS_THREADS))
    ]
    return threads + [
        f"process {child.pid} ({name})" for child in psutil.Process().children() if (name := _name(child))
    ]


def _name(process: psutil.Process) -> str:
    """Return what a process runs; empty where it has ended meanwhile, or is the compiler's."""
    try:
        command = process.cmdline()
        ended = process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return ""
    compilers = any(_COMPILERS_COMMAND in part for part in command)
    return "" if ended or compilers else os.path.basename(command[0] if command else process.name())


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith(_COMPILERS_VARIABLES)}


def _describe(name: str, before: Any, after: Any) -> str:
    if name == "the environment":
        names = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
        return f"the environment ({', '.join(names)})"
    if "random" in name:
        return name
    return f"{name} ({before} became {after})"


def _restore(before: dict[str, Any]) -> None:
    torch.set_default_dtype(before["torch's default dtype"])
    if torch.get_default_device() != before["torch's default device"]:
        # None, since naming the CPU would put a mode of torch's around everything that follows.
        device = before["torch's default device"]
        torch.set_default_device(None if device.type == "cpu" else device)
    if torch.get_num_threads() != before["torch's number of threads"]:
        torch.set_num_threads(before["torch's number of threads"])
    torch.set_grad_enabled(before["torch's gradient mode"])
    if torch.are_deterministic_algorithms_enabled() != before["torch's choice of deterministic algorithms"]:
        torch.use_deterministic_algorithms(before["torch's choice of deterministic algorithms"])
    torch.autograd.set_detect_anomaly(before["torch's detection of anomalies"])
    torch.set_float32_matmul_precision(before["torch's precision of float32 products"])
    os.chdir(before["the working directory"])
    random.setstate(before["the state of Python's random"])
    name, keys, *rest = before["the state of numpy's random"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    now, then = _environment(), before["the environment"]
    for name in now.keys() - then.keys():
        del os.environ[name]
    os.environ.update({name: value for name, value in then.items() if now.get(name) != value})


def _plain(state: Any) -> tuple[Any, ...]:
    # As a tuple, since arrays do not compare to one truth value.
    name, keys, *rest = state
    return (name, tuple(keys.tolist()), *rest)
