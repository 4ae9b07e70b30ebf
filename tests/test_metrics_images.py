"""Metrics on images: pixel statistics, similarity, diversity, reconstruction, likelihood, and the accuracy score."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from scipy import signal, stats
from sklearn.datasets import load_digits
from torch import Tensor

from genbench.metrics import METRICS, Evidence, NotMeasurable, cas, pixel_gaps, pixels, small_classifier
from genbench.metrics.cas import classification_accuracy_score
from genbench.metrics.constants import CAS_BATCH, CAS_STEPS
from genbench.metrics.diversity import _draw, within_class_similarity
from genbench.metrics.features import affordable, chosen
from genbench.metrics.likelihood import bits_per_dimension
from genbench.metrics.pixels import (
    channel_statistics,
    intensity_histogram,
    intensity_wasserstein,
    most_levels,
    of_spectrum,
    power_spectrum,
    spectrum_wasserstein,
)
from genbench.metrics.reconstruction import reconstruction_error
from genbench.metrics.restored import restored_images
from genbench.metrics.similarity import scales, similarity, window
from genbench.metrics.small_classifier import IMAGES, Network


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def smooth(images: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(images.float(), 3, stride=1, padding=1).to(torch.uint8)


def test_channel_statistics_are_those_of_the_pixels() -> None:
    images = noise(20, 3, 5, 7) // torch.tensor([1, 2, 5], dtype=torch.uint8).view(3, 1, 1)
    found = channel_statistics(intensity_histogram(images))
    values = images.double().transpose(0, 1).flatten(1)
    torch.testing.assert_close(found.mean, values.mean(dim=1))
    torch.testing.assert_close(found.variance, values.var(dim=1, correction=0))
    wanted = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95], dtype=torch.float64)
    expected = torch.quantile(values, wanted, dim=1, interpolation="higher").T
    assert (
        found.quantiles - expected
    ).abs().max() <= 1  # at a step of the distribution, two conventions differ by one level


def test_the_distance_of_intensities_is_scipy_s() -> None:
    samples, reference = noise(10, 2, 4, 4), noise(12, 2, 4, 4, seed=1) // 2
    expected = [
        stats.wasserstein_distance(samples[:, c].flatten().numpy(), reference[:, c].flatten().numpy()) for c in (0, 1)
    ]
    found = intensity_wasserstein(intensity_histogram(samples), intensity_histogram(reference))
    assert found == pytest.approx(sum(expected) / 2, rel=1e-9)


@pytest.mark.parametrize("shift", [0, 1, 40])
def test_a_shift_of_brightness_is_the_distance(shift: int) -> None:
    images = noise(10, 1, 6, 6) // 2
    found = intensity_wasserstein(intensity_histogram(images + shift), intensity_histogram(images))
    assert found == pytest.approx(shift, abs=1e-9)


def test_a_wave_has_its_power_at_its_frequency() -> None:
    columns = torch.arange(16)
    wave = (127 + 100 * torch.cos(2 * math.pi * columns * 4 / 16)).round().to(torch.uint8)
    radii, shares = power_spectrum(wave.expand(3, 1, 16, 16))
    assert float(shares[(radii - 0.25).abs().argmin()]) > 0.999
    assert float(shares.sum()) == pytest.approx(1)


def test_the_spectrum_s_distance_rises_with_blur_and_ignores_contrast_and_place() -> None:
    images = noise(64, 1, 16, 16) // 2
    radii, shares = power_spectrum(images)
    blurred = [images]
    for _ in range(3):
        blurred.append(smooth(blurred[-1]))
    found = [spectrum_wasserstein(power_spectrum(blur)[1], shares, radii) for blur in blurred]
    assert found[0] == 0.0
    assert found == sorted(found)
    assert found[1] > 0.05
    moved = images.roll((3, 5), (2, 3)) * 2
    assert spectrum_wasserstein(power_spectrum(moved)[1], shares, radii) == pytest.approx(0, abs=1e-9)


def test_constant_images_have_all_power_at_zero() -> None:
    radii, shares = power_spectrum(torch.full((5, 1, 8, 8), 9, dtype=torch.uint8))
    assert float(shares[0]) == 1.0
    assert spectrum_wasserstein(shares, power_spectrum(noise(5, 1, 8, 8))[1], radii) > 0.2


def test_images_of_one_pixel_have_no_spectrum() -> None:
    points = torch.zeros(9, 2)
    evidence = Evidence(
        samples=points, reference=points, sample_items=noise(9, 2, 1, 1), reference_items=noise(9, 2, 1, 1, seed=1)
    )
    numbers = METRICS["pixel_statistics"].compute(evidence)
    assert "spectrum_w1" not in numbers
    assert numbers["pixel_w1"] > 0


def test_images_of_two_pixels_have_a_spectrum() -> None:
    """All of their power is at half a cycle per pixel; that of the constant images is at 0."""
    points, constant = torch.zeros(9, 2), torch.full((9, 1, 1, 2), 7, dtype=torch.uint8)
    evidence = Evidence(samples=points, reference=points, sample_items=noise(9, 1, 1, 2), reference_items=constant)
    assert METRICS["pixel_statistics"].compute(evidence)["spectrum_w1"] == 0.5


@pytest.mark.parametrize(
    ("side", "size", "count"),
    [(3, 3, 1), (8, 7, 1), (11, 11, 1), (22, 11, 2), (28, 11, 2), (64, 11, 3), (87, 11, 3), (88, 11, 4), (176, 11, 5)],
)
def test_window_and_scales_fit_the_image(side: int, size: int, count: int) -> None:
    for shape in ((side, side), (side, 200), (200, side)):
        assert (window(*shape), scales(*shape)) == (size, count)
    images = noise(2, 1, side, side)
    for multiscale in (False, True):
        assert similarity(images, images, multiscale=multiscale).tolist() == pytest.approx([1, 1])
        different = similarity(images, noise(2, 1, side, side, seed=1), multiscale=multiscale)
        assert bool(different.isfinite().all())
        assert float(different.max()) < 0.9


def test_there_are_no_more_than_five_scales() -> None:
    assert scales(1000, 1000) == scales(352, 2000) == 5


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (noise(2, 1, 8, 8).float(), noise(2, 1, 8, 8), r"^first images: expected uint8"),
        (noise(2, 1, 8, 8), noise(2, 1, 8, 8).float(), r"^second images: expected uint8"),
        (
            noise(2, 1, 8, 8),
            noise(2, 1, 8, 9),
            r"^similarity: images of shape \(2, 1, 8, 8\) and \(2, 1, 8, 9\) cannot",
        ),
        (noise(2, 1, 2, 8), noise(2, 1, 2, 8), r"^similarity: images of 2×8 are too small for a window"),
        (noise(2, 1, 8, 2), noise(2, 1, 8, 2), r"^similarity: images of 8×2 are too small for a window"),
    ],
)
def test_images_without_a_similarity_are_refused(first: Tensor, second: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        similarity(first, second, multiscale=False)


def two_of(channels: int, side: int) -> tuple[Tensor, Tensor]:
    """Structured images and a worse copy of them, with a flat corner where only the constants keep SSIM finite."""
    images = smooth(smooth(noise(3, channels, side, side)))
    images[..., : side // 2, : side // 2] = 7
    return images, (images // 2 + noise(3, channels, side, side, seed=1) // 8).to(torch.uint8)


@pytest.mark.parametrize(("channels", "side"), [(1, 11), (1, 28), (3, 33)])
@pytest.mark.parametrize("height", [11, None])
def test_ssim_is_scikit_image_s(channels: int, side: int, height: int | None) -> None:
    """Wang's settings: a Gaussian window, population moments, whole windows only."""
    from skimage.metrics import structural_similarity

    first, second = (images[:, :, :height] for images in two_of(channels, side))
    expected = [
        structural_similarity(
            *(image.double().numpy() for image in pair),
            channel_axis=0,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for pair in zip(first, second, strict=True)
    ]
    tolerance = 1e-6 if height is None else 1e-5  # with few windows, half of them flat, single ones matter
    assert similarity(first, second, multiscale=False).tolist() == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize(("side", "scale_count"), [(48, 3), (28, 2)])
def test_ms_ssim_is_the_product_of_its_paper(side: int, scale_count: int) -> None:
    """Computed by equation 7 of Wang et al. 2003, with two-dimensional convolutions in double precision."""
    first, second = two_of(1, side)  # 48, 24, 12
    exponents = (0.0448, 0.2856, 0.3001)[:scale_count]
    offsets = np.arange(11) - 5
    line = np.exp(-(offsets**2) / 4.5)
    weights = np.outer(line, line) / line.sum() ** 2
    for a, b, found in zip(first, second, similarity(first, second, multiscale=True).tolist(), strict=True):
        x, y, product = a[0].double().numpy(), b[0].double().numpy(), 1.0
        for scale, exponent in enumerate(exponents):
            mean_x, mean_y, xx, yy, xy = (
                signal.convolve2d(values, weights, mode="valid") for values in (x, y, x * x, y * y, x * y)
            )
            term = (2 * (xy - mean_x * mean_y) + 58.5225) / (xx - mean_x**2 + yy - mean_y**2 + 58.5225)
            if scale == scale_count - 1:
                term *= (2 * mean_x * mean_y + 6.5025) / (mean_x**2 + mean_y**2 + 6.5025)
            product *= max(0.0, term.mean()) ** (exponent / sum(exponents))
            x, y = (image.reshape(len(image) // 2, 2, -1, 2).mean(axis=(1, 3)) for image in (x, y))
        assert found == pytest.approx(product, abs=1e-6)


def test_ssim_falls_below_zero_and_ms_ssim_does_not() -> None:
    images = noise(3, 2, 28, 28)
    assert similarity(images, images, multiscale=False).dtype == torch.float64
    assert float(similarity(images, 255 - images, multiscale=False).max()) < -0.5
    assert similarity(images, 255 - images, multiscale=True).tolist() == [0, 0, 0]
    small = images[..., :8, :8]  # one scale is SSIM
    assert torch.equal(*(similarity(small, 255 - small, multiscale=multiscale) for multiscale in (False, True)))


def test_no_pixel_of_the_border_counts_twice() -> None:
    """In a flat pair that differs in one corner pixel, one of (16 − 10)² windows has it; mirrored, several would."""
    flat = torch.full((1, 1, 16, 16), 100, dtype=torch.uint8)
    moved = flat.clone()
    moved[..., 0, 0] = 200
    line = torch.exp(-torch.arange(-5.0, 6.0, dtype=torch.float64).square() / 4.5)
    weight = float(line[0] / line.sum()) ** 2
    mean = 100 + 100 * weight
    variance = 100**2 * weight * (1 - weight)
    corner = (200 * mean + 6.5025) / (100**2 + mean**2 + 6.5025) * 58.5225 / (variance + 58.5225)
    assert float(similarity(flat, moved, multiscale=False)) == pytest.approx((35 + corner) / 36, abs=1e-6)


def test_large_images_are_measured_by_fewer_and_small_ones_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counting(first: Tensor, second: Tensor, *, multiscale: bool) -> Tensor:
        asked.append(len(first))
        return torch.ones(len(first))

    monkeypatch.setattr("genbench.metrics.diversity.similarity", counting)
    monkeypatch.setattr("genbench.metrics.restored.similarity", counting)
    small, large = noise(60, 1, 8, 8), noise(60, 3, 128, 128)
    for images in (small, large):
        within_class_similarity(images)
        reconstruction_error(images, images)
    assert asked == [500, 60, 42, 21]  # 2²¹ values are 42 images of 3·128², 2²⁰ are 21
    within_class_similarity(small, torch.arange(30).repeat(2), pairs=7)
    assert asked[-1] == 7  # more classes than pairs
    spectra = [len(of_spectrum(images)) for images in (small, large, noise(40, 3, 256, 256))]
    assert spectra == [60, 42, 16]


def test_the_table_s_pixel_statistics_are_those_of_the_pixels() -> None:
    """The largest gap over channels, here in a different channel for each; computed with NumPy and SciPy."""
    samples = noise(30, 3, 6, 5) // torch.tensor([4, 2, 1], dtype=torch.uint8).view(3, 1, 1)
    reference = noise(40, 3, 6, 5, seed=1) // torch.tensor([4, 1, 1], dtype=torch.uint8).view(3, 1, 1)
    reference[:, 0] += 150
    points = torch.zeros(30, 2)
    evidence = Evidence(samples=points, reference=points, sample_items=samples, reference_items=reference)
    a, b = (images.transpose(0, 1).flatten(1).double().numpy() for images in (samples, reference))
    at = (0.05, 0.25, 0.5, 0.75, 0.95)
    quantiles = [np.quantile(side, at, axis=1, method="inverted_cdf") for side in (a, b)]
    radii, shares = power_spectrum(samples)
    expected = {
        "pixel_mean_gap": abs(a.mean(axis=1) - b.mean(axis=1)).max(),
        "pixel_variance_gap": abs(a.var(axis=1) - b.var(axis=1)).max(),
        "pixel_quantile_gap": abs(quantiles[0] - quantiles[1]).max(),
        "pixel_w1": np.mean([stats.wasserstein_distance(*pair) for pair in zip(a, b, strict=True)]),
        "spectrum_w1": stats.wasserstein_distance(radii, radii, shares, power_spectrum(reference)[1]),
    }
    assert METRICS["pixel_statistics"].compute(evidence) == pytest.approx(expected, rel=1e-9)


def test_the_table_s_subsets_of_images_are_drawn_by_the_evidence_s_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Subsets of the data are drawn with seed 0, since all models share them."""
    for module in (pixels, pixel_gaps):
        monkeypatch.setattr(module, "most_levels", lambda images: 10)
        monkeypatch.setattr(module, "of_spectrum", lambda images, seed=0: images[chosen(len(images), 5, seed)])
    samples, reference = noise(50, 1, 4, 4), noise(60, 1, 4, 4, seed=1)
    points = torch.zeros(50, 2)
    evidence = Evidence(samples=points, reference=points, sample_items=samples, reference_items=reference, seed=3)
    counted = intensity_histogram(samples, 10, seed=3), intensity_histogram(reference, 10, seed=0)
    (radii, shares), (_, data) = (
        power_spectrum(images[chosen(len(images), 5, seed)]) for images, seed in ((samples, 3), (reference, 0))
    )
    found = METRICS["pixel_statistics"].compute(evidence)
    assert found["pixel_w1"] == intensity_wasserstein(*counted)
    assert found["spectrum_w1"] == spectrum_wasserstein(shares, data, radii)


def test_a_subset_for_the_spectrum_is_random_and_the_seed_s() -> None:
    images = noise(20, 3, 256, 256)
    for seed in (0, 3):
        assert torch.equal(of_spectrum(images, seed), images[chosen(20, 16, seed)])
    assert torch.equal(of_spectrum(images), of_spectrum(images, 0))


def test_quantiles_are_the_lowest_levels_that_reach_them_whatever_the_rounding() -> None:
    """The cumulative sums of twenty equal shares miss 0.05, 0.25, ... in their last bits."""
    levels = torch.arange(20, dtype=torch.uint8).repeat(3)[:, None, None, None]
    assert channel_statistics(intensity_histogram(levels)).quantiles.tolist() == [[0, 4, 9, 14, 18]]
    empty = channel_statistics(torch.ones(2, 256, dtype=torch.float64, device="meta"))
    assert {part.device.type for part in (empty.mean, empty.variance, empty.quantiles)} == {"meta"}
    constant = channel_statistics(intensity_histogram(torch.full((3, 1, 7, 1), 201, dtype=torch.uint8)))
    assert (constant.mean.item(), constant.variance.item()) == (201, 0)


def test_pixels_are_counted_exactly_where_float32_is_not() -> None:
    images = torch.zeros(3, 1, 1, 5_592_407, dtype=torch.uint8)  # 2²⁴ + 5 pixels
    images[0, 0, 0, 0] = 1
    assert float(intensity_histogram(images)[0, 1]) == 1 / (2**24 + 5)


@pytest.mark.parametrize("function", [intensity_histogram, power_spectrum])
def test_only_8_bit_images_have_levels_and_a_spectrum(function) -> None:
    with pytest.raises(ValueError, match=r"^images: expected uint8 images of shape \(N, C, H, W\), got torch.float32"):
        function(torch.zeros(2, 1, 4, 4))


def test_levels_are_counted_of_as_many_images_as_asked() -> None:
    """Every pixel of image i has level i, so the histogram shows which images were counted."""
    images = torch.arange(100, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 3, 3).contiguous()
    (counted,) = (intensity_histogram(images, 10, seed=1) > 0).nonzero(as_tuple=True)[1][None]
    assert torch.equal(counted, chosen(100, 10, seed=1))
    assert torch.equal(intensity_histogram(images, 200), intensity_histogram(images))
    assert most_levels(torch.zeros(1, 3, 256, 256)) == 1365


def test_a_subset_is_random_and_the_seed_s() -> None:
    first, again, other = (chosen(1000, 50, seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len(first.unique()) == 50
    assert 300 < float(first.double().mean()) < 700  # not the first ones: a folder may be sorted by class
    assert chosen(3, 50).tolist() == [0, 1, 2]
    assert torch.equal(chosen(1000, 50), first)
    assert [affordable(noise(1, *shape), 100, 3) for shape in ((1, 1, 1), (2, 5, 3), (1, 9, 9))] == [100, 3, 3]
    assert affordable(noise(1, 1, 5, 5), 100, 3) == 4


@pytest.mark.parametrize("side", [8, 28, 32])
def test_collapsed_classes_are_similar_within(side: int) -> None:
    labels = torch.arange(4).repeat(8)
    patterns = smooth(noise(4, 1, side, side))
    collapsed = patterns[labels]
    diverse = smooth(noise(32, 1, side, side, seed=1))
    assert within_class_similarity(collapsed, labels, pairs=40) == pytest.approx(1)
    assert within_class_similarity(diverse, labels, pairs=40) < 0.6
    # Blind across classes: one image per class is collapse, however different the classes are.
    assert within_class_similarity(collapsed, None, pairs=40) < 0.9


def test_pairs_are_seeded_and_never_of_one_image() -> None:
    images, labels = noise(12, 1, 8, 8), torch.arange(6).repeat(2)
    assert within_class_similarity(images, labels, seed=4) == within_class_similarity(images, labels, seed=4)
    assert within_class_similarity(images, labels, pairs=60) < 0.9  # a pair of one image with itself would add 1


def test_pairs_are_of_one_class_of_two_images_and_equally_many_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pixel of image i has level i, so the pairs can be read from the images."""
    seen: list[tuple[list[int], list[int]]] = []

    def reading(first: Tensor, second: Tensor, *, multiscale: bool) -> Tensor:
        assert multiscale
        seen.append((first[:, 0, 0, 0].tolist(), second[:, 0, 0, 0].tolist()))
        return first[:, 0, 0, 0].double()

    monkeypatch.setattr("genbench.metrics.diversity.similarity", reading)
    images = torch.arange(12, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 3, 4).contiguous()
    labels = torch.tensor([0, 0, 0, 5, 5, 2, 2, 2, 2, 7, 9, 9])  # class 7 has one image
    value = within_class_similarity(images, labels, pairs=403)
    ((first, second),) = seen
    assert value == pytest.approx(sum(first) / len(first))
    pairs = list(zip(first, second, strict=True))
    found = {label: [(a, b) for a, b in pairs if labels[a] == label] for label in (0, 2, 5, 7, 9)}
    assert {label: len(of) for label, of in found.items()} == {0: 100, 2: 100, 5: 100, 7: 0, 9: 100}
    for label, of in found.items():
        members = (labels == label).nonzero().flatten().tolist()
        assert set(of) == (set(itertools.permutations(members, 2)) if len(members) > 1 else set())
    within_class_similarity(images, labels, pairs=403)
    within_class_similarity(images, labels, pairs=403, seed=0)
    within_class_similarity(images, labels, pairs=403, seed=1)
    assert seen[0] == seen[1] == seen[2] != seen[3]
    within_class_similarity(images, torch.arange(6).repeat(2), pairs=4)
    assert len({a % 6 for a in seen[-1][0]}) == 4  # more classes than pairs: a random part of them
    within_class_similarity(images, torch.arange(6).repeat(2), pairs=6)
    assert [a % 6 for a in seen[-1][0]] == list(range(6))  # one of each, in order
    for _ in range(2):
        within_class_similarity(images, torch.arange(6).repeat(2), pairs=3)
    assert seen[-2] == seen[-1]
    chosen_classes = set()
    for seed in range(20):
        within_class_similarity(images, torch.arange(6).repeat(2), pairs=1, seed=seed)
        chosen_classes |= {a % 6 for a in seen[-1][0]}
    assert chosen_classes == set(range(6))


def test_the_pairs_of_a_seed_stay_those_of_the_seed() -> None:
    """One number chooses the first of each pair, then one chooses how many places further on the second is."""
    draw = torch.Generator().manual_seed(3)
    first, steps = torch.randint(4, (50,), generator=draw), torch.randint(1, 4, (50,), generator=draw)
    found = _draw(torch.tensor([5, 6, 8, 9]), 50, torch.Generator().manual_seed(3))
    around = [5, 6, 8, 9, 5, 6, 8]
    expected = [(around[at], around[at + step]) for at, step in zip(first.tolist(), steps.tolist(), strict=True)]
    assert list(zip(*(side.tolist() for side in found), strict=True)) == expected


def test_the_table_s_diversity_is_within_the_available_labels_and_seeded() -> None:
    images, asked, seen = noise(30, 1, 8, 8), torch.arange(30) % 3, torch.arange(30) // 10
    images[:10] //= 4
    fields = {"samples": torch.zeros(30, 2), "reference": torch.zeros(9, 2), "sample_items": images, "seed": 4}
    logits = 9.0 * torch.nn.functional.one_hot(seen, 3)
    for more, labels in (
        ({"sample_labels": asked, "sample_logits": logits}, asked),
        ({"sample_logits": logits}, seen),
        ({}, None),
    ):
        expected = within_class_similarity(images, labels, seed=4)
        assert METRICS["within_class_similarity"].compute(Evidence(**fields, **more)) == {"ms_ssim": expected}


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (noise(4, 2, 1, 1), None, "ms_ssim: needs images of at least 3×3 pixels, got 1×1"),
        (noise(4, 2, 2, 5), None, "^ms_ssim: needs images of at least 3×3 pixels, got 2×5"),
        (noise(4, 1, 8, 8), torch.arange(4), "ms_ssim: needs at least 2 samples of one class"),
    ],
)
def test_diversity_that_cannot_be_measured(images: Tensor, labels: Tensor | None, message: str) -> None:
    with pytest.raises(NotMeasurable, match=message):
        within_class_similarity(images, labels)


@pytest.mark.parametrize("side", [7, 8])
def test_the_spectrum_is_that_of_the_whole_transform(side: int) -> None:
    images = noise(5, 2, side, side + 3)
    power = np.abs(np.fft.fft2(images.double().numpy())) ** 2
    power[..., 0, 0] = 0
    radii = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side + 3)).round(9)
    found_radii, shares = power_spectrum(images)
    assert found_radii.tolist() == pytest.approx(np.unique(radii).tolist(), abs=1e-10)
    expected = [power[..., radii == radius].sum() / power.sum() for radius in np.unique(radii)]
    assert shares.tolist() == pytest.approx(expected, rel=1e-5, abs=1e-12)


