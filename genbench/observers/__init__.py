"""Observers: plugins that are told how a benchmark goes on, each in a thread of its own, and change nothing."""

from __future__ import annotations

from genbench.observers.listening import observing

__all__ = ["observing"]
