"""Metrics on images: pixel statistics, similarity, diversity, reconstruction, likelihood, and the accuracy score."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import signal, stats
from sklearn.datasets import load_digits
from torch import Tensor

from genbench.metrics import METRICS, Evidence, NotMeasurable, cas
from genbench.metrics.cas import classification_accuracy_score
from genbench.metrics.diversity import within_class_similarity
from genbench.metrics.features import chosen
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
    ).abs().max() <= 1  # at a step of the distribution two conventions are a level apart


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


@pytest.mark.parametrize(
    ("side", "size", "count"),
    [(3, 3, 1), (8, 7, 1), (11, 11, 1), (22, 11, 2), (28, 11, 2), (64, 11, 3), (87, 11, 3), (88, 11, 4), (176, 11, 5)],
)
def test_window_and_scales_fit_the_image(side: int, size: int, count: int) -> None:
    assert (window(side, side), scales(side, side)) == (size, count)
    images = noise(2, 1, side, side)
    for multiscale in (False, True):
        assert similarity(images, images, multiscale=multiscale).tolist() == pytest.approx([1, 1])
        different = similarity(images, noise(2, 1, side, side, seed=1), multiscale=multiscale)
        assert bool(different.isfinite().all())
        assert float(different.max()) < 0.9


def two_of(channels: int, side: int) -> tuple[Tensor, Tensor]:
    """Structure and a worse copy of it, with a flat corner, where nothing but the constants keeps SSIM finite."""
    images = smooth(smooth(noise(3, channels, side, side)))
    images[..., : side // 2, : side // 2] = 7
    return images, (images // 2 + noise(3, channels, side, side, seed=1) // 8).to(torch.uint8)


@pytest.mark.parametrize(("channels", "side"), [(1, 11), (1, 28), (3, 33)])
def test_ssim_is_scikit_image_s(channels: int, side: int) -> None:
    """Wang's settings: a Gaussian window, population moments, whole windows only."""
    from skimage.metrics import structural_similarity

    first, second = two_of(channels, side)
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
    assert similarity(first, second, multiscale=False).tolist() == pytest.approx(expected, abs=1e-6)


def test_ms_ssim_is_the_product_of_its_paper() -> None:
    """Equation 7 of Wang et al. 2003 by two-dimensional convolutions in double precision."""
    first, second = two_of(1, 48)  # three scales: 48, 24, 12
    offsets = np.arange(11) - 5
    line = np.exp(-(offsets**2) / 4.5)
    weights = np.outer(line, line) / line.sum() ** 2
    for a, b, found in zip(first, second, similarity(first, second, multiscale=True).tolist(), strict=True):
        x, y, product = a[0].double().numpy(), b[0].double().numpy(), 1.0
        for exponent, last in ((0.0448, False), (0.2856, False), (0.3001, True)):
            mean_x, mean_y, xx, yy, xy = (
                signal.convolve2d(values, weights, mode="valid") for values in (x, y, x * x, y * y, x * y)
            )
            term = (2 * (xy - mean_x * mean_y) + 58.5225) / (xx - mean_x**2 + yy - mean_y**2 + 58.5225)
            if last:
                term *= (2 * mean_x * mean_y + 6.5025) / (mean_x**2 + mean_y**2 + 6.5025)
            product *= max(0.0, term.mean()) ** (exponent / 0.6305)
            x, y = (image.reshape(len(image) // 2, 2, -1, 2).mean(axis=(1, 3)) for image in (x, y))
        assert found == pytest.approx(product, abs=1e-6)


def test_no_pixel_of_the_border_counts_twice() -> None:
    """Of a flat pair that differs in one corner pixel, one window of (16 − 10)² holds it; mirrored, several would."""
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


def test_levels_are_counted_of_as_many_images_as_asked() -> None:
    """Image i is all level i: the histogram says which were counted."""
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


@pytest.mark.parametrize("side", [8, 28, 32])
def test_collapsed_classes_are_similar_within(side: int) -> None:
    labels = torch.arange(4).repeat(8)
    patterns = smooth(noise(4, 1, side, side))
    collapsed = patterns[labels]
    diverse = smooth(noise(32, 1, side, side, seed=1))
    assert within_class_similarity(collapsed, labels, pairs=40) == pytest.approx(1)
    assert within_class_similarity(diverse, labels, pairs=40) < 0.6
    # Blind across classes: one image a class is collapse, whatever the classes show.
    assert within_class_similarity(collapsed, None, pairs=40) < 0.9


def test_pairs_are_seeded_and_never_of_one_image() -> None:
    images, labels = noise(12, 1, 8, 8), torch.arange(6).repeat(2)
    assert within_class_similarity(images, labels, seed=4) == within_class_similarity(images, labels, seed=4)
    assert within_class_similarity(images, labels, pairs=60) < 0.9  # a pair of one image with itself would add 1


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (noise(4, 2, 1, 1), None, "ms_ssim: needs images of at least 3×3 pixels, got 1×1"),
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
    assert found_radii.tolist() == pytest.approx(np.unique(radii).tolist(), abs=1e-8)
    expected = [power[..., radii == radius].sum() / power.sum() for radius in np.unique(radii)]
    assert shares.tolist() == pytest.approx(expected, rel=1e-5, abs=1e-12)


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


def test_numbers_without_a_finite_value_are_left_out() -> None:
    images = noise(5, 1, 8, 8)
    assert reconstruction_error(images, images) == pytest.approx({"reconstruction_mse": 0.0, "ssim": 1.0})
    assert set(reconstruction_error(noise(5, 2, 1, 1), noise(5, 2, 1, 1, seed=1))) == {"reconstruction_mse", "psnr"}


@pytest.mark.parametrize(
    ("originals", "reconstructions", "message"),
    [
        (noise(2, 1, 8, 8), noise(3, 1, 8, 8), r"\(2, 1, 8, 8\) originals, \(3, 1, 8, 8\) reconstructions"),
        (noise(2, 1, 8, 8).float(), noise(2, 1, 8, 8), "originals: expected uint8 images"),
        (noise(2, 8, 8), noise(2, 8, 8), r"shape \(N, C, H, W\), got torch.uint8 \(2, 8, 8\)"),
    ],
)
def test_faulty_images_are_refused(originals: Tensor, reconstructions: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reconstruction_error(originals, reconstructions)


def test_a_uniform_guess_needs_eight_bits() -> None:
    assert bits_per_dimension(torch.full((3,), -12 * math.log(256), dtype=torch.float64), 12) == pytest.approx(8)
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


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 33, 20), (2, 1, 1), (3, 64, 64)])
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
    with pytest.raises(NotMeasurable, match="needs labels of the samples, or a classifier of the data's 10 classes"):
        metric.compute(Evidence(**fields, sample_logits=torch.zeros(300, 1008)))


@pytest.mark.parametrize(
    ("labels", "message"),
    [(torch.tensor([0, 2]), r"labels must lie in 0..1"), (torch.tensor([0, -1]), "labels must lie")],
)
def test_labels_that_are_no_class_are_refused(labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classification_accuracy_score(noise(2, 1, 4, 4), labels, noise(2, 1, 4, 4), torch.tensor([0, 1]), 2)
