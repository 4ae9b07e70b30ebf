"""The table of metrics, what it needs from the evidence, and what a second model on the same data does not redo."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from genbench import metrics as package
from genbench.cli.metrics import metrics as listing
from genbench.features.inception import EARNED
from genbench.metrics import (
    DIRECTIONS,
    METRICS,
    Evidence,
    Metric,
    NotMeasurable,
    ReferenceStatistics,
    Value,
    neighbours,
    pairs,
)
from genbench.metrics import evidence as evidence_module
from genbench.metrics import reference as reference_module
from genbench.metrics.density_coverage import density_coverage
from genbench.metrics.fid_infinity import frechet_infinity
from genbench.metrics.gaussian import GaussianStatistics
from genbench.metrics.kid import kernel_distance
from genbench.metrics.kid_sums import PairSums
from genbench.metrics.metric import INCEPTION
from genbench.metrics.precision_recall import precision_recall
from genbench.metrics.reference_parts import split_reference
from genbench.metrics.remarks import remark
from genbench.metrics.standard_errors import standard_error


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
        sample_items=images,
        reference_items=images.flip(0),
        held_out_items=images.roll(1, 2),
        sample_labels=labels,
        held_out_labels=labels,
        reference_labels=labels,
        sample_modes=labels - 1,
        mode_count=3,
        originals=images,
        reconstructions=images.roll(1, 3),
        log_likelihoods=-normal(count, seed=5).abs() * 100,
        dimensions=64,
    )


def text_evidence(count: int = 120) -> Evidence:
    texts = torch.randint(1, 5, (3, count, 60), generator=torch.Generator().manual_seed(1)).short()
    return Evidence(
        samples=normal(count, 6) + 0.2,
        reference=normal(count, 6, seed=1),
        sample_items=texts[0],
        reference_items=texts[1],
        held_out_items=texts[2],
        log_likelihoods=-normal(count, seed=5).abs() * 100,
        levels=5,
        sample_log_probabilities=-normal(count, seed=6).abs() * 100,
        entropy=80.0,
    )


def audio_evidence(count: int = 120) -> Evidence:
    """Tones of random pitch, with noise."""
    time = torch.arange(600) / 8000
    tones = [torch.sin(2 * math.pi * (200 + 200 * normal(count, 1, 1, seed=seed).abs()) * time) for seed in range(3)]
    clips = [(3000 * tone + 20 * normal(count, 1, 600, seed=9)).short() for tone in tones]
    return Evidence(
        samples=normal(count, 6) + 0.2,
        reference=normal(count, 6, seed=1),
        sample_items=clips[0],
        reference_items=clips[1],
        originals=clips[2],
        reconstructions=clips[2] // 2,
        log_likelihoods=-normal(count, seed=5).abs() * 100,
        dimensions=600,
        sample_rate=8000,
    )


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return full_evidence()


@pytest.fixture(scope="module")
def enough(evidence: Evidence) -> Callable[[str], Evidence]:
    """The evidence for a metric, by its name: texts or clips if the metric only takes those."""
    others = {("text",): text_evidence(), ("audio",): audio_evidence()}
    return lambda name: others.get(METRICS[name].kinds or (), evidence)


def test_the_table_comes_without_torch() -> None:
    program = (
        "import sys, json; from genbench.metrics import DIRECTIONS, METRICS; "
        "print(json.dumps([len(METRICS), 'torch' in sys.modules, DIRECTIONS['fid']]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [len(METRICS), False, "lower"]


def test_what_needs_torch_comes_with_the_package_when_it_is_asked_for() -> None:
    for name, module in (("Evidence", evidence_module), ("ReferenceStatistics", reference_module)):
        assert getattr(package, name) is getattr(module, name)
    with pytest.raises(AttributeError, match=r"^module 'genbench.metrics' has no attribute 'nothing'$"):
        _ = package.nothing


# The accuracy score trains for seconds: it has its own tests, with fewer steps.
SLOW = ("classification_accuracy", "kernel_distance_subsets", "class_frechet")
QUICK = [name for name in METRICS if name not in SLOW]


# What is not recomputed for a second model on the same images.
OF_IMAGES = [name for name in QUICK if "image" in (METRICS[name].kinds or ("image",))]


@pytest.mark.parametrize("name", QUICK)
def test_a_metric_gives_the_values_it_names(
    name: str, enough: Callable[[str], Evidence], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its classifiers would train for seconds.
    monkeypatch.setattr(evidence_module, "augmented", functools.partial(evidence_module.augmented, steps=2))
    metric = METRICS[name]
    numbers = metric.compute(enough(name))
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
    official = {n for metric in METRICS.values() for n in metric.reported_names(EARNED).values()}
    other = {n for metric in METRICS.values() for n in metric.reported_names({}).values()}
    assert {"fid", "fid_infinity", "inception_score"} <= official - other
    assert {"fd", "fd_infinity", "classifier_score"} <= other - official
    assert {"kid", "precision", "psnr"} <= official & other


def test_inception_earns_each_name_that_the_table_says_it_earns_and_no_other() -> None:
    said = {
        value.name: name
        for metric in METRICS.values()
        for value in metric.values
        for name, weights in value.earned.items()
        if weights == INCEPTION
    }
    assert said == EARNED


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
def test_missing_evidence_is_named_and_stops_no_other_metric(name: str, enough: Callable[[str], Evidence]) -> None:
    metric = METRICS[name]
    for need in metric.needs:
        if need in ("samples", "reference"):
            continue
        without = dataclasses.replace(enough(name), **{need: None})
        with pytest.raises(NotMeasurable, match=f"^{name}: needs {need.replace('_', ' ')}"):
            metric.compute(without)


@pytest.mark.parametrize("name", [name for name in METRICS if METRICS[name].least_count > 1])
def test_too_few_are_reported_with_the_count(name: str, enough: Callable[[str], Evidence]) -> None:
    metric, evidence = METRICS[name], enough(name)
    field = metric.needs[0]
    few = min(metric.least_count - 1, len(getattr(evidence, field)))
    less = dataclasses.replace(evidence, **{field: getattr(evidence, field)[:few]})
    with pytest.raises(NotMeasurable, match=f"^{name}: needs at least {metric.least_count} .*, got {few}$"):
        metric.compute(less)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": torch.full((5, 6), math.nan)}, "^samples: 5 of 5 rows contain NaN or infinity"),
        ({"samples": normal(5, 6).index_fill(0, torch.tensor([2]), math.inf)}, "samples: 1 of 5 rows contain NaN"),
        ({"samples": normal(5, 7)}, "^reference: expected 7 features per image, got 6"),
        ({"held_out": normal(5, 7)}, "^held-out features: expected 6 features per image, got 7"),
        ({"sample_logits": torch.full((5, 4), math.nan)}, "^sample logits: 5 of 5 rows"),
        ({"reference": normal(5, 6) / 0}, "^reference: 5 of 5 rows contain NaN"),
        ({"held_out": normal(5, 6) / 0}, "^held-out features: 5 of 5 rows"),
        ({"reference_logits": normal(5, 4) / 0}, "^reference logits: 5 of 5 rows"),
        ({"held_out_logits": normal(5, 4) / 0}, "^held out logits: 5 of 5 rows"),
        *(
            ({name: torch.zeros(5, 1, 8, 8)}, f"^{name.replace('_', ' ')}: expected uint8 images")
            for name in ("sample_items", "reference_items", "held_out_items", "originals", "reconstructions")
        ),
        *(
            ({"sample_items": items}, r"^sample items: expected int16 tokens of shape \(N, L\) from 0 on, got \(2, 3")
            for items in (torch.zeros(2, 3, 1, 1, dtype=torch.int16), torch.full((2, 3), -1, dtype=torch.int16))
        ),
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


def test_the_table_s_numbers_are_those_of_their_definitions_at_unequal_counts() -> None:
    """Each by plain loops over pairs of 9 samples and 14 reference features, so that swapping N and M would show."""
    samples, reference = normal(9, 3).double(), normal(14, 3, seed=1).double() + 0.3
    evidence = Evidence(samples=samples, reference=reference)
    names = ("kernel_distance", "precision_recall", "density_coverage", "authenticity")
    found = {name: value for metric in names for name, value in METRICS[metric].compute(evidence).items()}

    def kernel(x: Tensor, y: Tensor) -> float:
        return (float(x @ y) / 3 + 1) ** 3

    within = sum(kernel(x, y) for i, x in enumerate(samples) for j, y in enumerate(samples) if i != j) / (9 * 8)
    among = sum(kernel(x, y) for i, x in enumerate(reference) for j, y in enumerate(reference) if i != j) / (14 * 13)
    across = sum(kernel(x, y) for x in samples for y in reference) / (9 * 14)

    def radius(points: Tensor, index: int, k: int) -> float:
        return sorted(float((points[index] - other).norm()) for j, other in enumerate(points) if j != index)[k - 1]

    real = [radius(reference, j, 3) for j in range(14)]
    made = [radius(samples, i, 3) for i in range(9)]
    balls = [radius(reference, j, 5) for j in range(14)]
    apart = [[float((x - y).norm()) for y in reference] for x in samples]
    near = [min(range(14), key=row.__getitem__) for row in apart]
    expected = {
        "kid": within + among - 2 * across,
        "precision": sum(any(row[j] <= real[j] for j in range(14)) for row in apart) / 9,
        "recall": sum(any(apart[i][j] <= made[i] for i in range(9)) for j in range(14)) / 14,
        "density": sum(row[j] < balls[j] for row in apart for j in range(14)) / (5 * 9),
        "coverage": sum(any(apart[i][j] < balls[j] for i in range(9)) for j in range(14)) / 14,
        "authenticity": sum(apart[i][near[i]] > radius(reference, near[i], 1) for i in range(9)) / 9,
    }
    assert found == pytest.approx(expected, rel=1e-9)


def test_the_error_of_kid_divides_by_the_reference_s_count() -> None:
    """Leaving out each of 100 samples in turn, against 40 reference features."""
    samples, reference = normal(100, 3), normal(40, 3, seed=1) + 0.5
    kept = ~torch.eye(100, dtype=torch.bool)
    left_out = torch.tensor([kernel_distance(samples[rows], reference) for rows in kept], dtype=torch.float64)
    expected = math.sqrt(0.99 * float((left_out - left_out.mean()).square().sum()))
    evidence = Evidence(samples=samples, reference=reference)
    assert standard_error("kid", evidence) == pytest.approx(expected, rel=1e-6)


def test_a_second_model_pays_nothing_for_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    first = full_evidence()
    names = [name for name in OF_IMAGES if name != "augmentation"]  # it trains classifiers for each model: slow
    before = {name: METRICS[name].compute(first) for name in names}
    stored = dict(first.statistics.tensors)
    assert all(isinstance(tensor, Tensor) for tensor in stored.values())

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    of_pairs = ("self_pairs", "kid_rows", "nearest_neighbours", "sweep")
    for function in (*of_pairs, "fit_cells", "assign_cells", "split_reference", "class_histogram"):
        monkeypatch.setattr(reference_module, function, refuse)
    restored = ReferenceStatistics(
        first.reference, first.held_out, first.reference_logits, first.reference_items, tensors=stored
    )
    second = dataclasses.replace(full_evidence(), statistics=restored)
    for statistics in (restored.gaussian, *restored.gap_parts[0], *restored.gap_parts[1]):
        assert any(statistics.mean is tensor for tensor in stored.values())
    assert {name: METRICS[name].compute(second) for name in names} == before
    assert set(restored.tensors) == set(stored)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Note of each sweep for neighbours or sums whether it is over a set with itself."""
    found: list[bool] = []

    def sweep(left: Tensor, right: Tensor, *rest: Any, **options: Any) -> None:
        found.append(left is right)
        neighbours.sweep(left, right, *rest, **options)

    monkeypatch.setattr(pairs, "sweep", sweep)
    return found


