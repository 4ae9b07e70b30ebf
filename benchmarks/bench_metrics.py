"""How fast the metrics are compared with their peers, as ratios in one run: `pytest benchmarks/bench_metrics.py`.

The peers' times and the ratios are in each benchmark's `extra_info` (`--benchmark-json FILE`) and printed with `-s`.
`GENBENCH_BENCH_PAIRS` (5000) sets the images per side for the neighbour-based metrics, `GENBENCH_BENCH_MEMORY` (4000;
the documented figure is at 20000) those for the memory measurement, `GENBENCH_BENCH_SWEPT` (8192) those for the sweeps
against their matrix products, `GENBENCH_BENCH_EXTRACTED` (64) those that are extracted to measure the suite's share.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from random_weights import random_tensors
from torch import Tensor

from genbench.evaluation.selection import select
from genbench.features.extractor import Extractor, extract, place
from genbench.features.inception import Inception
from genbench.features.intake import Images
from genbench.features.resize import PROFILES
from genbench.machine.torchvision_import import declare_missing_operators
from genbench.metrics import METRICS, Evidence, NotMeasurable, ReferenceStatistics, neighbours
from genbench.metrics.density_coverage import density_coverage
from genbench.metrics.frechet import frechet_distance
from genbench.metrics.gaussian import GaussianStatistics
from genbench.metrics.kid import from_sums, kernel_distance
from genbench.metrics.pairs import cross_pairs, self_pairs
from genbench.metrics.precision_recall import precision_recall
from genbench.metrics.standard_errors import standard_error

declare_missing_operators()  # the peers import torchvision

DIMENSION = 2048
PAIRS = int(os.environ.get("GENBENCH_BENCH_PAIRS", "5000"))
MEMORY = int(os.environ.get("GENBENCH_BENCH_MEMORY", "4000"))
SWEPT = int(os.environ.get("GENBENCH_BENCH_SWEPT", "8192"))
EXTRACTED = int(os.environ.get("GENBENCH_BENCH_EXTRACTED", "64"))


def features(count: int, seed: int, decay: float = 0.0) -> Tensor:
    """Gaussian features; with `decay`, standard deviations that fall like i^−decay, as in a network's features."""
    scale = torch.arange(1, DIMENSION + 1) ** -decay
    return torch.randn(count, DIMENSION, generator=torch.Generator().manual_seed(seed)) * scale


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def compare(
    benchmark: Any, name: str, ours: Callable[[], Any], peer: Callable[[], Any], rounds: int = 2, same: bool = False
) -> float:
    """Time both, store the ratio, and return it; with `same`, both must give the same number."""
    peer_s, expected = seconds(peer)
    found = benchmark.pedantic(ours, rounds=rounds, warmup_rounds=0)
    assert not same or found == pytest.approx(expected, rel=1e-5)
    ratio = peer_s / benchmark.stats.stats.min
    benchmark.extra_info.update({"peer": name, "peer_s": peer_s, "ratio": ratio})
    print(f"\n{name}: {peer_s:.2f} s, ours {benchmark.stats.stats.min:.2f} s, ratio {ratio:.1f}")
    return ratio


@pytest.mark.parametrize("decay", [0.0, 0.75], ids=["flat spectrum", "falling spectrum"])
def test_frechet_core_at_full_rank(benchmark: Any, decay: float) -> None:
    peer = pytest.importorskip("torchmetrics.image.fid")
    sides = [GaussianStatistics.from_features(features(6000, seed, decay)) for seed in (1, 2)]

    def ours() -> float:
        fresh = [GaussianStatistics(side.mean, side.covariance, side.count) for side in sides]  # no factor kept
        return frechet_distance(*fresh)

    def theirs() -> float:
        (first, second) = sides
        return float(peer._compute_fid(first.mean, first.covariance, second.mean, second.covariance))

    # A floor that holds with one thread. MKL's nonsymmetric eigensolver waits for its threads at every step, so with
    # more threads the ratio is larger, and depends on the machine's other load.
    assert compare(benchmark, "torchmetrics", ours, theirs, same=True) >= 2.5


def test_frechet_core_with_fewer_samples_than_dimensions(benchmark: Any) -> None:
    peer = pytest.importorskip("torchmetrics.image.fid")
    sides = [features(500, seed) for seed in (1, 2)]

    def ours() -> float:
        return frechet_distance(*(GaussianStatistics.from_features(side) for side in sides))

    def theirs() -> float:
        (first, second) = (side.double() for side in sides)
        return float(peer._compute_fid(first.mean(dim=0), first.T.cov(), second.mean(dim=0), second.T.cov()))

    assert compare(benchmark, "torchmetrics", ours, theirs, rounds=5, same=True) >= 30  # about 60 on a quiet machine


