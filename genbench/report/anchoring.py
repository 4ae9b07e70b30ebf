"""The score scale that a section's controls define for its main number: where 0 and 1 come from."""

from __future__ import annotations

import math

from genbench.records.score import ONE, ZERO, Anchors
from genbench.report.sections import Section

__all__ = ["anchored"]


def anchored(section: Section) -> tuple[str, Anchors | None, str]:
    """Return the control at 0, the scale of the section's main number, and, if there is no scale, the reason."""
    assert section.main is not None
    assert section.quantity is not None
    levels = {
        str(row.cell["model"]): mean
        for row in reversed(section.controls)
        if math.isfinite(mean := row.summary(section.main).mean)
    }
    zero = next((control for control in ZERO if control in levels), "")
    missing = [*([] if zero else [" or ".join(ZERO)]), *([] if ONE in levels else [ONE])]
    if missing:
        return zero, None, f"no control {' and no '.join(missing)} under its recipe"
    anchors = Anchors(levels[zero], levels[ONE], section.quantity.direction or "lower")
    return zero, None if anchors.fault else anchors, anchors.fault or ""