@pytest.mark.parametrize(("shared_from", "sweeps"), [(5, [True, True, False]), (6, [True, False, True] * 2)])
def test_sums_of_kernels_come_from_the_sweeps_for_neighbours_where_these_share_products(
    shared_from: int, sweeps: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "_SHARED_FROM", shared_from)
    evidence = Evidence(samples=torch.randn(60, 5), reference=torch.randn(70, 5))
    swept = counted(monkeypatch)
    sums = evidence.kid_sums
    assert isinstance(sums, PairSums)
    among = evidence.statistics.kernel_sum
    assert swept == sweeps[:3]  # of sums alone, unless they are shared
    _ = evidence.cross_pairs
    assert sorted(swept) == sorted(sweeps)
    x, y = evidence.samples.double(), evidence.reference.double()
    own, both, known = ((left @ right.T / 5 + 1) ** 3 for left, right in ((x, x), (x, y), (y, y)))
    torch.testing.assert_close(sums.within_rows, own.fill_diagonal_(0).sum(dim=1))
    torch.testing.assert_close(sums.across_rows, both.sum(dim=1))
    torch.testing.assert_close(among, known.fill_diagonal_(0).sum())


def test_one_sweep_of_the_data_is_enough_whatever_is_asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "_SHARED_FROM", 1)
    features = torch.randn(20, 3)
    swept = counted(monkeypatch)
    first, second = ReferenceStatistics(features), ReferenceStatistics(features)
    found = first.kernel_sum, first.neighbour_distances
    assert len(swept) == 1
    assert torch.equal(second.neighbour_distances, found[1])
    assert torch.equal(second.kernel_sum, found[0])
    assert len(swept) == 2
    third = ReferenceStatistics(features, tensors={"neighbour_distances": found[1]})
    assert third.kernel_sum == pytest.approx(float(found[0]), rel=1e-12)
    assert len(swept) == 3
    assert torch.equal(third.neighbour_distances, found[1])


