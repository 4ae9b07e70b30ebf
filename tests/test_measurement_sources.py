"""Which images and whose features each number is based on, with splits so different that any mix-up shows."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from genbench import seeding
from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.errors import InputError
from genbench.evaluation import controls, measurement, references
from genbench.evaluation.measurement import Evaluator
from genbench.evaluation.references import Reference, reference_for
from genbench.evaluation.selection import select
from genbench.evaluation.trained import Evaluation
from genbench.features.extractor import Extractor, Features, extract
from genbench.features.inception import EARNED
from genbench.features.intake import Images
from genbench.kinds.image import KIND as IMAGES
from genbench.metrics import neighbours
from genbench.metrics.not_measurable import NotMeasurable
from genbench.plugin.loading import Plugin
from genbench.plugin.model import Model

COUNT = 24
CPU = torch.device("cpu")


class Means(nn.Module):
    """Features: each channel's mean, times a factor; no logits."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return self.factor * x.mean(dim=(2, 3)), None


def extractor(name: str = "means", factor: float = 1.0, weights: str = "0") -> Extractor:
    return Extractor(name, Means(factor), Images(Tensor.float), CPU, "fp32", 2, None, weights)


def noise(low: int, high: int, seed: int, count: int = COUNT) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(low, high, (count, 2, 6, 6), dtype=torch.uint8, generator=draw)


def dataset(seed: int = 0) -> Dataset:
    """Dark training images and bright held-out ones."""
    train, held_out = Split(noise(0, 60, seed), None), Split(noise(190, 250, seed + 1), None)
    return Dataset("dark", train, held_out, None, "none", fingerprint(train, held_out))


def evaluator_of(data: Dataset, by: Extractor) -> Evaluator:
    return Evaluator(data, by, reference_for(data, by))


def test_pixels_are_compared_with_the_training_split() -> None:
    data = dataset()
    numbers = evaluator_of(data, extractor()).score(data.train.items, None)
    pixels = ("pixel_mean_gap", "pixel_variance_gap", "pixel_quantile_gap", "pixel_w1", "spectrum_w1")
    assert [numbers[name].value for name in pixels] == pytest.approx([0.0] * 5, abs=1e-9)
    bright = evaluator_of(data, extractor()).score(data.held_out.items, None)
    assert bright["pixel_mean_gap"].value > 150


def test_distances_are_to_the_training_split() -> None:
    data = dataset()
    evaluator = evaluator_of(data, extractor())
    own, other = (evaluator.score(split.items, None) for split in (data.train, data.held_out))
    assert own["fd"].value == pytest.approx(0, abs=1e-6)
    assert own["recall"].value == own["precision"].value == 1
    assert other["fd"].value > 1000
    # The gap is the distance to held-out minus that to training images: for a copy of the latter, it is far above 0.
    assert own["fd_gap"].value > 1000 > -1000 > other["fd_gap"].value


@pytest.mark.parametrize("other", [{"name": "twice"}, {"weights": "1"}], ids=["name", "weights"])
def test_features_of_one_extractor_are_not_taken_for_another_s(other: dict[str, str]) -> None:
    """The cache holds the first extractor's features when the second one needs features of the same data."""
    data = dataset(seed=7)
    first = reference_for(data, extractor())
    second = reference_for(data, extractor(factor=2.0, **other))
    assert torch.equal(second.train.features, 2 * first.train.features)
    assert torch.equal(second.held_out.features, 2 * first.held_out.features)
    again = reference_for(data, extractor(factor=3.0))  # the same identity: from the cache
    assert torch.equal(again.train.features, first.train.features)


def test_statistics_of_one_extractor_are_not_taken_for_another_s() -> None:
    data = dataset(seed=9)
    numbers = [
        evaluator_of(data, by).score(data.train.items, None)["fd"].value
        for by in (extractor(), extractor("twice", factor=2.0))
    ]
    assert numbers == pytest.approx([0.0, 0.0], abs=1e-6)


