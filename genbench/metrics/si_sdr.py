"""Scale-invariant signal-to-distortion ratio of reconstructions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.clips import by_clip, check_pairs
from genbench.metrics.constants import SI_SDR_BOUND_DB

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["measure", "of_clips", "si_sdr"]


def si_sdr(originals: Tensor, reconstructions: Tensor) -> Tensor:
    """Return each clip's SI-SDR in dB, (N,) float64, mean over channels: NaN for a clip with a silent channel.

    `SI-SDR = 10 log₁₀ (‖α s‖² / ‖α s − r‖²)`, `α = ⟨r, s⟩ / ‖s‖²`, for an original s and its reconstruction r. Blind to
    the loudness of the reconstruction and to its sign. It compares sample by sample: an inaudible shift in time can
    cost all of it. Clamped to ±`SI_SDR_BOUND_DB`: a perfect reconstruction has no error, a silent one only error.

    Paper: Le Roux, Wisdom, Erdogan & Hershey 2019, "SDR – half-baked or well done?", equations 3 and 5,
    https://arxiv.org/abs/1811.02508

    Args:
        originals: (N, C, T) int16.
        reconstructions: of the same shape.

    Example:
        >>> original = torch.tensor([[[1000, 0, 1000, 0]]], dtype=torch.int16)
        >>> restored = torch.tensor([[[500, 50, 500, 50]]], dtype=torch.int16)
        >>> round(float(si_sdr(original, restored)), 6)  # a tenth of the amplitude is wrong
        20.0
    """

    def ratio(signal: Tensor, estimate: Tensor) -> Tensor:
        power = signal.square().sum(dim=2)
        wanted = ((estimate * signal).sum(dim=2) / power)[..., None] * signal
        kept, lost = wanted.square().sum(dim=2), (wanted - estimate).square().sum(dim=2)
        share = torch.where(kept + lost > 0, kept / (kept + lost), 0.0)  # avoids dividing by 0 at either end
        found = torch.log10(share / (1 - share)).mul(10)
        return found.clamp(-SI_SDR_BOUND_DB, SI_SDR_BOUND_DB).where(power > 0, torch.nan).mean(dim=1)

    return by_clip(ratio, originals, reconstructions)


def of_clips(evidence: Evidence) -> Tensor:
    """`si_sdr` of the held-out clips that are not silent."""
    found = si_sdr(*check_pairs(evidence.originals, evidence.reconstructions))
    return found[found.isfinite()]


def measure(evidence: Evidence) -> dict[str, float]:
    """`si_sdr` in dB, mean over held-out clips."""
    found = evidence.once(of_clips)
    return {"si_sdr": float(found.mean())} if len(found) else {}
