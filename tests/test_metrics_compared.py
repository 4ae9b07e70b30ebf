"""Metrics over pairs of items on a limited number of items: which items, which numbers, and what the recipes say."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.evaluation.measurement import Evaluator
from genbench.evaluation.references import reference_for
from genbench.evaluation.selection import select
from genbench.features.extractor import Extractor
from genbench.features.random_conv import load_random_conv
from genbench.metrics import METRICS, Evidence, ReferenceStatistics
from genbench.metrics import evidence as evidence_module
from genbench.metrics.authenticity import authenticity
from genbench.metrics.clipped import clipped_coverage, clipped_density
from genbench.metrics.data_copying import data_copying
from genbench.metrics.density_coverage import density_coverage
from genbench.metrics.features import chosen, limited
from genbench.metrics.kid import kernel_distance
from genbench.metrics.precision_recall import precision_recall
from genbench.metrics.standard_errors import standard_error

SAMPLES, DATA, HELD_OUT, MOST = 260, 300, 130, 210
PAIRED = ("kernel_distance", "precision_recall", "density_coverage", "authenticity", "data_copying")


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def evidence_of(most: int | None, samples: Tensor | None = None, reference: Tensor | None = None) -> Evidence:
    samples = normal(SAMPLES, 4, seed=0) * 0.8 if samples is None else samples
    reference = normal(DATA, 4, seed=1) if reference is None else reference
    held_out = normal(HELD_OUT, samples.shape[1], seed=2)
    statistics = ReferenceStatistics(reference, held_out, most_compared=most)
    return Evidence(samples, reference, held_out, seed=3, statistics=statistics)


def numbers(evidence: Evidence, *names: str) -> dict[str, float]:
    return {name: value for metric in names for name, value in METRICS[metric].compute(evidence).items()}


def some(of: Tensor, seed: int) -> Tensor:
    return of[chosen(len(of), MOST, seed)]


def test_a_limit_takes_a_random_part_in_order_and_nothing_below_it() -> None:
    items = torch.arange(1000)
    assert limited(items, None) is items
    assert limited(items, 1000) is items
    part = limited(items, 400, seed=1)
    assert len(part) == 400
    assert torch.equal(part, part.unique())
    assert abs(float(part.double().mean()) - 500) < 40
    assert torch.equal(part, limited(items, 400, seed=1))
    assert not torch.equal(part, limited(items, 400, seed=2))


def test_numbers_over_pairs_are_those_of_the_parts() -> None:
    evidence = evidence_of(MOST)
    samples, data = some(evidence.samples, 3), some(evidence.reference, 0)
    found = numbers(evidence, *PAIRED, "clipped_density_coverage")
    assert (found["precision"], found["recall"]) == precision_recall(samples, data)
    assert (found["density"], found["coverage"]) == density_coverage(samples, data)
    parts = Evidence(samples, data)
    assert found["clipped_density"] == clipped_density(parts.cross_pairs.clipped_balls, parts.statistics.clipped_balls)
    assert found["clipped_coverage"] == clipped_coverage(parts.cross_pairs.held, MOST)
    for name in ("precision", "clipped_density"):
        assert standard_error(name, evidence) == standard_error(name, parts), name


def test_only_samples_are_limited_where_the_data_can_be_used_in_full() -> None:
    evidence = evidence_of(MOST)
    samples, data = some(evidence.samples, 3), evidence.reference
    assert evidence.held_out is not None
    found = numbers(evidence, *PAIRED)
    assert found["kid"] == pytest.approx(kernel_distance(samples, data), rel=1e-12)
    assert found["authenticity"] == authenticity(samples, data)
    assert (found["c_t"], found["c_t_p"]) == data_copying(samples, data, evidence.held_out)
    of_part = Evidence(samples, data, evidence.held_out)
    for name in ("kid", "authenticity"):
        assert standard_error(name, evidence) == pytest.approx(standard_error(name, of_part), rel=1e-12), name


@pytest.mark.parametrize("dimension", [4, 140])
def test_the_kernel_is_summed_over_all_of_the_data_however_it_is_summed(
    dimension: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pair by pair, in the sweep that neighbours share, and from third moments."""
    samples, data = normal(SAMPLES, dimension, seed=4) + 0.3, normal(DATA, dimension, seed=5)
    expected = kernel_distance(some(samples, 3), data)
    for moments in (False, True):
        monkeypatch.setattr(evidence_module, "moments_pay", lambda *shape, moments=moments: moments)
        found = numbers(evidence_of(MOST, samples, data), "precision_recall", "kernel_distance")
        assert found["kid"] == pytest.approx(expected, rel=1e-9), moments


def test_a_limit_that_is_not_reached_changes_nothing() -> None:
    for most in (None, DATA, 10**9):
        found = numbers(evidence_of(most), *PAIRED, "clipped_density_coverage")
        assert found == numbers(evidence_of(None), *PAIRED, "clipped_density_coverage")


def test_copies_are_found_wherever_in_the_training_set_their_originals_are() -> None:
    reference = normal(DATA, 4, seed=1)
    left_out = torch.ones(DATA, dtype=torch.bool)
    left_out[chosen(DATA, MOST)] = False
    copies = reference[left_out].repeat(3, 1)[:SAMPLES]
    found = numbers(evidence_of(MOST, copies, reference), "authenticity", "data_copying")
    assert found["authenticity"] == 0
    assert found["authenticity_p"] < 1e-9
    assert found["c_t"] < -5


def test_one_metric_alone_finds_the_same_as_all() -> None:
    every = numbers(evidence_of(MOST), *PAIRED)
    for metric in PAIRED:
        alone = numbers(evidence_of(MOST), metric)
        assert alone == {name: every[name] for name in alone}, metric


