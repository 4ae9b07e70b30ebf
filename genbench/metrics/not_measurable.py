"""What a metric raises where its number cannot be computed."""

from __future__ import annotations

__all__ = ["NotMeasurable", "lacks_evidence"]

NONE_GIVEN = "there are none"


class NotMeasurable(ValueError):  # noqa: N818 - not an error: the number just cannot be computed
    """A metric cannot be computed from this evidence, through nobody's fault: one line says which metric and why."""


def lacks_evidence(reason: str) -> bool:
    """Return whether a metric was not measured because something that it needs does not exist, as opposed to too few.

    >>> lacks_evidence("likelihood: needs log likelihoods, and there are none")
    True
    >>> lacks_evidence("fd_infinity: needs at least 256 samples for 64 features, got 100")
    False
    """
    return NONE_GIVEN in reason  # records of schemas 1 and 2 say `which there are none of`