def test_kernel_distance(benchmark: Any) -> None:
    """Over all pairs, where the peer takes 100 subsets of 1000."""
    peer = pytest.importorskip("torch_fidelity.metric_kid")
    samples, reference = features(PAIRS, 1), features(PAIRS, 2)
    options = {"kid_subsets": 100, "kid_subset_size": min(1000, PAIRS), "rng_seed": 0, "verbose": False}
    compare(
        benchmark,
        "torch-fidelity (100 subsets)",
        lambda: kernel_distance(samples, reference),
        lambda: peer.kid_features_to_metric(samples, reference, **options),
        rounds=1,
    )


def test_precision_recall_density_coverage(benchmark: Any) -> None:
    peer = pytest.importorskip("prdc")
    samples, reference = features(PAIRS, 1), features(PAIRS, 2)

    def ours() -> tuple[tuple[float, float], tuple[float, float]]:
        return precision_recall(samples, reference), density_coverage(samples, reference)

    def theirs() -> None:
        for k in (3, 5):
            peer.compute_prdc(reference.numpy(), samples.numpy(), nearest_k=k)

    compare(benchmark, "prdc", ours, theirs, rounds=1)


def test_shared_sweeps(benchmark: Any) -> None:
    """KID, precision, recall, density, coverage and nearest neighbours in two sweeps, against separate functions."""
    samples, reference = features(PAIRS, 1), features(PAIRS, 2)
    known = self_pairs(reference, 5, kernel=True)  # kept from the first model on

    def ours() -> float:
        own = self_pairs(samples, 3, kernel=True)
        across = cross_pairs(
            samples,
            reference,
            kernel=True,
            sample_radii=own.distances[:, 2],
            manifold_radii=known.distances[:, 2],
            ball_radii=known.distances[:, 4],
        )
        sums = (own.kid_rows.sum(), across.kid_rows.sum(), known.kid_rows.sum())
        return from_sums(*sums, len(samples), len(reference))

    def alone() -> None:
        kernel_distance(samples, reference)
        precision_recall(samples, reference)
        density_coverage(samples, reference)

    compare(benchmark, "the same functions one by one", ours, alone, rounds=1)


def test_sweeps_against_their_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """The three sweeps of a first model with float32 products, against `torch.mm` of the same blocks alone, in turns.

    In processor time of one thread, which depends less on what else the machine does.
    """
    monkeypatch.setattr(neighbours, "FILTERED_FROM", 0)
    torch.set_num_threads(1)
    samples, reference = features(SWEPT, 1).relu(), features(SWEPT, 2).relu()
    found: dict[str, Any] = {}

    def radii() -> dict[str, Tensor]:
        own, known = found["samples"].distances, found["reference"].distances
        return {"sample_radii": own[:, 2], "manifold_radii": known[:, 2], "ball_radii": known[:, 4]}

    total = [0.0, 0.0]
    for name, left, right, sweep in (
        ("samples", samples, samples, lambda: self_pairs(samples, 3, kernel=True)),
        ("reference", reference, reference, lambda: self_pairs(reference, 5, kernel=True)),
        ("both", samples, reference, lambda: cross_pairs(samples, reference, **radii(), kernel=True)),
    ):
        alone = processor_seconds(lambda left=left, right=right: products(left, right))[0]
        taken, found[name] = processor_seconds(sweep)
        total = [total[0] + alone, total[1] + taken]
        print(f"\n{name}: {taken:.1f} s, products alone {alone:.1f} s, ratio {taken / alone:.2f}", flush=True)
    pairs = 2 * triangle(SWEPT) + SWEPT**2
    rates = [2 * pairs * DIMENSION / seconds / 1e9 for seconds in total]
    print(
        f"{SWEPT} × {SWEPT} × {DIMENSION}: {rates[1]:.1f} GFLOP/s, products alone {rates[0]:.1f} GFLOP/s, "
        f"ratio {total[1] / total[0]:.2f}"
    )


def products(left: Tensor, right: Tensor, size: int = 1024) -> None:
    """Multiply all blocks; of a set with itself, each pair of blocks once."""
    out = torch.empty(size, size)
    for i, rows in enumerate(left.split(size)):
        for columns in right.split(size)[i if left is right else 0 :]:
            torch.mm(rows, columns.T, out=out[: len(rows), : len(columns)])


def triangle(count: int, size: int = 1024) -> int:
    """Return how many pairs the blocks of a set with itself hold."""
    widths = [min(size, count - start) for start in range(0, count, size)]
    return sum(width * sum(widths[place:]) for place, width in enumerate(widths))


def processor_seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    found = call()
    return time.process_time() - start, found