def test_nothing_is_compared_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a limit one sweep finds each sample's nearest training item too; with one, the sets to search differ."""
    searched: list[bool] = []
    found = evidence_module.cross_pairs

    def seen(*sides: Tensor, nearest: bool, **more: object) -> object:
        searched.append(nearest)
        return found(*sides, nearest=nearest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(evidence_module, "cross_pairs", seen)
    numbers(evidence_of(None), *PAIRED)
    numbers(evidence_of(MOST), *PAIRED)
    assert searched == [True, False]
    numbers(evidence_of(MOST), "authenticity", "data_copying")
    assert searched == [True, False]


def test_an_error_needs_its_least_count_of_compared_samples() -> None:
    samples, data = normal(1200, 4, seed=6), normal(1100, 4, seed=7)
    assert standard_error("density", evidence_of(999, samples, data)) is None
    assert standard_error("density", evidence_of(1000, samples, data)) is not None
    for name, least in (("precision", 200), ("authenticity", 200), ("kid", 100), ("clipped_density", 100)):
        assert standard_error(name, evidence_of(least - 1, samples + 2, data)) is None, name
        assert standard_error(name, evidence_of(least, samples + 2, data)) is not None, name


def test_statistics_of_another_limit_are_not_taken_for_those_of_this_one() -> None:
    data = normal(DATA, 4, seed=1)
    kept: dict[str, Tensor] = {}
    for most in (None, 100, 200):
        fresh = ReferenceStatistics(data, most_compared=most)
        again = ReferenceStatistics(data, most_compared=most, tensors=kept)
        assert torch.equal(again.compared_distances, fresh.compared_distances)
        assert torch.equal(again.clipped_balls, fresh.clipped_balls)
        assert len(fresh.clipped_balls) == len(fresh.compared_distances) == (most or DATA)
        kept = again.tensors


@pytest.mark.parametrize(
    ("height", "width", "most"),
    [
        *((8, 8, 750), (15, 15, 750), (16, 16, 1500), (23, 23, 1500), (28, 28, 2250), (31, 31, 2250), (4, 4, 750)),
        *((32, 32, None), (47, 47, None), (48, 48, 2250), (64, 64, None), (128, 128, None), (512, 512, None)),
        *((8, 64, 1500), (1, 64, 750), (8, 512, None)),
    ],
)
def test_fewer_items_are_compared_where_images_are_extracted_fast(height: int, width: int, most: int | None) -> None:
    extractor = load_random_conv(torch.Size((1, height, width)), torch.device("cpu"), "fp32")
    assert extractor.most_compared == most


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], tuple[Dataset, Extractor]]:
    """Noise of 8×8 pixels, and its extractor with a limit."""
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path))
    draw = torch.Generator().manual_seed(0)
    train, held_out = (
        Split(torch.randint(256, (count, 1, 8, 8), dtype=torch.uint8, generator=draw), None)
        for count in (DATA, HELD_OUT)
    )
    data = Dataset("noise", train, held_out, None, "none", fingerprint(train, held_out))
    network = load_random_conv(data.shape, torch.device("cpu"), "fp32")
    return lambda most: (data, dataclasses.replace(network, most_compared=most))


def test_recipes_say_how_many_were_compared_and_only_where_not_all_were(
    tiny: Callable[[int], tuple[Dataset, Extractor]],
) -> None:
    asked = select(["+clipped_density", "+kad", "+mmd", "+mind", "+vendi", "+c2st_auc", "+fld"], "image")
    items = torch.randint(256, (SAMPLES, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(9))
    found: dict[int, dict[str, tuple[float, dict[str, object]]]] = {}
    for most in (MOST, 280, 1000):
        data, extractor = tiny(most)
        evaluator = Evaluator(data, extractor, reference_for(data, extractor), asked)
        scored = evaluator.score(items, None)
        found[most] = {name: (number.value, evaluator.recipes[number.recipe]) for name, number in scored.items()}
    counts = ("samples_compared", "reference_compared")
    for name, (value, recipe) in found[MOST].items():
        sides = METRICS[str(recipe["metric"])].compares
        assert {field: recipe[field] for field in counts if field in recipe} == {
            f"{side}_compared": MOST for side in sides
        }, name
        whole, of_whole = found[1000][name]
        assert not set(counts) & set(of_whole), name
        if not sides:
            assert value == whole, name  # a metric that a limit moves has to say so
            assert recipe == of_whole, name
        # Where only the reference is limited, what compares samples with all of it is as it was.
        assert found[280][name][1].get("reference_compared") == (280 if "reference" in sides else None), name
        assert "samples_compared" not in found[280][name][1], name
        if sides == ("samples",):
            assert found[280][name] == (pytest.approx(whole, rel=1e-12), of_whole), name
    assert {name for metric in METRICS.values() if metric.compares for name in [metric.name]} == {
        *PAIRED,
        "clipped_density_coverage",
    }
    moved = {name for name, (value, _) in found[MOST].items() if not math.isclose(value, found[1000][name][0])}
    assert {"precision", "kid", "density", "authenticity"} <= moved


def test_the_floor_is_measured_under_the_same_limit(tiny: Callable[[int], tuple[Dataset, Extractor]]) -> None:
    data, extractor = tiny(100)
    evaluator = Evaluator(data, extractor, reference_for(data, extractor))
    floor = evaluator.floor(SAMPLES)
    for name in ("precision", "coverage", "kid", "authenticity_p", "c_t"):
        assert evaluator.recipes[floor[name].recipe]["samples_compared"] == 100, name