def test_a_sum_that_is_kept_is_not_swept_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "_SHARED_FROM", 1)
    features = torch.randn(20, 3)
    kept = {"kernel_sum": torch.tensor(7.0)}
    swept = counted(monkeypatch)
    statistics = ReferenceStatistics(features, tensors=kept)
    assert statistics.kernel_sum == 7
    assert not swept
    _ = statistics.neighbour_distances
    assert len(swept) == 1
    assert statistics.kernel_sum == 7


def test_the_names_under_which_statistics_are_stored_are_those_of_their_version() -> None:
    """Files from other program versions are read by these names, so they may change only together with `VERSION`."""
    data = full_evidence()
    statistics = ReferenceStatistics(data.reference, data.held_out, data.reference_logits, data.reference_items)
    for name in ("gaussian", "neighbour_distances", "kernel_sum", "held_out_distances", "held_out_cells", "gap_parts"):
        getattr(statistics, name)
    for name in ("class_histogram", "intensities", "spectrum", "clipped_balls"):
        getattr(statistics, name)
    fields = ("mean", "count", "covariance")
    assert ReferenceStatistics.VERSION == 6
    assert set(statistics.tensors) == {
        *(f"{of}/{name}" for of in ("gaussian", "gap/train/0", "gap/held_out/0") for name in fields),
        *("neighbour_distances", "kernel_sum", "held_out_distances", "held_out_nearest", "held_out_cells"),
        *("centroids", "class_histogram", "intensities", "spectrum", "clipped_balls"),
    }
    assert statistics.neighbour_distances.shape == (120, 5)


