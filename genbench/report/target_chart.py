"""What the chart of performance profiles for time to target shows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from genbench.records.target import share_within
from genbench.report.chart import Chart, Extent, Mark, Panel
from genbench.report.drawing import scale
from genbench.report.to_target import MEASURED, Profiles

__all__ = ["MOST_LINES", "profile_chart", "profile_end"]

MOST_LINES = 7


def profile_chart(over: Profiles) -> Chart | None:
    """Return ρ(τ) in items, seconds and FLOPs, best model by ρ(1) first; None if no model meets the target anywhere."""
    everyone = next(iter(over.ratios.values()), {})
    best = sorted(everyone, key=lambda name: [-share_within(everyone[name], tau) for tau in (1.0, math.inf)])
    panels = []
    for measure, label in MEASURED.items():
        ratios = over.ratios.get(measure, {})
        right = profile_end([ratio for held in ratios.values() for ratio in held])
        if right is not None:
            panels.append(
                Panel(
                    *("steps", f"τ, multiple of the minimum {label.format(noun='items')}"),
                    "share of datasets within τ",
                    {name: _steps(ratios[name], right) for name in best},
                    log_x=scale([1.0, right], factor=8.0) == "log",
                )
            )
    return Chart(panels, MOST_LINES) if panels else None


def profile_end(ratios: Sequence[float]) -> float | None:
    """Return where the axis of these ratios ends; None if all of them are infinite."""
    finite = [ratio for ratio in ratios if math.isfinite(ratio)]
    return max(1.5, 1.15 * max(finite)) if finite else None


def _steps(held: Sequence[float], right: float) -> list[Mark]:
    steps = [1.0, *sorted({ratio for ratio in held if 1 < ratio < math.inf}), right]
    return [Mark(Extent(tau), Extent(share_within(held, tau))) for tau in steps]
