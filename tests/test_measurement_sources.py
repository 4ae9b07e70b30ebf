"""Which images, and whose features, each number stands on: on data whose splits differ so far that a mix-up shows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.evaluation import measurement
from genbench.evaluation.measurement import Evaluator
from genbench.evaluation.trained import Evaluation
from genbench.features.extractor import Extractor
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
    return Extractor(name, Means(factor), lambda images: images.float(), CPU, "fp32", 2, None, weights)


def noise(low: int, high: int, seed: int, count: int = COUNT) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(low, high, (count, 2, 6, 6), dtype=torch.uint8, generator=draw)


def dataset(seed: int = 0) -> Dataset:
    """Dark training images and bright held-out ones."""
    train, held_out = Split(noise(0, 60, seed), None), Split(noise(190, 250, seed + 1), None)
    return Dataset("dark", train, held_out, None, "none", fingerprint(train, held_out))


def evaluator_of(data: Dataset, by: Extractor) -> Evaluator:
    return Evaluator(data, by, measurement.reference_for(data, by))


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
    # The gap is to held-out images minus to training images: a copy of the training images is far above 0.
    assert own["fd_gap"].value > 1000 > -1000 > other["fd_gap"].value


@pytest.mark.parametrize("other", [{"name": "twice"}, {"weights": "1"}], ids=["name", "weights"])
def test_features_of_one_extractor_are_not_taken_for_another_s(other: dict[str, str]) -> None:
    """The cache holds the features of the first when the second asks for the same data."""
    data = dataset(seed=7)
    first = measurement.reference_for(data, extractor())
    second = measurement.reference_for(data, extractor(factor=2.0, **other))
    assert torch.equal(second.train.features, 2 * first.train.features)
    assert torch.equal(second.held_out.features, 2 * first.held_out.features)
    again = measurement.reference_for(data, extractor(factor=3.0))  # the same identity: from the cache
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
    """A model that gives an image as many nats as it has levels, and restores each image darker by 10."""
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
