"""How far the samples' pixel statistics are from the data's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genbench.metrics.pixels import (
    channel_statistics,
    intensity_histogram,
    intensity_wasserstein,
    most_levels,
    of_spectrum,
    power_spectrum,
    spectrum_wasserstein,
)

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["measure"]


def measure(evidence: Evidence) -> dict[str, float]:
    """Largest gaps over channels, `pixel_w1`, and, for images of more than one pixel, `spectrum_w1`."""
    assert evidence.sample_items is not None
    images = evidence.sample_items
    histogram = intensity_histogram(images, most_levels(images), evidence.seed)
    reference = evidence.statistics.intensities
    found, expected = channel_statistics(histogram), channel_statistics(reference)
    values = {
        "pixel_mean_gap": float((found.mean - expected.mean).abs().max()),
        "pixel_variance_gap": float((found.variance - expected.variance).abs().max()),
        "pixel_quantile_gap": float((found.quantiles - expected.quantiles).abs().max()),
        "pixel_w1": intensity_wasserstein(histogram, reference),
    }
    radii, spectrum = power_spectrum(of_spectrum(images, evidence.seed))
    if len(radii) > 1:
        values["spectrum_w1"] = spectrum_wasserstein(spectrum, evidence.statistics.spectrum, radii)
    return values
