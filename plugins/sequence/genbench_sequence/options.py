"""Checks that option values are in their domain; errors are one line."""

from __future__ import annotations

import math

__all__ = ["check_counts", "check_not_negative", "check_positive", "check_share"]


def check_counts(**counts: int) -> None:
    """Raise `ValueError` naming the first count that is below 1."""
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, not {count}")


def check_not_negative(**values: float) -> None:
    """Raise `ValueError` naming the first value that is below 0, or not finite."""
    for name, value in values.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be at least 0 and finite, not {value}")


def check_positive(**values: float) -> None:
    """Raise `ValueError` naming the first value that is not above 0 and finite."""
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be above 0 and finite, not {value}")


def check_share(**shares: float) -> None:
    """Raise `ValueError` naming the first share that is not in [0, 1]."""
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must be in [0, 1], not {share}")
