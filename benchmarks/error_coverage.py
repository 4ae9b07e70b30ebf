"""How often ± 1.96 standard errors cover a number's mean, over fresh draws: `python benchmarks/error_coverage.py`.

Prints one row per number, distribution and count: the mean error over the deviation of the number between draws, and
the share of draws whose interval covers their mean. `--draws 1000` leaves the share uncertain by 0.007, the ratio by
0.03; means over images, which cost nothing, are drawn 20 times as often, and cases of over 1,000 features or logits a
fifth as often. `--only c2st_auc` prints the rows of that number, `--only heavy` those of heavy-tailed features.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.metrics import METRICS, Evidence, standard_errors
from genbench.metrics.resampling import mean_standard_error, score_standard_error
from genbench.metrics.standard_errors import standard_error

Measured = Callable[[int], dict[str, tuple[float, float]]]  # seed -> number -> value, error
Draw = Callable[[int, torch.Generator], Tensor]
Case = tuple[str, int, Measured, float]  # distribution, count, measurement, draws as a multiple of those requested
WIDTH = 64
STEEP = torch.arange(1, WIDTH + 1).pow(-0.75)
TABLE = {"fd": "frechet_distance", "kid": "kernel_distance", "precision": "precision_recall"}
TABLE |= {"density": "density_coverage", "authenticity": "authenticity"}
ASKED_FOR = {
    "mind": "monge_distance",
    "mmd": "unit_discrepancy",
    "kad": "kernel_audio_distance",
    "vendi": "vendi_score",
}
TABLE |= ASKED_FOR | {"c2st_auc": "two_sample_test", "clipped_density": "clipped_density_coverage"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--only", choices=GROUPS)
    given = parser.parse_args()
    groups = [given.only] if given.only else GROUPS
    torch.set_num_threads(1)
    print("| number | of | count | error ÷ deviation | covers |\n| --- | --- | ---: | ---: | ---: |")
    for of, count, measured, times in (case for group in groups for case in GROUPS[group]()):
        found = [measured(seed) for seed in range(round(given.draws * times))]
        for name in found[0]:
            values, errors = torch.tensor([one[name] for one in found], dtype=torch.float64).T
            held = ((values - values.mean()).abs() <= 1.96 * errors).double().mean()
            print(f"| `{name}` | {of} | {count} | {errors.mean() / values.std():.2f} | {held:.3f} |", flush=True)


def of_default() -> Iterator[Case]:
    for classes, counts in ((10, (200, 1000)), (100, (200, 1000)), (1008, (1008, 2016))):
        for of, logits in LOGITS.items():
            for count in counts:
                often = 1 if count * classes < 500_000 else 0.2
                yield f"{classes} classes, {of}", count, of_score(logits, classes, count), often
    for of, draw in SKEWED.items():
        for count in (100, 200, 1000):
            yield of, count, lambda seed, n=count, d=draw: {"mean": pair(d(n, generator(seed)))}, 20  # type: ignore[misc]
    for of, draw in FEATURES.items():
        for count in (100, 300, 1000, 3000):
            yield of, count, of_features(draw, count, ("fd",)), 1 if count < 3000 else 0.2
        for count in (100, 200, 500, 1000):
            often = 1 if count < 500 else 0.3
            yield of, count, of_features(draw, count, ("kid", "precision", "density", "authenticity")), often


def of_asked_for() -> Iterator[Case]:
    for of, draw in {"normal": _normal, "normal, 0.3 off": lambda n, g: _normal(n, g) + 0.3}.items():
        for count in (100, 300):
            yield of, count, of_features(draw, count, tuple(ASKED_FOR), _normal), 0.3
    steep = FEATURES["spectrum i^-1.5"]
    for count in (100, 300):
        wide = of_features(lambda n, g: 1.3 * steep(n, g), count, ("clipped_density",), steep)
        yield "spectrum i^-1.5, 1.3 times as wide", count, wide, 0.3


def of_two_samples() -> Iterator[Case]:
    for of, (draw, off) in MOVED.items():
        for count, often in ((100, 1), (300, 0.5), (1000, 0.2)):
            for moved in (0, off):
                yield f"{of}, {moved} off", count, of_both(draw, moved, count), often


def of_heavy() -> Iterator[Case]:
    for of, draw in HEAVY.items():
        for count in (300, 1000):
            yield of, count, of_features(draw, count, ("fd", "mind", "kad")), 1 if count < 1000 else 0.5


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pair(values: Tensor) -> tuple[float, float]:
    return float(values.double().mean()), mean_standard_error(values)


def of_score(logits: Callable[[int, int, torch.Generator], Tensor], classes: int, count: int) -> Measured:
    def measured(seed: int) -> dict[str, tuple[float, float]]:
        drawn = logits(count, classes, generator(seed))
        evidence = Evidence(samples=drawn, reference=drawn, sample_logits=drawn)
        score = METRICS["classifier_score"].compute(evidence)["classifier_score"]
        return {"classifier_score": (score, score_standard_error(drawn))}

    return measured


def of_both(draw: Callable[[int, torch.Generator, float], Tensor], off: float, count: int) -> Measured:
    """For a number whose error counts both sides: each draw has its own data."""

    def measured(seed: int) -> dict[str, tuple[float, float]]:
        evidence = Evidence(draw(count, generator(seed), off), draw(count, generator(seed + 10**6), 0))
        return {"c2st_auc": (METRICS[TABLE["c2st_auc"]].compute(evidence)["c2st_auc"], error("c2st_auc", evidence))}

    return measured


def of_features(draw: Draw, count: int, names: tuple[str, ...], data: Draw | None = None) -> Measured:
    reference = 1.05 * (data or draw)(2000, generator(10**6))  # the same shape, slightly wider
    statistics = Evidence(samples=reference, reference=reference).statistics

    def measured(seed: int) -> dict[str, tuple[float, float]]:
        evidence = Evidence(samples=draw(count, generator(seed)), reference=reference, statistics=statistics)
        return {name: (METRICS[TABLE[name]].compute(evidence)[name], error(name, evidence)) for name in names}

    return measured


def error(name: str, evidence: Evidence) -> float:
    standard_errors.LEAST, standard_errors.LEAST_OF = 0, {}  # also for fewer images than the least that have an error
    found = standard_error(name, evidence)
    assert found is not None
    return found


def _normal(count: int, draw: torch.Generator) -> Tensor:
    return torch.randn(count, WIDTH, generator=draw, dtype=torch.float64)


def _heavy(count: int, draw: torch.Generator, degrees: int) -> Tensor:
    return _normal(count, draw) / torch.randn(count, degrees, generator=draw).square().mean(1, keepdim=True).sqrt()


def _clusters(count: int, draw: torch.Generator) -> Tensor:
    """A tenth of the items is 6 deviations off in each of 8 features."""
    return _normal(count, draw)[:, :8] + 6.0 * (torch.rand(count, 1, generator=draw) < 0.1)


def _relu(count: int, draw: torch.Generator, off: float = 0) -> Tensor:
    return (_normal(count, draw)[:, :16] @ _mixing() + 0.2 + off).relu() + 0.05 * _normal(count, draw)


def _turned(features: Tensor) -> Tensor:
    return features @ torch.linalg.qr(_normal(WIDTH, generator(6))).Q


def _mixing() -> Tensor:
    return torch.randn(16, WIDTH, generator=generator(5), dtype=torch.float64) / 4


FEATURES: dict[str, Draw] = {
    "normal": _normal,
    "spectrum i^-1.5": lambda n, g: _normal(n, g) * STEEP,
    "t of 5 degrees": lambda n, g: _heavy(n, g, 5),
    "ReLU of 16 latents": _relu,
}
MOVED: dict[str, tuple[Callable[[int, torch.Generator, float], Tensor], float]] = {
    "normal, 8 features": (lambda n, g, off: _normal(n, g)[:, :8] + off, 0.2),
    "normal": (lambda n, g, off: _normal(n, g) + off, 0.2),
    "spectrum i^-1.5, turned": (lambda n, g, off: _turned((_normal(n, g) + off) * STEEP), 0.2),
    "ReLU of 16 latents": (_relu, 0.1),
    "t of 5 degrees": (lambda n, g, off: _heavy(n, g, 5) + off, 0.2),
    "clusters, 8 features": (lambda n, g, off: _clusters(n, g) + off, 0.7),
}
HEAVY: dict[str, Draw] = {
    "t of 3 degrees": lambda n, g: _heavy(n, g, 3),
    "lognormal": lambda n, g: _normal(n, g).exp(),
}
SKEWED: dict[str, Draw] = {
    "skewness 0": lambda n, g: torch.randn(n, generator=g),
    "skewness 1": lambda n, g: torch.randn(n, 8, generator=g).square().sum(1),
    "skewness 2": lambda n, g: torch.rand(n, generator=g).log().neg(),
}
LOGITS: dict[str, Callable[[int, int, torch.Generator], Tensor]] = {
    "sure": lambda n, c, g: 12.0 * F.one_hot(torch.randint(c, (n,), generator=g), c) + torch.randn(n, c, generator=g),
    "unsure": lambda n, c, g: 3 * torch.randn(n, c, generator=g),
    "a third unsure": lambda n, c, g: (
        10.0 * (torch.rand(n, 1, generator=g) > 1 / 3) * F.one_hot(torch.randint(c, (n,), generator=g), c)
        + torch.randn(n, c, generator=g)
    ),
}
GROUPS = {"default": of_default, "asked for": of_asked_for, "c2st_auc": of_two_samples, "heavy": of_heavy}

if __name__ == "__main__":
    main()
