"""What is measured where a plugin's extractor gives no features of the samples: the numbers that read none."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.evaluation.measurement import Evaluator
from genbench.evaluation.references import reference_for
from genbench.evaluation.selection import select
from genbench.features.extractor import Extractor, FeatureError
from genbench.features.intake import Images

ASKED = ("fd", "kid", "pixel_w1", "pixel_mean_gap")
FEATURELESS = {"pixel_w1", "spectrum_w1", "pixel_mean_gap", "pixel_variance_gap", "pixel_quantile_gap"}


class ChannelMeans(nn.Module):
    """Features: each channel's mean; if strict, none of images with white in them."""

    def __init__(self, strict: bool) -> None:
        super().__init__()
        self.strict = strict

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        if self.strict and bool((x == 255).any()):
            raise FeatureError("extractor 'means': its network returned NaN for white")
        return x.mean(dim=(2, 3)), None


def levels(seed: int, count: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(100, (count, 3, 4, 4), dtype=torch.uint8, generator=draw)


def evaluator(strict: bool) -> Evaluator:
    train, held_out = Split(levels(0, 20), None), Split(levels(1, 12), None)
    data = Dataset("dark", train, held_out, None, "none", fingerprint(train, held_out))
    name = "strict" if strict else "lenient"
    by = Extractor(name, ChannelMeans(strict), Images(Tensor.float), torch.device("cpu"), "fp32", 3, None, name)
    return Evaluator(data, by, reference_for(data, by), select(ASKED))


@pytest.mark.parametrize("count", [1, 7, 31])
def test_pixels_are_measured_as_if_there_were_features(count: int) -> None:
    white = levels(2, count)
    white[0, 0, 0, 0] = 255
    strict, lenient = evaluator(strict=True), evaluator(strict=False)
    found, expected = strict.score(white, None), lenient.score(white, None)
    assert found.keys() == expected.keys() & FEATURELESS
    assert {"pixel_w1", "pixel_mean_gap"} <= found.keys()
    assert all(found[name] == expected[name] for name in found)  # their recipes are the same, too
    recipe = strict.recipes[found["pixel_w1"].recipe]
    assert (recipe["samples"], recipe["reference_count"]) == (count, 20)
    assert "extractor" not in recipe


def test_the_reason_is_given_for_each_metric_that_reads_features_until_there_are_some() -> None:
    strict, white = evaluator(strict=True), levels(2, 12)
    white[5] = 255
    told = list[str | None]()
    strict.watch = told.append
    strict.score(white, None)
    reason = "extractor 'means': its network returned NaN for white"
    assert strict.missing == {"frechet_distance": reason, "kernel_distance": reason}
    measured = [metric.name for metric in strict.metrics if metric.name not in strict.missing]
    assert told == ["features", *measured, None]
    assert {"fd", "kid"} <= strict.score(white, None, features=strict.reference.held_out).keys()
    assert strict.missing == {}
    assert {"fd", "kid"} <= strict.score(levels(2, 12), None).keys()
    assert strict.missing == {}
