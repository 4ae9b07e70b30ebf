"""How often the intervals of `genbench compare` contain the true value: the tables of docs/ci.md.

Normal values with a standard deviation of a tenth of their mean, in BASE and in NEW. If BASE's mean cannot be
distinguished from 0, no interval of a share is shown; that counts as covering. Run `python
benchmarks/interval_coverage.py`.
"""

from __future__ import annotations

import math

import numpy as np

from genbench.records.ratio import relative_interval
from genbench.records.statistics import difference

DRAWS = 4000
SPREAD = 0.10
CHANGES = (-0.5, 0.0, 1.0, 4.0)
SIZES = ((2, 2), (3, 3), (5, 5), (5, 2), (2, 5), (3, 10))


def coverage(change: float, sizes: tuple[int, int], shared: float | None) -> tuple[float, float]:
    """Return how often the interval of the ratio contains `change`, and that of the difference over BASE's mean.

    Args:
        sizes: seeds of BASE and of NEW.
        shared: the correlation of one seed's values in both sets; None if the sets hold different seeds.
    """
    draw = np.random.default_rng([int(100 * (1 + change)), *sizes, int(100 * (shared or 0)), int(shared is None)])
    common, own = draw.normal(size=(2, DRAWS, max(sizes)))
    part = shared or 0.0
    base = 1 + SPREAD * common[:, : sizes[0]]
    new = (1 + change) * (1 + SPREAD * (part * common + math.sqrt(1 - part**2) * own)[:, : sizes[1]])
    if shared is None:
        new = (1 + change) * (1 + SPREAD * own[:, : sizes[1]])
    ratio = plain = 0
    for x, y in zip(base.tolist(), new.tolist(), strict=True):
        ends = relative_interval(y, x, paired=shared is not None)
        ratio += ends is None or ends[0] <= change <= ends[1]
        found = difference(dict(enumerate(y)), dict(enumerate(x, 0 if shared is not None else len(y))))
        scale = math.fsum(x) / len(x)
        plain += ends is None or abs(found.mean / scale - change) <= (found.half_width or 0.0) / abs(scale)
    return ratio / DRAWS, plain / DRAWS


def main() -> None:
    print("| seeds of BASE, NEW | compared | -50% | 0 | +100% | +400% | without BASE's spread |")
    print("| ---: | :--- | ---: | ---: | ---: | ---: | ---: |")
    for sizes in SIZES:
        kinds = {"seed by seed": 0.0, "seed by seed, correlation 0.9": 0.9} if sizes[0] == sizes[1] else {}
        for kind, shared in {**kinds, "as independent": None}.items():
            found = [coverage(change, sizes, shared) for change in CHANGES]
            cells = " | ".join(f"{100 * ratio:.1f}%" for ratio, _ in found)
            plain = [100 * share for _, share in found]
            print(f"| {sizes[0]}, {sizes[1]} | {kind} | {cells} | {min(plain):.1f}–{max(plain):.1f}% |", flush=True)


if __name__ == "__main__":
    main()
