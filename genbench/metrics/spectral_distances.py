"""Spectral distances between clips and their reconstructions: log-spectral distance, spectral convergence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.clips import by_clip, check_pairs, power, some
from genbench.metrics.constants import SPECTRUM_FLOOR_DB

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["log_spectral_distances", "measure", "of_convergence", "of_log_spectra", "spectral_convergences"]


def log_spectral_distances(originals: Tensor, reconstructions: Tensor, rate: int) -> Tensor:
    """Return each clip's RMS difference of log spectra in dB, averaged over frames and channels: (N,) float64.

    `LSD = mean_t (mean_f (10 log₁₀ P(f, t) − 10 log₁₀ Q(f, t))²)^½`, with P and Q the powers of the two; values below
    `SPECTRUM_FLOOR_DB` relative to a full-scale sine count as that. 0 for equal clips; `|20 log₁₀ a|` for a clip scaled
    by a, above the floor. Every bin has the same weight, however faint. Blind to phase.

    Paper: Gray & Markel 1976, "Distance measures for speech processing", https://doi.org/10.1109/TASSP.1976.1162849
    (the rms log spectral distance, d₂).

    Args:
        originals: (N, C, T) int16.
        reconstructions: of the same shape.
        rate: in Hz.
    """
    lowest = 10 ** (SPECTRUM_FLOOR_DB / 10)

    def distance(first: Tensor, second: Tensor) -> Tensor:
        a, b = (power(side, rate).clamp(min=lowest).log10() for side in (first, second))
        return 10 * (a - b).square().mean(dim=-2).sqrt().flatten(1).mean(dim=1)

    return by_clip(distance, originals, reconstructions)


def spectral_convergences(originals: Tensor, reconstructions: Tensor, rate: int) -> Tensor:
    """Return each clip's spectral convergence, (N,) float64: NaN for a clip whose original is silent.

    `SC = ‖ |S| − |R| ‖_F / ‖ |S| ‖_F` of the two magnitude spectra, over bins, frames and channels. 0 for equal clips,
    1 for a silent reconstruction, |1 − a| for a clip scaled by a. Loud bins weigh most. Blind to phase.

    Paper: Arik, Jun & Diamos 2019, "Fast spectrogram inversion using multi-head convolutional neural networks",
    https://arxiv.org/abs/1808.06719

    Args:
        originals: (N, C, T) int16.
        reconstructions: of the same shape.
        rate: in Hz.
    """

    def convergence(first: Tensor, second: Tensor) -> Tensor:
        a, b = (power(side, rate).sqrt().flatten(1) for side in (first, second))
        found: Tensor = (a - b).norm(dim=1) / a.norm(dim=1).where(first.flatten(1).any(dim=1), torch.nan)
        return found

    return by_clip(convergence, originals, reconstructions)


def of_log_spectra(evidence: Evidence) -> Tensor:
    """`log_spectral_distances` of the held-out clips."""
    assert evidence.sample_rate is not None
    return log_spectral_distances(*_sides(evidence), evidence.sample_rate)


def of_convergence(evidence: Evidence) -> Tensor:
    """`spectral_convergences` of the held-out clips that are not silent."""
    assert evidence.sample_rate is not None
    found = spectral_convergences(*_sides(evidence), evidence.sample_rate)
    return found[found.isfinite()]


def measure(evidence: Evidence) -> dict[str, float]:
    """`log_spectral_distance` in dB and `spectral_convergence`, means over held-out clips."""
    values = {"log_spectral_distance": float(evidence.once(of_log_spectra).mean())}
    if len(found := evidence.once(of_convergence)):
        values["spectral_convergence"] = float(found.mean())
    return values


def _sides(evidence: Evidence) -> tuple[Tensor, Tensor]:
    originals, reconstructions = check_pairs(evidence.originals, evidence.reconstructions)
    return some(originals), some(reconstructions)
