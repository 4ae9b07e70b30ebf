"""What a plugin shares with every other program: global settings, the environment, the network."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch

from genbench import checkpoint

__all__ = ["changes", "kept", "network_watched", "snapshot"]


def snapshot() -> dict[str, Any]:
    """Return the global state that a plugin must leave as it is, by the name that a message gives it."""
    return {
        "torch's default dtype": torch.get_default_dtype(),
        "torch's default device": torch.get_default_device(),
        "torch's number of threads": torch.get_num_threads(),
        "torch's gradient mode": torch.is_grad_enabled(),
        "the working directory": os.getcwd(),
        "the state of Python's random": random.getstate(),
        "the state of numpy's random": _plain(np.random.get_state()),
        "the environment": dict(os.environ),
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


@contextlib.contextmanager
def network_watched() -> Iterator[list[str]]:
    """Refuse every network connection within the block; the list fills with the addresses that were asked for."""
    asked: list[str] = []

    def refuse(*where: Any, **_: Any) -> Any:
        address = next((part for part in where if not isinstance(part, socket.socket)), "?")
        asked.append(":".join(str(part) for part in address) if isinstance(address, tuple) else str(address))
        raise OSError(f"genbench's contract allows no network connection, asked for {asked[-1]}")

    with (
        mock.patch.object(socket, "getaddrinfo", refuse),
        mock.patch.object(socket.socket, "connect", refuse),
        mock.patch.object(socket.socket, "connect_ex", refuse),
    ):
        yield asked


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
    os.chdir(before["the working directory"])
    random.setstate(before["the state of Python's random"])
    name, keys, *rest = before["the state of numpy's random"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    if dict(os.environ) != before["the environment"]:
        os.environ.clear()
        os.environ.update(before["the environment"])


def _plain(state: Any) -> tuple[Any, ...]:
    # As a tuple, since arrays do not compare to one truth value.
    name, keys, *rest = state
    return (name, tuple(keys.tolist()), *rest)
