"""Observers: plugins that receive the progress of a benchmark, each in its own thread, and change nothing."""

from __future__ import annotations

from genbench.observers.listening import observing

__all__ = ["observing"]
