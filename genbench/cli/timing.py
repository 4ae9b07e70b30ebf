"""`--timing`: how long each metric took, outside the clock of any training."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping

from genbench.cli.terminal import say

__all__ = ["print_timing"]


def print_timing(each: Iterable[Mapping[str, float]]) -> None:
    """Print the seconds of every metric, the slowest first: a mean where there are several cells.

    Args:
        each: the seconds by metric of each cell or evaluation; `features` is shared by all metrics.
    """
    taken: dict[str, list[float]] = {}
    for seconds in each:
        for name, value in seconds.items():
            taken.setdefault(name, []).append(value)
    cells = max(map(len, taken.values()), default=0)
    over = f", mean over {cells} cells" if cells > 1 else ""
    say(f"seconds of each metric with its standard error{over}:", err=True)
    width = max(map(len, taken), default=0)
    for name, values in sorted(taken.items(), key=lambda pair: -statistics.fmean(pair[1])):
        say(f"  {name:<{width}}  {statistics.fmean(values):8.2f}", err=True)
