"""Reads and restores how Python handles signals, warnings and NumPy's floating-point errors."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Handler", "errors", "set_errors", "set_signals", "signals"]

# A training that is asked to end writes a checkpoint, and whoever starts processes waits for them.
_WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)


class Handler:
    """How a signal is handled. Python's own ways and genbench's are equal: a training has its own while it runs."""

    def __init__(self, handler: Any) -> None:
        self.handler = handler
        module = str(getattr(handler, "__module__", ""))
        usual = handler in (signal.SIG_DFL, signal.default_int_handler)
        self._is_usual = usual or module.partition(".")[0] == "genbench"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Handler):
            return NotImplemented
        return self.handler == other.handler or (self._is_usual and other._is_usual)

    __hash__ = None  # type: ignore[assignment]  # equal ones need not have equal handlers

    def __str__(self) -> str:
        if isinstance(self.handler, signal.Handlers):
            return self.handler.name
        return str(getattr(self.handler, "__qualname__", self.handler))


def signals() -> dict[str, Handler]:
    """Return how signals that genbench relies on are handled."""
    return {number.name: Handler(signal.getsignal(number)) for number in _WATCHED}


def set_signals(before: Mapping[str, Handler]) -> None:
    """Restore what `signals` returned, where that can be done: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return
    for name, now in signals().items():
        if now != before[name] and before[name].handler is not None:  # None is a handler that is not Python's
            signal.signal(signal.Signals[name], before[name].handler)


def errors() -> list[tuple[Any, ...]]:
    """Return the filters that make an error of a warning; others only decide what is shown, and imports add some."""
    return [each for each in warnings.filters if each[0] == "error"]


def set_errors(before: Sequence[tuple[Any, ...]]) -> None:
    """Restore what `errors` returned."""
    if errors() != before:
        warnings.filters[:] = [*before, *(each for each in warnings.filters if each[0] != "error")]  # type: ignore[index]