def test_parts_of_the_gap_are_restored_each_as_it_was() -> None:
    train, held_out = normal(60, 3), normal(25, 3, seed=1)
    first = ReferenceStatistics(train, held_out)
    expected = split_reference(train, held_out)
    _ = first.gap_parts
    for statistics in (first, ReferenceStatistics(train, held_out, tensors=first.tensors)):
        for found, parts in zip(statistics.gap_parts, expected, strict=True):
            assert [part.mean.tolist() for part in found] == [part.mean.tolist() for part in parts]
            assert [part.count for part in found] == [25] * len(parts)


@pytest.mark.parametrize(
    ("name", "lacking"),
    [
        *((name, "held_out") for name in ("held_out_distances", "held_out_nearest", "held_out_cells", "gap_parts")),
        ("class_histogram", "logits"),
        ("intensities", "images"),
        ("spectrum", "images"),
    ],
)
def test_statistics_say_what_of_the_data_they_lack(name: str, lacking: str) -> None:
    message = f"^reference statistics: {lacking} of the data needed, none given"
    with pytest.raises(NotMeasurable, match=message):
        getattr(ReferenceStatistics(normal(20, 3)), name)


def test_labels_are_those_asked_for_else_those_seen_and_classes_those_of_the_data() -> None:
    points, labels = normal(6, 2), torch.tensor([0, 4, 1, 1, 0, 2])
    seen = torch.eye(5)[[1, 0, 4, 2, 2, 3]]
    fields = {"samples": points, "reference": points, "sample_logits": seen}
    for known in (
        {"held_out_labels": labels, "reference_labels": labels[:0]},
        {"reference_labels": labels},
        {"held_out_labels": labels[2:], "reference_labels": labels},
        {"held_out_labels": labels, "reference_labels": labels[2:]},
    ):
        found, classes = Evidence(**fields, **known).labels_of_samples("me")
        assert (found.tolist(), classes) == ([1, 0, 4, 2, 2, 3], 5)
    asked = Evidence(**fields, reference_labels=labels, sample_labels=labels.flip(0)).labels_of_samples("me")
    assert (asked[0].tolist(), asked[1]) == ([2, 0, 1, 1, 4, 0], 5)
    for known, classes in (({}, 0), ({"reference_labels": labels[2:]}, 3)):
        message = f"^me: needs labels of the samples, or a classifier of the data's {classes} classes"
        with pytest.raises(NotMeasurable, match=message):
            Evidence(**fields, **known).labels_of_samples("me")
    with pytest.raises(NotMeasurable, match=r"^me: needs labels"):
        Evidence(samples=points, reference=points, reference_labels=labels).labels_of_samples("me")


