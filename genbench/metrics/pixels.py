"""Pixel statistics: how the samples' brightness and sharpness compare with the data's, without any network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from genbench.metrics.constants import LEVEL_VALUES, SPECTRUM_LEAST, SPECTRUM_VALUES
from genbench.metrics.features import affordable, check_images, chosen, limited, taken

__all__ = [
    "ChannelStatistics",
    "channel_statistics",
    "intensity_histogram",
    "intensity_wasserstein",
    "most_levels",
    "of_spectrum",
    "power_spectrum",
    "spectrum_wasserstein",
]

_LEVELS = 256
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_CHUNK_VALUES = 2**18  # values of the images in one chunk: a few megabytes of complex numbers


@dataclass(frozen=True)
class ChannelStatistics:
    """Per channel, in 8-bit levels: (C,) mean and population variance, (C, 5) quantiles at 5, 25, 50, 75, 95%."""

    mean: Tensor
    variance: Tensor
    quantiles: Tensor


def intensity_histogram(images: Tensor, most: int | None = None, seed: int = 0) -> Tensor:
    """Return (C, 256) float64 shares of the 8-bit levels in each channel of (N, C, H, W) uint8 images.

    Args:
        images: of any size.
        most: how many images to count, a random subset where there are more; None counts all.
        seed: seeds the subset.
    """
    check_images(images, "images")
    counts = torch.zeros(images.shape[1], _LEVELS, dtype=torch.int64, device=images.device)
    rows = chosen(len(images), len(images) if most is None else most, seed)
    for part in torch.split(rows, _chunk_size(images)):  # never copies them all
        for channel, levels in zip(counts, taken(images, part).unbind(dim=1), strict=True):
            channel += torch.bincount(levels.flatten(), minlength=_LEVELS)
    shares = counts.double()
    return shares / shares.sum(dim=1, keepdim=True)


def _chunk_size(images: Tensor) -> int:
    return max(1, _CHUNK_VALUES // max(1, images.shape[1:].numel()))


def channel_statistics(histogram: Tensor) -> ChannelStatistics:
    """Return each channel's statistics from its (C, 256) histogram; a quantile is the lowest level that reaches it.

    >>> histogram = intensity_histogram(torch.tensor([0, 0, 0, 200], dtype=torch.uint8).view(1, 1, 2, 2))
    >>> found = channel_statistics(histogram)
    >>> found.mean.tolist(), found.variance.tolist(), found.quantiles.tolist()
    ([50.0], [7500.0], [[0.0, 0.0, 0.0, 0.0, 200.0]])
    """
    levels = torch.arange(_LEVELS, dtype=torch.float64, device=histogram.device)
    mean = histogram @ levels
    variance = histogram @ levels.square() - mean.square()
    wanted = torch.tensor(_QUANTILES, dtype=torch.float64, device=histogram.device)
    # A cumulative share that should reach a quantile exactly may fall short of it by rounding.
    cumulated = histogram.cumsum(dim=1) + 1e-12
    quantiles = torch.searchsorted(cumulated, wanted.expand(len(histogram), -1).contiguous()).double()
    return ChannelStatistics(mean, variance.clamp(min=0), quantiles)


def intensity_wasserstein(samples: Tensor, reference: Tensor) -> float:
    """Return the Wasserstein-1 distance between the intensities of two sets, averaged over channels, in 8-bit levels.

    `Σ_v |F(v) − G(v)|` over the levels v, with F and G the cumulative histograms: how far a pixel's value has to move
    on average. Blind to where in the image a value occurs.

    Args:
        samples: (C, 256) histogram from `intensity_histogram`.
        reference: (C, 256).
    """
    return float((samples.cumsum(dim=1) - reference.cumsum(dim=1)).abs().sum(dim=1).mean())


def power_spectrum(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return (radii, shares): the spatial frequencies in cycles per pixel, ascending, and the share of power at each.

    The power `|FFT|²` of each channel, without the constant term, summed over directions, channels and images. Images
    without any variation put all their power at frequency 0.

    Args:
        images: (N, C, H, W) uint8 with more than one pixel.

    Returns:
        (R,) float64 radii from 0 on, (R,) float64 shares that sum to 1.
    """
    check_images(images, "images")
    height, width = images.shape[2:]
    half = torch.zeros(height, width // 2 + 1, dtype=torch.float64, device=images.device)
    for chunk in torch.split(images, _chunk_size(images)):
        waves = torch.view_as_real(torch.fft.rfft2(chunk.float())).square_()
        # One dimension after the other: a sum over all three at once takes ten times as long.
        half += waves.flatten(0, 1).sum(dim=0, dtype=torch.float64).sum(dim=2)
    # The spectrum of a real image is symmetric and only half of it was computed: columns that have a twin count twice.
    half[:, 1 : (width + 1) // 2] *= 2
    half[0, 0] = 0.0
    vertical = torch.fft.fftfreq(height, dtype=torch.float64, device=images.device)
    horizontal = torch.fft.rfftfreq(width, dtype=torch.float64, device=images.device)
    # Rounded, so that all directions of one frequency share a bin.
    radii = (vertical[:, None].square() + horizontal.square()).sqrt().mul(1e9).round().div(1e9)
    distinct, which = radii.flatten().unique(return_inverse=True)
    shares = torch.zeros_like(distinct).index_add_(0, which, half.flatten())
    if float(shares.sum()) == 0:
        shares[0] = 1.0
    return distinct, shares / shares.sum()


def most_levels(images: Tensor) -> int:
    """Return the number of such images whose levels are counted, at most (`LEVEL_VALUES`)."""
    return affordable(images, LEVEL_VALUES, SPECTRUM_LEAST)


def of_spectrum(images: Tensor, seed: int = 0) -> Tensor:
    """Return the images whose spectrum is taken: all, or a random subset of many large ones (`SPECTRUM_VALUES`)."""
    return limited(images, affordable(images, SPECTRUM_VALUES, SPECTRUM_LEAST), seed)


def spectrum_wasserstein(samples: Tensor, reference: Tensor, radii: Tensor) -> float:
    """Return the Wasserstein-1 distance between two radial power spectra, in cycles per pixel (at most about 0.7).

    `∫ |F(r) − G(r)| dr`, with F and G the cumulative shares: how far power has to move in frequency. Increases with
    blur, checkerboards and noise; blind to phase, contrast and the mean.

    Paper: Durall, Keuper & Keuper 2020, "Watch your up-convolution: CNN based generative deep neural networks are
    failing to reproduce spectral distributions", https://arxiv.org/abs/2003.01826 (the spectrum).

    Args:
        samples: (R,) shares from `power_spectrum`.
        reference: (R,) shares.
        radii: (R,) the frequencies of both.
    """
    gaps = (samples.cumsum(dim=0) - reference.cumsum(dim=0)).abs()
    return float((gaps[:-1] * radii.diff()).sum())
