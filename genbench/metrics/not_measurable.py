"""What a metric raises where its number is not to be had."""

from __future__ import annotations

__all__ = ["NotMeasurable"]


class NotMeasurable(ValueError):  # noqa: N818 - no error of anyone: a number that is not to be had
    """A metric cannot be had from this evidence, for a reason that is no fault: one line says which metric and why."""