def test_a_recipe_holds_the_extractor_and_its_weights_and_those_of_pixels_hold_none() -> None:
    data = dataset()
    recipes = []
    for by in (extractor(), extractor("other"), extractor(weights="1")):
        evaluator = evaluator_of(data, by)
        numbers = evaluator.score(data.train.items, None)
        recipe = evaluator.recipes[numbers["fd"].recipe]
        assert (recipe["extractor"], recipe["weights_sha256"]) == (by.name, by.weights_sha256)
        assert "extractor" not in evaluator.recipes[numbers["pixel_w1"].recipe]
        recipes.append(numbers["fd"].recipe)
    assert len(set(recipes)) == 3


def test_likelihood_and_reconstruction_are_of_held_out_images() -> None:
    """A model that gives an image as many nats as its levels add up to, and reconstructs each image darker by 10."""
    seen: list[Tensor] = []

    def log_likelihood(model: Model, batch: Tensor, generator: torch.Generator) -> Tensor:
        return -((batch + 1) * 127.5).sum(dim=(1, 2, 3))

    def reconstruct(model: Model, batch: Tensor) -> Tensor:
        seen.append(batch)
        return batch - 20 / 255

    def sample(model: Model, count: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        return torch.zeros(count, 2, 6, 6)

    hooks = {"sample": sample, "reconstruct": reconstruct, "log_likelihood": log_likelihood}
    plugin = SimpleNamespace(
        hook=SimpleNamespace(**hooks), implements=lambda hook, argument=None: hook in hooks and argument is None
    )
    data = dataset()
    evaluation = Evaluation(
        cast(Plugin, plugin),
        cast(Any, SimpleNamespace(networks=nn.ModuleDict(), optimizers={})),
        data,
        evaluator_of(data, extractor()),
        CPU,
        seed=0,
        count=COUNT,
        emit=lambda event: None,
    )
    numbers = evaluation._run(curve=False).numbers
    nats = data.held_out.items.double().sum(dim=(1, 2, 3)).mean()
    assert numbers["bits_per_dim"].value == pytest.approx(float(nats) / 72 / torch.tensor(2.0).log().item(), rel=1e-5)
    assert numbers["reconstruction_mse"].value == pytest.approx((10 / 255) ** 2, rel=1e-5)
    assert float(torch.cat(seen).min()) > 0.4  # levels from 190 on
    assert evaluation.evaluator.recipes[numbers["bits_per_dim"].recipe]["split"] == "held-out"


def test_a_reference_is_the_first_images_of_either_split(monkeypatch: pytest.MonkeyPatch) -> None:
    data, by = dataset(seed=11), extractor()
    whole = reference_for(data, by)
    first = reference_for(data, by, limit=5)
    assert torch.equal(first.train.features, whole.train.features[:5])
    assert torch.equal(first.held_out.features, whole.held_out.features[:5])
    monkeypatch.setattr(references, "REFERENCE_LIMIT", 7)
    evaluator = evaluator_of(data, by)
    assert torch.equal(evaluator.reference.train.features, whole.train.features[:7])
    # So are the pixels: against the same images there is no gap, although the split contains others.
    numbers = evaluator.score(data.train.items[:7], None)
    assert numbers["pixel_w1"].value == numbers["pixel_mean_gap"].value == 0
    assert evaluator.recipes[numbers["fd"].recipe]["reference_count"] == 7


def test_statistics_are_computed_once_and_a_cache_that_cannot_be_written_costs_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, by, written = dataset(seed=13), extractor(), list[str]()
    plain = measurement.write_cached

    def write(path: Path, tensors: dict[str, Tensor]) -> None:
        written.append(path.parent.name)
        if path.parent.name == "statistics":
            if len(written) == 3:
                raise InputError("the disk is full")
            plain(path, tensors)

    for module in (measurement, references):
        monkeypatch.setattr(module, "write_cached", write)
    first = evaluator_of(data, by).score(data.train.items, None)  # features of two splits; writing statistics fails
    assert written == ["features", "features", "statistics"]
    second = Evaluator(data, by, reference_for(data, by)).score(data.train.items, None)
    assert written[3:] == ["features", "features", "statistics"]
    third = Evaluator(data, by, reference_for(data, by)).score(data.train.items, None)
    assert written[6:] == ["features", "features"]
    for other in (second, third):
        assert {name: number.value for name, number in other.items()} == pytest.approx(
            {name: number.value for name, number in first.items()}
        )


def test_statistics_of_another_version_are_computed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    data, by, written = dataset(seed=29), extractor(), list[str]()
    plain = measurement.write_cached
    monkeypatch.setattr(
        measurement, "write_cached", lambda path, tensors: written.append(path.parent.name) or plain(path, tensors)
    )
    for version, count in ((1, 1), (1, 1), (2, 2), (1, 2)):
        monkeypatch.setattr(measurement.ReferenceStatistics, "VERSION", version)
        evaluator_of(data, by).score(data.train.items, None)
        assert written.count("statistics") == count


def test_statistics_of_few_reference_images_are_not_taken_for_those_of_all() -> None:
    data, by = dataset(seed=31), extractor()
    for count in (5, COUNT):
        evaluator = Evaluator(data, by, reference_for(data, by, limit=count), select(["fd"]))
        assert evaluator.score(data.train.items[:count], None)["fd"].value == pytest.approx(0, abs=1e-6)


def test_the_parts_of_an_evaluation_are_reported_as_they_begin() -> None:
    data = dataset()
    evaluator, told = evaluator_of(data, extractor()), list[str | None]()
    evaluator.watch = told.append
    evaluator.score(data.train.items, None)
    names = [metric.name for metric in evaluator.metrics]
    assert told == ["features", *names, None]
    told.clear()
    evaluator.score(data.train.items, None, features=evaluator.reference.train, curve=True)
    assert told == [*(metric.name for metric in evaluator.metrics if metric.curve), None]


def test_a_recipe_holds_all_that_a_number_follows_from() -> None:
    data, by = dataset(), extractor()
    evaluator = evaluator_of(data, by)
    numbers = evaluator.score(data.train.items[:20], None)
    of_dataset = {"dataset": "dark", "dataset_fingerprint": data.fingerprint, "rounding": IMAGES.rounding}
    of_samples = {"samples": 20, "reference_split": "train", "reference_count": COUNT, "seed": 0}
    assert evaluator.recipes[numbers["fd"].recipe] == {
        "metric": "frechet_distance",
        "metric_version": 1,
        "ddof": 1,
        **of_dataset,
        **of_samples,
        **by.recipe(),
    }
    pixels = evaluator.recipes[numbers["pixel_w1"].recipe]
    assert of_dataset.items() | of_samples.items() <= pixels.items()
    assert len({*evaluator.recipes}) == len({number.recipe for number in numbers.values()})


@pytest.mark.parametrize("samples", [20, COUNT])
def test_a_recipe_says_where_a_kernel_s_products_are_float32(samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest of the three sweeps decides: that of the training images with themselves."""
    data = dataset()
    for least, expected in ((COUNT * COUNT * 2, "float32"), (COUNT * COUNT * 2 + 1, None)):
        monkeypatch.setattr(neighbours, "FILTERED_FROM", least)
        evaluator = evaluator_of(data, extractor())
        numbers = evaluator.score(data.train.items[:samples], None)
        assert evaluator.recipes[numbers["kid"].recipe].get("products") == expected
        assert "products" not in evaluator.recipes[numbers["fd"].recipe]


def test_an_official_extractor_gives_its_distances_their_official_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurement, "standard_error", lambda name, evidence: {"fd": 0.5, "fd_gap": 0.25}.get(name))
    data, by = dataset(), dataclasses.replace(extractor("official"), earned=EARNED)
    numbers, plain = (evaluator_of(data, each).score(data.held_out.items, None) for each in (by, extractor()))
    assert {"fid", "fid_gap"} <= numbers.keys()
    assert not {"fd", "fd_gap"} & numbers.keys()
    assert numbers["fid"].value == plain["fd"].value
    assert (numbers["fid"].standard_error, numbers["fid_gap"].standard_error) == (0.5, 0.25)


def test_what_cannot_be_measured_is_left_out_with_its_reason_and_the_rest_is_measured() -> None:
    data = dataset()
    evaluator = evaluator_of(data, extractor())
    numbers = evaluator.score(data.train.items[:1], None)
    assert "fd" not in numbers
    assert {"pixel_w1", "spectrum_w1"} <= numbers.keys()  # although they come after it
    assert all(len(reason.split()) > 2 for reason in evaluator.missing.values())
    (reason,) = {evaluator.missing[name] for name in ("frechet_distance",)}
    with pytest.raises(NotMeasurable) as error:
        select(["fd"])[0].compute(evaluator._evidence(data.train.items[:1], None, evaluator_features(data, 1)))
    assert str(error.value) == reason


def evaluator_features(data: Dataset, count: int) -> Features:
    return extract(extractor(), data.train.items[:count])


@pytest.mark.parametrize(("side", "counted"), [(6, True), (5, False)])
def test_modes_are_those_of_images_of_the_datasets_shape(side: int, counted: bool) -> None:
    """An image is in the mode if its first pixel is bright; images of a different shape have no modes."""
    plain = dataset()
    data = dataclasses.replace(plain, nearest_mode=lambda images: (images[:, 0, 0, 0] > 30).long() - 1, mode_count=1)
    images = plain.train.items[..., :side, :side]
    evaluator = Evaluator(data, extractor(), reference_for(data, extractor()), select(["mode_counts", "fd"]))
    numbers = evaluator.score(images, None)
    assert "fd" in numbers
    assert ("modes_covered" in numbers) == counted


class Logits(Means):
    """The means, which also serve as logits of two classes."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        means, _ = super().forward(x)
        return means, means / 10


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("classifies", [True, False])
@pytest.mark.parametrize(("count", "known"), [(10, None), (40, None), (10, 6)], ids=["fewer", "more", "not all known"])
def test_the_floor_is_the_control_of_held_out_images(
    labelled: bool, classifies: bool, count: int, known: int | None
) -> None:
    seed = 21 if known is None else 23  # statistics are kept for a dataset, whatever part of it is known
    train, held_out = (
        Split(noise(low, high, seed, 60), torch.arange(60) % 2 if labelled else None)
        for low, high in ((0, 60), (20, 200))
    )
    data = Dataset("dark", train, held_out, ("a", "b") if labelled else None, "none", fingerprint(train, held_out))
    network = Logits(1.0) if classifies else Means(1.0)
    classes = 2 if classifies else None
    by = Extractor("both", network, Images(Tensor.float), CPU, "fp32", 2, classes, str(classifies))
    evaluator = Evaluator(data, by, reference_for(data, by, limit=known))
    evaluator.extract = lambda *_: pytest.fail("the features are known")
    found = evaluator.floor(count)
    evaluator.extract = extract
    part = slice(known)
    drawn_from = Split(held_out.items[part], None if held_out.labels is None else held_out.labels[part])
    rows = controls.rows(drawn_from, count, seeding.generator(0, "control", "real"))
    expected = evaluator.score(drawn_from.items[rows], None, samples_held_out=True)
    assert found.keys() == expected.keys()
    assert "fd" in found
    assert ("classifier_score" in found) == classifies
    for name, number in expected.items():
        assert found[name].value == pytest.approx(number.value, nan_ok=True), name


def test_metrics_see_as_many_reference_items_as_there_are_features_of() -> None:
    train = Split(noise(0, 60, 1, 60), torch.arange(60) % 2)
    data = Dataset("dark", train, train, ("a", "b"), "none", fingerprint(train, train))
    by = extractor()
    evaluator = Evaluator(data, by, reference_for(data, by, limit=20), select(["fd"]))
    evidence = evaluator._evidence(train.items, None, extract(by, train.items))
    seen = evidence.reference, evidence.reference_items, evidence.reference_labels
    assert [len(each) for each in seen] == [20, 20, 20]


def test_where_nothing_is_held_out_there_is_no_floor() -> None:
    train, none = Split(noise(0, 60, 1), None), Split(noise(0, 60, 1, 0), None)
    data = Dataset("dark", train, none, None, "none", "0" * 64)
    reference = Reference(extract(extractor(), train.items), Features(torch.empty(0, 2), None))
    assert Evaluator(data, extractor(), reference).floor(10) == {}
