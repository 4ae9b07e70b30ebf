"""How often the interval of `fd_ratio` contains the true ratio: the table of docs/metrics.md.

Run `python benchmarks/ratio_coverage.py --counts 500`. Features of known distribution, in `WORLDS` worlds with a
training set each. New data are fresh draws. The model draws from the same distribution, wider by a factor that differs
between its seeds, so that its distance is about three times that of new data. The truth is the ratio of the mean
distances of many independent draws. `jackknife` is the interval without the subsets of `frechet_floor`.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genbench.metrics.evidence import Evidence
from genbench.metrics.frechet import frechet_distance
from genbench.metrics.frechet_floor import held_out_standard_error
from genbench.metrics.gaussian import GaussianStatistics
from genbench.metrics.reference import ReferenceStatistics
from genbench.metrics.resampling import frechet_standard_error
from genbench.records.real_ratio import of_real, real_mean

TRAINING = 10_000
WORLDS = 6
DRAWS = 100  # of new data, in each world
TRUTH = 2  # times as many draws for each true mean
SEEDS = (3, 5)  # of one seed there is no interval
SPREADS = (0.0, 0.1)  # deviation of a seed's excess width, as a share of it

Array = NDArray[np.float64]
Draw = Callable[[int, int, torch.Generator], Tensor]  # count, dimension


def normal(count: int, dimension: int, draw: torch.Generator) -> Tensor:
    """With variances 1, 1/2, 1/3 and so on."""
    scale = torch.arange(1, dimension + 1, dtype=torch.float64).rsqrt()
    return scale * torch.randn(count, dimension, generator=draw, dtype=torch.float64)


def heavy_tailed(count: int, dimension: int, draw: torch.Generator) -> Tensor:
    """Student's t of five degrees of freedom, with the same proportions."""
    chi = torch.randn(count, 5, generator=draw, dtype=torch.float64).square().mean(1, keepdim=True)
    return normal(count, dimension, draw) / chi.sqrt()


def rectified(count: int, dimension: int, draw: torch.Generator) -> Tensor:
    """Like the features of a network: the ReLU of a map of 16 latents, with little noise."""
    fixed = torch.Generator().manual_seed(5)
    mixing = torch.randn(16, dimension, generator=fixed, dtype=torch.float64) / 4
    latents, noise = (torch.randn(count, d, generator=draw, dtype=torch.float64) for d in (16, dimension))
    return (latents @ mixing + 0.2).relu() + 0.05 * noise


FEATURES: dict[str, Draw] = {"normal": normal, "t of 5 degrees": heavy_tailed, "ReLU of 16 latents": rectified}


@dataclass(frozen=True)
class World:
    """What is measured against one training set: new data with both errors, the model's seeds, and the true means."""

    new: Array
    errors: dict[str, Array]
    models: dict[float, Array]  # by the spread of seeds
    truth: float
    true_models: dict[float, float]


def world(features: Draw, dimension: int, count: int, draws: int, seed: int) -> World:
    draw = torch.Generator().manual_seed(seed)
    training = features(TRAINING, dimension, draw)
    known = ReferenceStatistics(training)

    def distance(samples: Tensor) -> float:
        return frechet_distance(GaussianStatistics.from_features(samples), known.gaussian)

    def fresh() -> Tensor:
        return features(count, dimension, draw)

    truth = float(np.mean([distance(fresh()) for _ in range(TRUTH * draws)]))
    # Wider by a factor w in every direction, a distance grows by (w − 1)² tr Σ.
    excess = math.sqrt(2 * truth / known.gaussian.trace)
    wider = torch.randn(TRUTH * draws, generator=draw).tolist()
    models = {
        spread: np.array([distance((1 + excess * (1 + spread * z)) * fresh()) for z in wider]) for spread in SPREADS
    }
    new, errors = [], {"jackknife": [], "subsets": []}
    for _ in range(draws):
        evidence = Evidence(samples=fresh(), reference=training, samples_held_out=True, statistics=known)
        new.append(frechet_distance(evidence.sample_gaussian, known.gaussian))
        plain = frechet_standard_error(evidence.samples, known.gaussian, total=evidence.sample_gaussian)
        errors["jackknife"].append(plain)
        errors["subsets"].append(held_out_standard_error(evidence, plain))
    means = {spread: float(found.mean()) for spread, found in models.items()}
    return World(np.array(new), {name: np.array(of) for name, of in errors.items()}, models, truth, means)


def covered(found: World, error: str, seeds: int, spread: float, wider: float = 1.0) -> Iterator[bool]:
    """Tell for each draw of new data, and as many seeds of the model, whether the interval contains the true ratio.

    Args:
        wider: a factor on both sides' errors: of an interval that would be wrong.
    """
    draw = np.random.default_rng(seeds)
    true = found.true_models[spread] / found.truth
    for value, of_value in zip(found.new, found.errors[error], strict=True):
        values = draw.choice(found.models[spread], seeds, replace=False)
        ratio = of_real(values.tolist(), real_mean([value] * seeds, of_value, 1, 1))
        assert ratio is not None
        assert ratio.high is not None
        yield abs(math.log(true / ratio.ratio)) <= wider * math.log(ratio.high / ratio.ratio)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=[500, 1000, 2000])
    parser.add_argument("--dimensions", type=int, nargs="+", default=[16, 64, 256])
    parser.add_argument("--features", nargs="+", choices=FEATURES, default=list(FEATURES))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print("| features | dimension | samples | 3 seeds | 3, apart | 5 seeds | 5, apart | jackknife |", flush=True)
    print("| :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for dimension, count, name in itertools.product(asked.dimensions, asked.counts, asked.features):
        worlds = [world(FEATURES[name], dimension, count, DRAWS, seed) for seed in range(WORLDS)]
        shares = {
            error: [
                100 * np.mean([held for each in worlds for held in covered(each, error, seeds, spread)])
                for seeds, spread in itertools.product(SEEDS, SPREADS)
            ]
            for error in ("subsets", "jackknife")
        }
        cells = " | ".join(f"{share:.1f}%" for share in shares["subsets"])
        plain = f"{min(shares['jackknife']):.0f}–{max(shares['jackknife']):.0f}%"
        print(f"| {name} | {dimension} | {count:,} | {cells} | {plain} |", flush=True)


if __name__ == "__main__":
    main()
