"""The figure of performance profiles for time to target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genbench.records.target import share_within
from genbench.report.drawing import GREY, Margins, Style, caption, count_axis, legend_above, legend_room, new_figure
from genbench.report.target_chart import MOST_LINES, profile_end
from genbench.report.to_target import MEASURED, Profiles

__all__ = ["profile_figure"]

_WIDTH = 11.5


def profile_figure(over: Profiles, colours: Mapping[str, Style]) -> Figure:
    """Return ρ(τ) in items, seconds and FLOPs, with a step at each ratio, for the best `MOST_LINES` models by ρ(1)."""
    everyone = next(iter(over.ratios.values()), {})
    best = sorted(everyone, key=lambda name: [-share_within(everyone[name], tau) for tau in (1.0, math.inf)])
    drawn = best[:MOST_LINES]
    across, legend = legend_room([caption(name) for name in drawn], _WIDTH)
    figure, axes = new_figure(_WIDTH, 3.6 + legend, columns=3, margins=Margins(top=0.2 + legend))
    for axis, (measure, label) in zip(axes, MEASURED.items(), strict=True):
        _panel(axis, {name: over.ratios.get(measure, {}).get(name, ()) for name in drawn}, colours)
        axis.set_xlabel(f"τ, multiple of the minimum {label.format(noun='items')}")
        axis.set_ylabel("share of datasets within τ")
    legend_above(figure, axes, across)
    return figure


def _panel(axis: Axes, ratios: Mapping[str, Sequence[float]], colours: Mapping[str, Style]) -> None:
    axis.set_ylim(-0.03, 1.03)
    right = profile_end([ratio for held in ratios.values() for ratio in held])
    if right is None:
        why = "not met on any dataset" if any(ratios.values()) else "not recorded, or\nfrom several machines"
        axis.text(0.5, 0.5, why, transform=axis.transAxes, ha="center", color=GREY)
        return
    for place, (name, held) in enumerate(ratios.items()):
        steps = [1.0, *sorted({ratio for ratio in held if 1 < ratio < math.inf}), right]
        shares = [share_within(held, tau) + 0.004 * place for tau in steps]  # separates lines that coincide
        axis.step(steps, shares, where="post", color=colours[name][0], label=caption(name))
    axis.set_xlim(1.0, right)  # first, because tick labels depend on the visible range
    count_axis(axis, [1.0, right])
    axis.set_xlim(1.0, right)
