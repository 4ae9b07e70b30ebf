"""The cost of each default metric relative to the extraction of the same images: `python benchmarks/metric_costs.py`.

Extraction uses `random-conv`, the cheapest extractor that `auto` selects for such images. Reports the processor time of
one thread, the same for both, and the resident memory that a metric added at its peak. A metric that shares work with
one above it (sweeps over pairs, reconstruction errors) gets it for free, as in an evaluation; work derived from the
data alone is cached between models, and is the row `of the data`. Prints a Markdown table of shares, with 0.1 and more
in bold.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from genbench.evaluation.selection import select
from genbench.features.extractor import Extractor, extract
from genbench.features.random_conv import load_random_conv
from genbench.metrics import METRICS, Evidence, NotMeasurable
from genbench.metrics.reference import ReferenceStatistics
from genbench.metrics.standard_errors import standard_error
from genbench.regression import workload

SIDES = (8, 16, 32, 64, 128, 256, 512)
EXTRACTED_VALUES = 2**25  # in the images that are extracted for timing; the total time is scaled from it
MIB = 2**20
Costs = dict[str, tuple[float, float]]  # name -> seconds, added MiB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--sides", type=int, nargs="*", default=SIDES)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = {side: costs(torch.Size((options.channels, side, side)), options.images) for side in options.sides}
    print(f"| {options.images:,} images, {options.channels} channels |", *(f"{side}² |" for side in found))
    print("| :--- |", "---: |" * len(found))
    extraction = {side: of["extraction"][0] for side, of in found.items()}
    print("| extraction, s |", *(f"{seconds:.2f} |" for seconds in extraction.values()))
    for name in dict.fromkeys(name for of in found.values() for name in of if name != "extraction"):
        shares = {side: of[name][0] / extraction[side] for side, of in found.items() if name in of}
        print(f"| `{name}` |", *(f"{shown(share)} |" for share in shares.values()))
    print("| highest peak of one, MiB |", *(f"{max(added for _, added in of.values()):.0f} |" for of in found.values()))


def shown(share: float) -> str:
    return "< 0.001" if share < 0.001 else f"**{share:.2f}**" if share >= 0.1 else f"{share:.3f}"


def costs(shape: torch.Size, count: int) -> Costs:
    """Return the costs of extraction, of the data's statistics and of each default metric with its errors."""
    images = torch.randint(256, (count, *shape), dtype=torch.uint8)
    few = images[: max(64, min(count, EXTRACTED_VALUES // shape.numel()))]
    extractor = load_random_conv(shape, torch.device("cpu"), "fp32")
    extract(extractor, few[:64])
    per_image = measured(lambda: extract(extractor, few))[0] / len(few)
    evidence = evidence_of(images, extractor)
    found: Costs = {"extraction": (per_image * count, 0.0), "of the data": measured(lambda: everything(evidence))}
    evidence = evidence_of(images, extractor, evidence)
    for metric in select((), "image"):
        found[metric.name] = measured(lambda name=metric.name: with_errors(name, evidence))  # type: ignore[misc]
    for name in found.keys() - {"extraction", "of the data"}:
        found["of the data"] = (found["of the data"][0] - found[name][0], found["of the data"][1])
    return found


def evidence_of(images: Tensor, extractor: Extractor, before: Evidence | None = None) -> Evidence:
    draw = torch.Generator().manual_seed(0)
    samples, reference, held_out = (torch.randn(len(images), extractor.feature_count, generator=draw) for _ in range(3))
    logits = torch.randn(len(images), workload.CLASSES, generator=draw)
    if before is not None:
        reference, held_out, statistics = before.reference, before.held_out, before.statistics
    else:
        statistics = ReferenceStatistics(reference, held_out, logits, images, most_compared=extractor.most_compared)
    return Evidence(
        samples=samples,
        reference=reference,
        held_out=held_out,
        **{f"{side}_logits": logits for side in ("sample", "reference", "held_out")},
        **{f"{side}_items": images for side in ("sample", "reference", "held_out")},
        originals=images,
        reconstructions=images,
        log_likelihoods=samples[:, 0],
        dimensions=images[0].numel(),
        statistics=statistics,
    )


def everything(evidence: Evidence) -> None:
    for metric in select((), "image"):
        with_errors(metric.name, evidence)


def with_errors(name: str, evidence: Evidence) -> None:
    try:
        for value in METRICS[name].compute(evidence):
            standard_error(value, evidence)
    except NotMeasurable:
        return


def measured(call: Callable[[], object]) -> tuple[float, float]:
    """Return the processor time of a call, and the MiB that it added to the resident set at its peak."""
    Path("/proc/self/clear_refs").write_text("5")
    before, start = resident("VmRSS"), time.process_time()
    call()
    return time.process_time() - start, max(0.0, resident("VmHWM") - before)


def resident(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1]) * 1024 / MIB


if __name__ == "__main__":
    main()