def test_chunks_of_images_add_up_to_what_they_are_together() -> None:
    """A chunk holds 2¹⁸ values, which is four of these images; here the chunks differ."""
    images = torch.cat([noise(4, 1, 256, 256) // 4, noise(2, 1, 256, 256, seed=1)])
    radii, shares = power_spectrum(images)
    power = np.abs(np.fft.fft2(images.double().numpy())) ** 2
    power[..., 0, 0] = 0
    distances = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)).round(9)
    quarter = float(shares[(radii - 0.25).abs().argmin()])
    assert quarter == pytest.approx(power[..., distances == 0.25].sum() / power.sum(), rel=1e-4)
    values = images.flatten().numpy()
    assert intensity_histogram(images)[0].tolist() == (np.bincount(values, minlength=256) / len(values)).tolist()
    images = images.reshape(6, 1, 1, -1)
    squared = restored_images(images, images // 2).squared
    assert squared.tolist() == [int((image - image // 2).long().square().sum()) for image in images]


def test_squared_errors_are_exact_where_float32_is_not() -> None:
    originals = torch.zeros(2, 3, 30, 31, dtype=torch.uint8)
    restored = originals + 255
    restored[1, 0, 0, 0] = 254
    found = restored_images(originals, restored).squared
    assert found.tolist() == [2790 * 255**2, 2789 * 255**2 + 254**2]


def test_reconstruction_errors_follow_their_formulas() -> None:
    originals = noise(5, 3, 16, 16) // 2
    found = reconstruction_error(originals, originals + 10)
    assert found["reconstruction_mse"] == pytest.approx((10 / 255) ** 2)
    assert found["psnr"] == pytest.approx(20 * math.log10(25.5))
    assert 0.9 < found["ssim"] < 1
    worse = reconstruction_error(originals, smooth(originals))
    assert worse["reconstruction_mse"] > found["reconstruction_mse"]
    assert worse["ssim"] < found["ssim"]


def test_one_image_s_ssim_is_that_of_one_scale() -> None:
    originals, restored = two_of(1, 44)
    expected = float(similarity(originals[:1], restored[:1], multiscale=False))
    assert reconstruction_error(originals[:1], restored[:1])["ssim"] == expected
    assert expected != pytest.approx(float(similarity(originals[:1], restored[:1], multiscale=True)), rel=0.01)


def test_numbers_without_a_finite_value_are_left_out() -> None:
    images = noise(5, 1, 8, 8)
    assert reconstruction_error(images, images) == pytest.approx({"reconstruction_mse": 0.0, "ssim": 1.0})
    for side, names in (((2, 5), 2), ((5, 2), 2), ((3, 3), 3)):  # the smallest window of SSIM is 3×3
        found = reconstruction_error(noise(5, 2, *side), noise(5, 2, *side, seed=1))
        assert list(found) == ["reconstruction_mse", "psnr", "ssim"][:names]


@pytest.mark.parametrize(
    ("originals", "reconstructions", "message"),
    [
        (noise(2, 1, 8, 8), noise(3, 1, 8, 8), r"\(2, 1, 8, 8\) originals, \(3, 1, 8, 8\) reconstructions"),
        (noise(2, 1, 8, 8).float(), noise(2, 1, 8, 8), "^originals: expected uint8 images"),
        (noise(2, 1, 8, 8), noise(2, 1, 8, 8).float(), "^reconstructions: expected uint8 images"),
        (noise(2, 8, 8), noise(2, 8, 8), r"shape \(N, C, H, W\), got torch.uint8 \(2, 8, 8\)"),
    ],
)
def test_faulty_images_are_refused(originals: Tensor, reconstructions: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reconstruction_error(originals, reconstructions)


def test_a_uniform_guess_needs_eight_bits() -> None:
    assert bits_per_dimension(torch.full((3,), -12 * math.log(256), dtype=torch.float64), 12) == pytest.approx(8)
    assert str(bits_per_dimension(torch.zeros(3), 12)) == "0.0", "not -0"
    with pytest.raises(ValueError, match=r"log-likelihoods: expected \(N,\) finite numbers"):
        bits_per_dimension(torch.tensor([0.0, -math.inf]), 12)


def digits() -> tuple[Tensor, Tensor]:
    bundled = load_digits()
    order = torch.randperm(len(bundled.target), generator=torch.Generator().manual_seed(0))
    images = torch.from_numpy(bundled.images / 16 * 255).round().to(torch.uint8)[:, None]
    return images[order], torch.from_numpy(bundled.target).long()[order]


def test_a_classifier_trained_on_samples_knows_what_they_hold() -> None:
    images, labels = digits()
    test, truth = images[1000:1400], labels[1000:1400]

    def score(samples: Tensor, asked: Tensor) -> float:
        return classification_accuracy_score(samples, asked, test, truth, 10, steps=120, batch=32)

    kept = labels[:1000] < 7
    wrong = labels[:1000].roll(1)
    real = score(images[:1000], labels[:1000])
    assert real > 0.9
    assert score(images[:1000][kept], labels[:1000][kept]) == pytest.approx(0.7, abs=0.08)
    assert score(images[:1000], wrong) < 0.3
    before = torch.random.get_rng_state()
    with torch.inference_mode():
        assert score(images[:1000].clone(), labels[:1000].clone()) == real
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_classifier_is_the_network_and_the_training_that_its_docstring_tells() -> None:
    """Compared with torch's own modules, Adam and cosine schedule; 20×8 pixels cover every case of the strides."""
    images, labels = noise(30, 2, 20, 8), torch.arange(30) % 3
    draw = torch.Generator().manual_seed(5)
    layers: list[torch.nn.Module] = []
    channels = 2
    for out, stride in ((16, (2, 2)), (32, (2, 1)), (64, (1, 1))):  # 20×8, 10×4, 5×4
        layer = torch.nn.Conv2d(channels, out, 3, stride=stride, padding=1)
        layer.weight.data = torch.randn(out, channels, 3, 3, generator=draw) * math.sqrt(2 / (9 * channels))
        layer.bias.data.zero_()
        layers += [layer, torch.nn.ReLU()]
        channels = out
    linear = torch.nn.Linear(64 * 5 * 4, 3)
    linear.weight.data = torch.randn(3, 64 * 5 * 4, generator=draw) / math.sqrt(64 * 5 * 4)
    linear.bias.data.zero_()
    network = torch.nn.Sequential(*layers, torch.nn.Flatten(), linear)
    scaled = images.float() / 127.5 - 1
    optimizer = torch.optim.Adam(network.parameters(), lr=0.002)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6)
    for _ in range(6):
        rows = torch.randint(30, (8,), generator=draw)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(scaled[rows]), labels[rows]).backward()
        optimizer.step()
        schedule.step()
    found = small_classifier.train(IMAGES, [(images, labels)], 3, 6, 8, torch.Generator().manual_seed(5))
    for mine, theirs in zip(found, network.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(IMAGES.logits(scaled, found), network(scaled), rtol=1e-4, atol=1e-5)


def test_large_images_are_averaged_down_before_they_are_classified() -> None:
    images = noise(3, 2, 64, 24)
    pairs = images.double().unflatten(2, (32, 2)).mean(dim=3) / 127.5 - 1
    torch.testing.assert_close(IMAGES.prepare(images), pairs.float(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 9, 11), (3, 33, 20), (2, 1, 1), (3, 64, 64)])
def test_the_classifier_takes_any_size(shape: tuple[int, int, int]) -> None:
    images, labels = noise(20, *shape), torch.arange(20) % 2
    assert 0 <= classification_accuracy_score(images, labels, images, labels, 2, steps=2, batch=4) <= 1


def test_labels_come_from_the_request_else_from_the_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = digits()
    fields = {
        "samples": torch.zeros(300, 2),
        "reference": torch.zeros(300, 2),
        "sample_items": images[:300],
        "held_out_items": images[300:500],
        "held_out_labels": labels[300:500],
    }
    seen = 9.0 * torch.nn.functional.one_hot(labels[:300].roll(1), 10)
    trained_on: list[Tensor] = []

    def score(images: Tensor, labels: Tensor, *rest: object, seed: int) -> float:
        trained_on.append(labels)
        return 0.5

    monkeypatch.setattr(cas, "classification_accuracy_score", score)
    metric = METRICS["classification_accuracy"]
    assert metric.compute(Evidence(**fields, sample_labels=labels[:300], sample_logits=seen)) == {"cas": 0.5}
    assert torch.equal(trained_on.pop(), labels[:300])
    metric.compute(Evidence(**fields, sample_logits=seen))
    assert torch.equal(trained_on.pop(), labels[:300].roll(1))
    with pytest.raises(
        NotMeasurable, match=r"^cas: needs labels of the samples, or a classifier of the data's 10 classes"
    ):
        metric.compute(Evidence(**fields, sample_logits=torch.zeros(300, 1008)))


def test_the_score_of_the_table_is_of_the_two_sides_and_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []

    def score(*arguments: object, **options: object) -> float:
        given.extend((arguments, options))
        return 0.25

    monkeypatch.setattr(cas, "classification_accuracy_score", score)
    images, labels = noise(9, 1, 8, 8), torch.arange(9) % 3
    rows = torch.randperm(9, generator=torch.Generator().manual_seed(7))
    fields = {"samples": torch.zeros(9, 2), "reference": torch.zeros(9, 2), "samples_held_out": True, "seed": 7}
    evidence = Evidence(
        **fields, sample_items=images, held_out_items=images, held_out_labels=labels, sample_labels=labels
    )
    assert METRICS["classification_accuracy"].compute(evidence) == {"cas": 0.25}
    (one, asked, other, truth, classes), options = given
    assert torch.equal(one, images[rows[:5]])
    assert torch.equal(asked, labels[rows[:5]])
    assert torch.equal(other, images[rows[5:]])
    assert torch.equal(truth, labels[rows[5:]])
    assert (classes, options) == (3, {"seed": 7})
    single = {"sample_items": images[:1], "held_out_items": images[:1], "held_out_labels": labels[:1]}
    with pytest.raises(NotMeasurable, match=r"^cas: needs at least 2 held-out items to halve, got 0"):
        cas.measure(Evidence(**fields, **single, sample_labels=labels[:1]))


def test_the_score_is_the_share_of_the_test_images_that_the_network_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []

    def train(network: Network, pools: object, *rest: object) -> list[Tensor]:
        seeds.append(rest[-1].initial_seed())
        assert rest[:-1] == (4, CAS_STEPS, CAS_BATCH)
        return []

    def logits(part: Tensor, weights: list[Tensor]) -> Tensor:
        levels = ((part[:, 0, 0, 0] + 1) * 127.5).round().long()
        return torch.nn.functional.one_hot(levels % 4, 4).float()

    monkeypatch.setattr(cas, "train", train)
    monkeypatch.setattr(cas, "IMAGES", dataclasses.replace(IMAGES, logits=logits))
    # Every pixel of image i has level i, and the network predicts class i modulo 4.
    images = torch.arange(200, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 3, 3).contiguous()
    truth = torch.arange(200) % 4
    truth[:30] = (truth[:30] + 1) % 4
    assert classification_accuracy_score(images, truth, images, truth, 4) == pytest.approx(0.85)
    classification_accuracy_score(images, truth, images, truth, 4, seed=9)
    assert seeds == [0, 9]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": noise(2, 1, 4, 4).float()}, "^samples: expected uint8"),
        ({"test_images": noise(2, 1, 4, 4).float()}, "^held-out images: expected uint8"),
        ({"test_images": noise(2, 1, 4, 5)}, r"^cas: samples are \(1, 4, 4\), held-out items \(1, 4, 5\)"),
        ({"labels": torch.tensor([0, 2])}, "^cas: sample labels must lie in"),
        ({"test_labels": torch.tensor([-1, 1])}, "^cas: held-out labels must lie in"),
    ],
)
def test_what_a_classifier_cannot_be_trained_or_tested_on(change: dict[str, Tensor], message: str) -> None:
    images, labels = noise(2, 1, 4, 4), torch.tensor([0, 1])
    given = {"images": images, "labels": labels, "test_images": images, "test_labels": labels} | change
    with pytest.raises(ValueError, match=message):
        classification_accuracy_score(**given, classes=2, steps=1)


@pytest.mark.parametrize(
    ("labels", "message"),
    [(torch.tensor([0, 2]), r"labels must lie in 0..1"), (torch.tensor([0, -1]), "labels must lie")],
)
def test_labels_that_are_no_class_are_refused(labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classification_accuracy_score(noise(2, 1, 4, 4), labels, noise(2, 1, 4, 4), torch.tensor([0, 1]), 2)


def test_every_pixel_of_a_large_set_counts() -> None:
    images = torch.full((1, 1, 4097, 4097), 7, dtype=torch.uint8)  # more than a float32 counts one by one
    images[0, 0, 0, :2] = 9
    pixels = 4097**2
    histogram = intensity_histogram(images)[0]
    assert (float(histogram[7]), float(histogram[9])) == ((pixels - 2) / pixels, 2 / pixels)


def test_little_power_counts_beside_much() -> None:
    """Of `[a, b, c, d]` the power is `(a − c)² + (b − d)²` at a quarter, which counts twice, and `(a − b + c − d)²`."""
    images = torch.zeros(66, 1, 1, 4, dtype=torch.uint8)
    images[:65, ..., ::2] = 255
    images[65, ..., 0] = 1
    radii, shares = power_spectrum(images)
    assert radii.tolist() == [0.0, 0.25, 0.5]
    half = 65 * 510**2 + 1  # odd, and more than float32 holds exactly
    assert shares.tolist() == pytest.approx([0.0, 2 / (2 + half), half / (2 + half)], rel=1e-12, abs=0)