def test_images_of_two_shapes_are_not_set_against_each_other(evidence: Evidence) -> None:
    metric = METRICS["pixel_statistics"]
    other = torch.zeros(9, 3, 8, 10, dtype=torch.uint8)
    message = (
        "^pixel_statistics: needs images of one shape, got sample items of 3x8x10 and reference items of 1x8x8 "
        r"\(channels x height x width\)"
    )
    with pytest.raises(NotMeasurable, match=message):
        metric.compute(dataclasses.replace(evidence, sample_items=other))
    less = dataclasses.replace(evidence, sample_items=evidence.sample_items[:9], samples=evidence.samples[:5])
    assert set(metric.compute(less)) == {value.name for value in metric.values}  # the same shape, but different counts


def test_texts_of_two_lengths_are_not_set_against_each_other() -> None:
    texts = text_evidence()
    message = "^novelty: needs texts of one shape, got sample items of 60 and reference items of 59$"
    with pytest.raises(NotMeasurable, match=message):
        METRICS["novelty"].compute(dataclasses.replace(texts, reference_items=texts.reference_items[:, :59]))


# MAUVE* reads only features, which are the same for all kinds.
OF_TOKENS = [name for name, metric in METRICS.items() if metric.kinds == ("text",) and name != "mauve"]


@pytest.mark.parametrize("name", OF_TOKENS)
def test_a_metric_of_texts_gives_no_number_of_images(name: str, evidence: Evidence) -> None:
    known = {"sample_log_probabilities": -torch.ones(120), "entropy": 1.0, "levels": 256}
    with pytest.raises(ValueError, match=r"^texts: expected tokens of shape \(N, L\), got torch.uint8"):
        METRICS[name].compute(dataclasses.replace(evidence, **known))


