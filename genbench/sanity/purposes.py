"""What each number is meant to measure, and therefore what a check may expect of it. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from genbench.metrics.metric import Direction, Metric
from genbench.sanity.constants import Purpose

__all__ = ["FEATURES", "PURPOSES", "Reading", "readings"]

# What the checks draw: a metric that needs anything else cannot be checked.
FEATURES = ("samples", "reference", "held_out")


@dataclass(frozen=True)
class Reading:
    """How a number is read.

    Args:
        purpose: what it is meant to measure.
        ideal: its value for samples from the data's own distribution; None where there is no such value.
        direction: which way is better; None: as in its `Value`. For a number without a direction there, such as `c_t`,
            the one that its purpose calls better.
    """

    purpose: Purpose
    ideal: float | None = None
    direction: Direction | None = None


# Numbers without a purpose (p-values, deviations, diagnostics) are not judged.
PURPOSES: dict[str, Reading] = {
    "precision": Reading("fidelity", 1),
    "density": Reading("fidelity", 1),
    "clipped_density": Reading("fidelity", 1),
    "recall": Reading("diversity", 1),
    "coverage": Reading("diversity", 1),
    "clipped_coverage": Reading("diversity", 1),
    "vendi": Reading("diversity", direction="higher"),
    "vendi_ratio": Reading("diversity", 1, direction="higher"),
    "fd": Reading("distance", 0),
    "fd_infinity": Reading("distance", 0),
    "kid": Reading("distance", 0),
    "kid_subsets": Reading("distance", 0),
    "mind": Reading("distance", 0),
    "mmd": Reading("distance", 0),
    "kad": Reading("distance", 0),
    "c2st_auc": Reading("distance", 0.5),
    "mauve_star": Reading("distance", 1),
    "frontier_integral": Reading("distance", 0),
    "fld": Reading("generalisation"),
    "authenticity": Reading("copying"),
    "c_t": Reading("copying", 0, direction="higher"),
    "fd_gap": Reading("copying", 0),
}


def readings(metric: Metric, purpose: Purpose | None = None) -> dict[str, Reading]:
    """Return number → how it is read, for those numbers of a metric that the checks can judge.

    Args:
        metric: the metric.
        purpose: for those of its numbers that `PURPOSES` does not list, if they have a direction; None: a distance.

    Returns:
        Readings whose direction is never None.

    >>> from genbench.metrics import METRICS
    >>> readings(METRICS["data_copying"])
    {'c_t': Reading(purpose='copying', ideal=0, direction='higher')}
    """
    found = {}
    for value in metric.values:
        reading = PURPOSES.get(value.name, Reading(purpose or "distance"))
        direction = reading.direction or value.direction
        if direction is not None:
            found[value.name] = Reading(reading.purpose, reading.ideal, direction)
    return found
