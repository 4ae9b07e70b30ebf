"""What an evaluation reads from the cache, passes on to metrics, and writes into recipes, part by part."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from test_measurement_sources import CPU, IMAGES, Logits, dataset, evaluator_of, extractor
from torch import Tensor

from genbench.evaluation import measurement, references
from genbench.evaluation.references import reference_for
from genbench.evaluation.selection import select
from genbench.evaluation.stopwatch import Stopwatch
from genbench.features.extractor import Extractor
from genbench.features.intake import Images
from genbench.metrics import METRICS
from genbench.metrics.evidence import Evidence
from genbench.records.identity import identity


def test_the_progress_of_extraction_names_the_split_and_what_it_holds() -> None:
    events: list[dict[str, Any]] = []
    reference_for(dataset(seed=21), extractor(), events.append)
    assert [(event["stage"], event["done"], event["total"]) for event in events] == [
        ("features of train images", 24, 24),
        ("features of held-out images", 24, 24),
    ]


def test_references_of_different_sizes_are_cached_side_by_side() -> None:
    data, by, events = dataset(seed=23), extractor(), list[dict[str, Any]]()
    for limit in (5, None):
        reference_for(data, by, limit=limit)
    for limit in (5, None):
        reference_for(data, by, events.append, limit)
    assert events == []


@pytest.mark.parametrize(
    "cached",
    [{}, {"features": torch.zeros(23, 2)}, {"features": torch.full((24, 2), torch.nan)}, {"logits": torch.ones(24, 2)}],
    ids=["nothing", "too few", "not finite", "without features"],
)
def test_features_that_cannot_be_right_are_extracted_again(
    monkeypatch: pytest.MonkeyPatch, cached: dict[str, Tensor]
) -> None:
    data, by = dataset(seed=25), extractor()
    whole = reference_for(data, by)
    monkeypatch.setattr(references, "read_cached", lambda path: cached)
    assert torch.equal(reference_for(data, by).train.features, whole.train.features)


def test_logits_of_the_reference_come_from_the_cache_too_and_give_its_classes() -> None:
    data = dataset(seed=27)
    by = Extractor("both", Logits(1.0), Images(Tensor.float), CPU, "fp32", 2, 2, "0")
    for _ in range(2):  # the second time from the cache
        found = evaluator_of(data, by).score(data.train.items, None)
        assert found["class_coverage"].value == 1


def test_labels_reach_the_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    data, seen = dataset(), list[Evidence]()
    evaluator = evaluator_of(data, extractor())
    monkeypatch.setattr(evaluator, "_numbers", lambda evidence, *_: seen.append(evidence))
    labels = torch.arange(len(data.train)) % 2
    evaluator.score(data.train.items, labels)
    assert seen[0].sample_labels is labels


def test_the_evidence_of_each_split_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, seen = dataset(seed=29), list[Evidence]()
    train, held_out = (
        dataclasses.replace(split, labels=torch.arange(len(split)) % classes)
        for split, classes in ((plain.train, 2), (plain.held_out, 3))
    )
    data = dataclasses.replace(plain, train=train, held_out=held_out, class_names=("a", "b", "c"))
    by = Extractor("both", Logits(1.0), Images(Tensor.float), CPU, "fp32", 2, 2, "1")
    evaluator = evaluator_of(data, by)
    monkeypatch.setattr(evaluator, "_numbers", lambda evidence, *_: seen.append(evidence))
    evaluator.score(data.train.items, None)
    for prefix, split in (("reference", train), ("held_out", held_out)):
        features, logits = by(split.items)
        assert logits is not None
        assert torch.equal(getattr(seen[0], prefix), features)
        assert torch.equal(getattr(seen[0], f"{prefix}_logits"), logits)
        assert torch.equal(getattr(seen[0], f"{prefix}_items"), split.items)
        assert torch.equal(getattr(seen[0], f"{prefix}_labels"), split.labels)


def test_a_recipe_identifies_the_plugin_that_provides_the_data() -> None:
    provenance = {"distribution": "spectra", "version": "0.1.0", "source_sha256": "ab12"}
    for plugin, line in ((provenance, "spectra 0.1.0 sha256:ab12"), (None, None)):
        data = dataclasses.replace(dataset(), plugin=plugin)
        evaluator = evaluator_of(data, extractor())
        found = evaluator.score(data.train.items, None)
        for name in ("fd", "pixel_w1"):
            assert evaluator.recipes[found[name].recipe].get("dataset_plugin") == line


def test_the_recipe_of_a_number_without_samples_names_the_held_out_split() -> None:
    data = dataset()
    evaluator = evaluator_of(data, extractor())
    held_out = data.held_out.items
    found = evaluator.score(data.train.items, None, originals=held_out, reconstructions=held_out)
    metric = METRICS["reconstruction"]
    assert evaluator.recipes[found["reconstruction_mse"].recipe] == {
        "metric": "reconstruction",
        "metric_version": metric.version,
        **metric.parameters,
        "dataset": "dark",
        "dataset_fingerprint": data.fingerprint,
        "rounding": IMAGES.rounding,
        "split": "held-out",
        "images": len(held_out),
    }


def test_a_recipe_is_named_by_the_first_eight_digits_of_its_identity() -> None:
    data = dataset()
    evaluator = evaluator_of(data, extractor())
    evaluator.score(data.train.items, None)
    assert all(name == identity(recipe, 8) for name, recipe in evaluator.recipes.items())


def test_whether_sums_are_float32_is_asked_for_the_metric_s_own_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(measurement, "sums_float32", lambda *given: asked.append(given))
    data, by = dataset(), extractor()
    metrics = select(["kid", "mmd", "fd"])
    evaluator = measurement.Evaluator(data, by, reference_for(data, by), metrics)
    evaluator.score(data.train.items[:20], None)
    assert sorted(asked) == [("cubic", 20, 24, 2), ("gaussian", 20, 24, 2)]


def test_a_part_that_begins_again_adds_to_its_seconds() -> None:
    told, ticks = list[str](), iter([0.0, 1.5, 4.0, 10.0, 10.25, 12.0])
    watch = Stopwatch(lambda: next(ticks), told.append)
    for part in ("features", "fd", None, "features", "fd", None):  # two evaluations, with training in between
        watch(part)
    assert watch.seconds == {"features": 1.5 + 0.25, "fd": 2.5 + 1.75}
    assert told == ["features", "fd", "features", "fd"]
