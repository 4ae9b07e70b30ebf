"""Reports models that are no better than silence, judged by the control `silence` in each section."""

from __future__ import annotations

import math

from genbench.report.escape import code, text
from genbench.report.formatting import plain
from genbench.report.quantities import quantity
from genbench.report.sections import Section
from genbench.report.tables import headline_columns

__all__ = ["beaten_by_silence"]


def beaten_by_silence(section: Section) -> str:
    """Return, as a Markdown list, the headline numbers in which each model is worse than the control `silence`.

    Silent output is known to score well in some features, and a number that prefers it says nothing about a model.
    """
    silence = next((row for row in section.controls if row.cell["model"] == "silence"), None)
    if silence is None:
        return ""
    lines = []
    for row in section.models:
        lost = []
        for column in headline_columns(section):
            mine, none = row.summary(column).mean, silence.summary(column).mean
            direction = quantity(column[0]).direction
            if direction and math.isfinite(mine) and math.isfinite(none):
                worse = mine > none if direction == "lower" else mine < none
                if worse:
                    lost.append(f"{text(quantity(column[0]).heading)} ({plain(mine)}, silence {plain(none)})")
        if lost:
            lines.append(f"- **{code(row.name)} is beaten by *silence*** in {', '.join(lost)}.")
    return "\n".join(lines)
