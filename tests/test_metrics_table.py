"""The table of metrics, what it asks of the evidence, and what a second model on the same data does not pay for."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from genbench.cli.metrics import metrics as listing
from genbench.metrics import DIRECTIONS, METRICS, Evidence, NotMeasurable, ReferenceStatistics
from genbench.metrics import reference as reference_module
from genbench.metrics.density_coverage import density_coverage
from genbench.metrics.fid_infinity import frechet_infinity
from genbench.metrics.gaussian import GaussianStatistics
from genbench.metrics.kid import kernel_distance
from genbench.metrics.precision_recall import precision_recall


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def full_evidence(count: int = 120) -> Evidence:
    images = torch.randint(0, 256, (count, 1, 8, 8), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    labels = torch.arange(count) % 4
    return Evidence(
        samples=normal(count, 6) + 0.2,
        reference=normal(count, 6, seed=1),
        held_out=normal(count, 6, seed=2),
        sample_logits=normal(count, 4, seed=3) * 4,
        reference_logits=normal(count, 4, seed=4) * 4,
        sample_images=images,
        reference_images=images.flip(0),
        held_out_images=images.roll(1, 2),
        sample_labels=labels,
        held_out_labels=labels,
        sample_modes=labels - 1,
        mode_count=3,
        originals=images,
        reconstructions=images.roll(1, 3),
        log_likelihoods=-normal(count, seed=5).abs() * 100,
        dimensions=64,
    )


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return full_evidence()


def test_the_table_comes_without_torch() -> None:
    program = (
        "import sys, json; from genbench.metrics import DIRECTIONS, METRICS; "
        "print(json.dumps([len(METRICS), 'torch' in sys.modules, DIRECTIONS['fid']]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [len(METRICS), False, "lower"]


# The accuracy score trains for seconds: it has tests of its own, with fewer steps.
QUICK = [name for name, metric in METRICS.items() if metric.default and name != "classification_accuracy"]


@pytest.mark.parametrize("name", QUICK)
def test_a_metric_gives_the_values_it_names(name: str, evidence: Evidence) -> None:
    metric = METRICS[name]
    numbers = metric.compute(evidence)
    assert set(numbers) == {value.name for value in metric.values}
    assert all(isinstance(number, float) and math.isfinite(number) for number in numbers.values())
    assert metric.name == name
    assert "\n" not in metric.summary
    assert metric.paper.startswith("https://")


def test_every_value_has_one_metric_and_a_direction() -> None:
    names = [value.name for metric in METRICS.values() for value in metric.values]
    assert len(names) == len(set(names))
    assert {DIRECTIONS[name] for name in names} <= {"lower", "higher", None}
    assert DIRECTIONS["fd"] == DIRECTIONS["fid"] == "lower"
    assert DIRECTIONS["precision"] == DIRECTIONS["inception_score"] == "higher"
    assert DIRECTIONS["c_t_p"] is None


def test_official_names_are_for_the_official_extractor_alone() -> None:
    official = {n for metric in METRICS.values() for n in metric.reported_names(official=True).values()}
    other = {n for metric in METRICS.values() for n in metric.reported_names(official=False).values()}
    assert {"fid", "fid_infinity", "inception_score"} <= official - other
    assert {"fd", "fd_infinity", "classifier_score"} <= other - official
    assert {"kid", "precision", "psnr"} <= official & other


def test_the_page_on_metrics_names_every_value_and_parameter() -> None:
    page = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text()
    for metric in METRICS.values():
        for name in [value.name for value in metric.values if not value.name.endswith("_score_std")]:
            assert f"`{name}`" in page, name
        for parameter in metric.parameters:
            assert f"`{parameter}`" in page, parameter


def test_the_curve_holds_cheap_metrics_alone() -> None:
    assert {name for name, metric in METRICS.items() if metric.curve} >= {"frechet_distance", "classifier_score"}
    neighbours = {"kernel_distance", "precision_recall", "density_coverage", "authenticity", "data_copying"}
    assert not any(METRICS[name].curve for name in neighbours)


@pytest.mark.parametrize("name", METRICS)
def test_lacking_evidence_is_said_and_stops_no_other(name: str, evidence: Evidence) -> None:
    metric = METRICS[name]
    for need in metric.needs:
        if need in ("samples", "reference"):
            continue
        without = dataclasses.replace(evidence, **{need: None})
        with pytest.raises(NotMeasurable, match=f"^{name}: needs {need.replace('_', ' ')}"):
            metric.compute(without)


@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].least_count > 1])
def test_too_few_are_said_with_the_count(name: str, evidence: Evidence) -> None:
    metric = METRICS[name]
    field = metric.needs[0]
    few = min(metric.least_count - 1, len(getattr(evidence, field)))
    less = dataclasses.replace(evidence, **{field: getattr(evidence, field)[:few]})
    with pytest.raises(NotMeasurable, match=f"^{name}: needs at least {metric.least_count} .*, got {few}$"):
        metric.compute(less)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": torch.full((5, 6), math.nan)}, "samples: 5 of 5 rows hold NaN or infinity"),
        ({"samples": normal(5, 6).index_fill(0, torch.tensor([2]), math.inf)}, "samples: 1 of 5 rows hold NaN"),
        ({"samples": normal(5, 7)}, "reference: expected 7 features an image, got 6"),
        ({"held_out": normal(5, 7)}, "held-out features: expected 6 features an image, got 7"),
        ({"sample_logits": torch.full((5, 4), math.nan)}, "sample logits: 5 of 5 rows"),
        ({"sample_images": torch.zeros(5, 1, 8, 8)}, "sample images: expected uint8 images"),
    ],
)
def test_faulty_evidence_is_refused_in_one_line(change: dict[str, Tensor], message: str, evidence: Evidence) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        dataclasses.replace(evidence, **change)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, NotMeasurable)


def test_the_shared_sweeps_give_what_each_function_gives_alone(evidence: Evidence) -> None:
    samples, reference = evidence.samples, evidence.reference
    numbers = {}
    for name in ("kernel_distance", "precision_recall", "density_coverage", "frechet_infinity"):
        numbers |= METRICS[name].compute(evidence)
    assert numbers["kid"] == pytest.approx(kernel_distance(samples, reference), rel=1e-10)
    assert (numbers["precision"], numbers["recall"]) == precision_recall(samples, reference)
    assert (numbers["density"], numbers["coverage"]) == density_coverage(samples, reference)
    expected = frechet_infinity(samples, GaussianStatistics.from_features(reference))
    assert numbers["fd_infinity"] == pytest.approx(expected, rel=1e-9)


def test_a_second_model_pays_nothing_for_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    first = full_evidence()
    before = {name: METRICS[name].compute(first) for name in QUICK}
    stored = dict(first.statistics.tensors)
    assert all(isinstance(tensor, Tensor) for tensor in stored.values())

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    for function in ("self_pairs", "nearest_neighbours", "fit_cells", "split_reference", "class_histogram"):
        monkeypatch.setattr(reference_module, function, refuse)
    restored = ReferenceStatistics(
        first.reference, first.held_out, first.reference_logits, first.reference_images, tensors=stored
    )
    second = dataclasses.replace(full_evidence(), statistics=restored)
    assert {name: METRICS[name].compute(second) for name in QUICK} == before
    assert set(restored.tensors) == set(stored)


def test_statistics_say_what_of_the_data_they_lack() -> None:
    with pytest.raises(NotMeasurable, match="reference statistics: held_out of the data needed, none given"):
        _ = ReferenceStatistics(normal(20, 3)).held_out_distances


def test_the_listed_least_count_is_per_feature_where_the_function_asks_for_so_many() -> None:
    lines = CliRunner().invoke(listing, [], catch_exceptions=False).stdout.splitlines()
    counts = {name: next(line for line in lines[at:] if "at least" in line) for at, name in enumerate(lines)}
    found = {name.partition(":")[0]: count for name, count in counts.items() if not name.startswith(" ")}
    assert "at least 4 images per feature;" in found["frechet_infinity"]
    assert "at least 4 images;" in found["precision_recall"]
    features = torch.randn(64, 16, generator=torch.Generator().manual_seed(0))
    METRICS["frechet_infinity"].compute(Evidence(samples=features, reference=features))
    with pytest.raises(NotMeasurable, match="needs at least 64 samples for 16 features, got 63"):
        METRICS["frechet_infinity"].compute(Evidence(samples=features[:63], reference=features))
