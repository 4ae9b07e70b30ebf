"""How often the intervals of `genbench aggregate` contain the true value: the tables of docs/aggregate.md.

Run `python benchmarks/aggregate_coverage.py`; it takes about ten minutes. Scores on a dataset are normal over
seeds, or skewed (a gamma distribution of shape 2). The datasets are `alike`, with equal means and spreads; `apart`,
with means from 0 to 1 and a spread of 0.05; or `unlike`, with means between 0 and 1 and spreads of 0.1 times a
log-normal factor whose logarithm has a standard deviation of 0.7, drawn `WORLDS` times.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import special

from genbench.aggregate.comparing import matrix
from genbench.aggregate.interquartile import bootstrap, interquartile_mean, middle_mean

WORLDS = 20
TIMES = 100  # in each world
DRAWS = 500
SIZES = tuple(itertools.product((3, 5, 10), (3, 5, 10)))  # datasets, seeds
POINTS = 2000

Array = NDArray[np.float64]


def noise(shape: str, draw: np.random.Generator, size: tuple[int, ...]) -> Array:
    """Return values of mean 0 and variance 1."""
    return draw.normal(size=size) if shape == "normal" else (draw.gamma(2.0, size=size) - 2) / np.sqrt(2)


def quantiles(shape: str) -> Array:
    """Return the quantiles of that distribution, which are equivalent to it for a trimmed mean."""
    at = (np.arange(POINTS) + 0.5) / POINTS
    return special.ndtri(at) if shape == "normal" else (special.gammaincinv(2.0, at) - 2) / np.sqrt(2)


def worlds(kind: str, datasets: int) -> Iterator[tuple[Array, Array]]:
    """Give means and spreads of the datasets."""
    draw = np.random.default_rng([datasets, *kind.encode()])
    for _ in range(WORLDS):
        if kind == "unlike":
            yield draw.uniform(size=datasets), 0.1 * np.exp(0.7 * draw.normal(size=datasets))
        else:
            yield np.linspace(0, 1, datasets) * (kind == "apart"), np.full(datasets, 0.05)


def of_interquartile_means(kind: str, shape: str, datasets: int, seeds: int) -> tuple[float, float]:
    """Return how often the interval of an interquartile mean covers, and how often the bootstrap's percentiles do."""
    draw = np.random.default_rng([datasets, seeds, *kind.encode(), *shape.encode()])
    held = percentiles = 0
    for means, spreads in worlds(kind, datasets):
        everything = (means[:, None] + spreads[:, None] * quantiles(shape)).ravel()
        truth = float(middle_mean(everything, np.full(everything.size, 1 / everything.size)))
        for _ in range(TIMES):
            scores = means[:, None] + spreads[:, None] * noise(shape, draw, (datasets, seeds))
            found = interquartile_mean({str(place): row.tolist() for place, row in enumerate(scores)}, draws=DRAWS)
            assert found.half_width is not None
            held += abs(found.value - truth) <= found.half_width
            low, high = np.quantile(bootstrap([*scores], [seeds] * datasets, 0, DRAWS), (0.025, 0.975))
            percentiles += low <= truth <= high
    return held / (WORLDS * TIMES), percentiles / (WORLDS * TIMES)


def of_pairs(kind: str, shape: str, datasets: int, seeds: int) -> tuple[float, float, float]:
    """Return how often four equal models get a false claim, and how often differences and chances are covered."""
    draw = np.random.default_rng([datasets, seeds, *kind.encode(), *shape.encode(), 4])
    claims = differences = chances = pairs = 0
    for means, _ in worlds(kind, datasets):
        spreads = 0.1 * np.exp((0.7 if kind == "unlike" else 0.0) * draw.normal(size=(4, datasets)))
        for _ in range(TIMES // 2):
            scores = means[:, None] + spreads[:, :, None] * noise(shape, draw, (4, datasets, seeds))
            found = matrix(
                {str(m): {str(d): row.tolist() for d, row in enumerate(rows)} for m, rows in enumerate(scores)}
            )
            claims += any(pair.resolved for pair in found)
            differences += sum(abs(pair.difference.value) <= (pair.difference.half_width or 0.0) for pair in found)
            # For normal scores, a half is the true chance whatever the spreads are; for skewed ones, if they are equal.
            chances += sum(pair.chance_interval[0] <= 0.5 <= pair.chance_interval[1] for pair in found)
            pairs += len(found)
    return claims / (WORLDS * (TIMES // 2)), differences / pairs, chances / pairs


def main() -> None:
    kinds = tuple(itertools.product(("normal", "skewed"), ("alike", "apart", "unlike")))
    print("| datasets, seeds |", " | ".join(f"{shape}, {kind}" for shape, kind in kinds), "| percentiles |")
    print("| ---: |", " | ".join(["---:"] * len(kinds)), "| ---: |")
    for datasets, seeds in SIZES:
        found = [of_interquartile_means(kind, shape, datasets, seeds) for shape, kind in kinds]
        plain = [100 * share for _, share in found]
        cells = " | ".join(f"{100 * share:.1f}%" for share, _ in found)
        print(f"| {datasets}, {seeds} | {cells} | {min(plain):.0f}–{max(plain):.0f}% |", flush=True)
    print("\n| datasets, seeds | scores | false claims | differences | chances |\n| ---: | :--- | ---: | ---: | ---: |")
    for (datasets, seeds), (shape, kind) in itertools.product(SIZES, kinds):
        if kind != "apart":
            cells = " | ".join(f"{100 * share:.1f}%" for share in of_pairs(kind, shape, datasets, seeds))
            print(f"| {datasets}, {seeds} | {shape}, {kind} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