def test_a_metric_of_one_s_own_is_measured_by_default_and_kept_off_the_curve() -> None:
    metric = Metric(
        name="mine",
        values=(Value("mine", None), Value("other", "lower", {"earned": "weights of one's own"})),
        needs=("samples", "mode_count"),
        least_count=3,
        function="kid:measure",
        summary="mine",
        paper="",
    )
    assert (metric.version, metric.parameters, metric.per_feature, metric.curve, metric.default) == (
        *(1, {}, False, False, True),
    )
    assert metric.reported_names({"other": "earned", "fd": "fid"}) == {"mine": "mine", "other": "earned"}
    assert metric.reported_names({}) == {"mine": "mine", "other": "other"}
    few = Evidence(samples=normal(2, 3), reference=normal(9, 3), mode_count=1)
    with pytest.raises(NotMeasurable, match=r"^mine: needs at least 3 samples, got 2$"):
        metric.compute(few)
    with pytest.raises(NotMeasurable, match=r"^mine: needs mode count, and there are none$"):
        metric.compute(dataclasses.replace(few, samples=normal(3, 3), mode_count=None))
    enough = dataclasses.replace(few, samples=normal(3, 3))
    assert metric.compute(enough) == {"kid": kernel_distance(enough.samples, enough.reference)}


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


def test_values_that_look_like_faults_are_explained_and_others_are_not() -> None:
    """Constant images far from the data have a density of exactly 0; half of the KIDs of equal data are below 0."""
    data = normal(100, 3)
    alike = Evidence(samples=torch.full((50, 3), 40.0), reference=data)
    density = METRICS["density_coverage"].compute(alike)["density"]
    assert (remark("density", density) or "").startswith("0: no sample lies in any neighbourhood")
    found = [
        METRICS["kernel_distance"].compute(Evidence(samples=normal(30, 3, seed=s), reference=data)) for s in range(20)
    ]
    explained = [numbers["kid"] for numbers in found if remark("kid", numbers["kid"])]
    assert explained == [numbers["kid"] for numbers in found if numbers["kid"] < 0]
    assert 0 < len(explained) < 20
    assert remark("kad", -0.1) == remark("kid", -0.1)
    assert (remark("c2st_auc", 0.49) or "").startswith("below 0.5: by chance, or because samples are copies")
    assert (remark("oracle_kl", -0.1) or "").startswith("below 0: by chance, or because samples")
    assert (
        remark("oracle_kl", 0.0)
        is remark("fd", 0.0)
        is remark("c2st_auc", 0.5)
        is remark("density", 0.1)
        is remark("pixel_w1", -1.0)
        is remark("kid", 0.0)
        is None
    )


@pytest.mark.parametrize(
    ("kinds", "said"),
    [(("image",), "images"), (("image", "audio"), "images or audios"), (None, "items")],
)
def test_items_of_two_shapes_are_called_what_the_metric_is_for(kinds: tuple[str, ...] | None, said: str) -> None:
    metric = Metric("own", (), ("sample_items", "reference_items"), 1, lambda evidence: {}, "", "", kinds=kinds)
    evidence = Evidence(
        samples=torch.ones(2, 1),
        reference=torch.ones(2, 1),
        sample_items=torch.ones(2, 1, 1, 3, dtype=torch.uint8),
        reference_items=torch.ones(2, 1, 1, 4, dtype=torch.uint8),
    )
    with pytest.raises(NotMeasurable, match=f"^own: needs {said} of one shape, got sample items of 1x1x3 and "):
        metric.compute(evidence)


def test_what_comes_after_a_reference_that_a_gaussian_replaces_is_needed_too() -> None:
    needs = ("reference", "samples")
    metric = Metric("own", (), needs, 3, lambda evidence: {"own": 1.0}, "", "", gaussian_suffices=True)
    gaussian = GaussianStatistics(torch.zeros(1), torch.eye(1), 9)
    none = torch.empty(0, 1)
    statistics = ReferenceStatistics(none, gaussian=gaussian)
    for count in (2, 3):
        evidence = Evidence(samples=torch.ones(count, 1), reference=none, statistics=statistics)
        if count == 3:
            assert metric.compute(evidence) == {"own": 1.0}
        else:
            with pytest.raises(NotMeasurable, match=r"^own: needs at least 3 samples, got 2$"):
                metric.compute(evidence)
