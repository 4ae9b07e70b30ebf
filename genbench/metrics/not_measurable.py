"""What a metric raises where its number cannot be computed."""

from __future__ import annotations

__all__ = ["NotMeasurable"]


class NotMeasurable(ValueError):  # noqa: N818 - not an error: the number just cannot be computed
    """A metric cannot be computed from this evidence, through nobody's fault: one line says which metric and why."""
