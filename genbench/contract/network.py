"""Detects whether a plugin opens a network connection."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any
from unittest import mock

__all__ = ["network_watched"]


@contextlib.contextmanager
def network_watched() -> Iterator[list[str]]:
    """Refuse every network connection within the block; the list collects the requested addresses."""
    asked: list[str] = []

    def refuse(*where: Any, **_: Any) -> Any:
        address = next((part for part in where if not isinstance(part, socket.socket)), "?")
        asked.append(":".join(str(part) for part in address) if isinstance(address, tuple) else str(address))
        raise OSError(f"genbench's contract allows no network connection, requested: {asked[-1]}")

    with (
        mock.patch.object(socket, "getaddrinfo", refuse),
        mock.patch.object(socket.socket, "connect", refuse),
        mock.patch.object(socket.socket, "connect_ex", refuse),
    ):
        yield asked