def test_the_suite_against_peers_one_by_one(benchmark: Any) -> None:
    """FD, score, KID, precision and recall of a second model, on features: torchmetrics' FID, torch-fidelity's rest."""
    fid = pytest.importorskip("torchmetrics.image.fid")
    score, kernel, manifold = (pytest.importorskip(f"torch_fidelity.metric_{name}") for name in ("isc", "kid", "prc"))
    samples, reference, logits = features(PAIRS, 1), features(PAIRS, 2), features(PAIRS, 3)[:, :1008]
    statistics = ReferenceStatistics(reference)

    def ours() -> None:
        evidence = Evidence(samples=samples, reference=reference, sample_logits=logits, statistics=statistics)
        for name in ("frechet_distance", "classifier_score", "kernel_distance", "precision_recall"):
            METRICS[name].compute(evidence)

    def theirs() -> None:
        first, second = samples.double(), reference.double()
        fid._compute_fid(first.mean(dim=0), first.T.cov(), second.mean(dim=0), second.T.cov())
        score.isc_features_to_metric(logits)
        options = {"kid_subsets": 100, "kid_subset_size": min(1000, PAIRS), "rng_seed": 0, "verbose": False}
        kernel.kid_features_to_metric(samples, reference, **options)
        manifold.prc_features_to_metric(samples, reference, prc_neighborhood=3, verbose=False)

    ours()  # the first model pays for the reference
    compare(benchmark, "torchmetrics and torch-fidelity", ours, theirs, rounds=1)


def test_the_suite_costs_little_beside_extraction(benchmark: Any) -> None:
    """All default metrics of a second model with their standard errors, relative to Inception's time for as many.

    The extraction of `GENBENCH_BENCH_EXTRACTED` images is timed and scaled up to all of them.
    """
    samples, reference, held_out = (features(PAIRS, seed, 0.5).relu() for seed in (1, 2, 3))
    logits = [features(PAIRS, seed)[:, :1008] for seed in (4, 5, 6)]
    generator = torch.Generator().manual_seed(7)
    images = [torch.randint(256, (PAIRS, 3, 32, 32), generator=generator, dtype=torch.uint8) for _ in range(2)]
    statistics = ReferenceStatistics(reference, held_out, logits[1], images[1])
    network = Inception(random_tensors())
    place(network, torch.device("cpu"), "fp32")
    intake = Images(PROFILES["torch-fidelity"].prepare, rgb=True)
    extractor = Extractor("inception", network, intake, torch.device("cpu"), "fp32", 2048, 1008, "none",
                          item_bytes=20 << 20)  # fmt: skip

    errors_s = [0.0]

    def suite() -> None:
        errors_s[0] = 0.0
        evidence = Evidence(samples, reference, held_out, *logits, *images, images[1], statistics=statistics)
        for metric in select((), "image"):
            try:
                values = metric.compute(evidence)
            except NotMeasurable:
                continue
            errors_s[0] += seconds(lambda names=tuple(values): [standard_error(name, evidence) for name in names])[0]

    suite()  # the first model pays for the reference
    benchmark.pedantic(suite, rounds=1, warmup_rounds=0)
    extract(extractor, images[0][:16])
    extraction_s = seconds(lambda: extract(extractor, images[0][:EXTRACTED]))[0] / EXTRACTED * PAIRS
    share = benchmark.stats.stats.min / extraction_s
    benchmark.extra_info.update({"extraction_s": extraction_s, "errors_s": errors_s[0], "share": share})
    print(
        f"\n{PAIRS} images: suite {benchmark.stats.stats.min:.1f} s, of it standard errors {errors_s[0]:.1f} s; "
        f"extraction {extraction_s:.0f} s ({PAIRS / extraction_s:.1f} images/s); share {share:.1%}"
    )
    assert share <= 0.15


def test_peak_memory_of_the_neighbour_based_metrics() -> None:
    """In addition to the features, in a separate process: at most 2 GB, whatever the count."""
    program = f"""
        import resource, time, torch
        from genbench.metrics.pairs import cross_pairs, self_pairs
        from genbench.metrics.neighbours import nearest_neighbours
        generator = torch.Generator().manual_seed(0)
        samples, reference = (torch.randn({MEMORY}, {DIMENSION}, generator=generator) for _ in range(2))
        nearest_neighbours(samples[:64], reference[:64])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        own, known = self_pairs(samples, 3, kernel=True), self_pairs(reference, 5, kernel=True)
        cross_pairs(samples, reference, sample_radii=own.distances[:, 2], manifold_radii=known.distances[:, 2],
                    ball_radii=known.distances[:, 4], kernel=True)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, time.perf_counter() - start)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    kilobytes, elapsed = (float(word) for word in done.stdout.split())
    print(f"\n{MEMORY} × {MEMORY} × {DIMENSION}: {kilobytes / 1024:.0f} MiB on top of the features, {elapsed:.0f} s")
    assert kilobytes * 1024 < 2e9
