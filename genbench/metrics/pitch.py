"""How far the samples' pitches are from the data's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.clips import by_clip, loudness, some, wasserstein
from genbench.metrics.constants import PITCH_HIGHEST, PITCH_LOWEST, PITCH_STEP, PITCH_THRESHOLD, SILENCE_DB
from genbench.metrics.not_measurable import NotMeasurable

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["measure", "of_samples", "pitch_shares", "pitches"]


def pitches(frames: Tensor, rate: int) -> Tensor:
    """Return the fundamental frequency of (..., S) frames in Hz, (...,) float64; NaN where a frame has none.

    YIN: the smallest lag at which the cumulative mean normalised difference function has a minimum below a threshold.
    A parabola through each minimum and its neighbours decides how deep it is, since at a low rate none of them lies at
    the bottom of the dip; a parabola through the difference function itself, whose minima are not shifted, decides
    where it is. The window is half a frame, equal to the largest lag.

        d(τ) = Σ_j (x_j − x_{j+τ})²,  d′(τ) = d(τ) τ / Σ_{1 ≤ i ≤ τ} d(i)

    Valid from `PITCH_LOWEST` to `PITCH_HIGHEST`, for tones of which a period has more than about 8 samples; below that,
    some are taken for the octave below. Frames at or below `SILENCE_DB`, without a constant offset, which nobody hears,
    have no pitch. Implements steps 1 to 5 of the paper, without step 6, the search around each estimate.

    Paper: de Cheveigné & Kawahara 2002, "YIN, a fundamental frequency estimator for speech and music",
    https://doi.org/10.1121/1.1458024

    Args:
        frames: (..., S) float64 with S = `frame_size`.
        rate: in Hz.

    Example:
        >>> time = torch.arange(frame_size(8000), dtype=torch.float64) / 8000
        >>> round(float(pitches(torch.sin(2 * torch.pi * 220 * time), 8000)))
        220
    """
    frames = frames - frames.mean(dim=-1, keepdim=True)  # no difference contains it, but their rounding errors would
    difference, normalised = _differences(frames)
    lags = torch.arange(normalised.shape[-1], device=frames.device)
    shortest = max(2, int(rate / PITCH_HIGHEST))
    # A minimum so wide that it extends past the last lag cannot be located.
    inside = (lags >= shortest) & (lags < len(lags) - 1)
    before, here, after = torch.roll(normalised, 1, dims=-1), normalised, torch.roll(normalised, -1, dims=-1)
    falling = here <= before
    depth = torch.where(falling, _lowest(before, here, after)[1], here)
    # The shortest lag may cut off the falling side of a minimum.
    minimum = (depth < PITCH_THRESHOLD) & (falling | (lags == shortest)) & (here <= after) & inside
    lag = minimum.int().argmax(dim=-1, keepdim=True)
    found = minimum.any(dim=-1) & (loudness(frames) > SILENCE_DB)
    around = (difference.gather(-1, (lag + by).clamp(min=0))[..., 0] for by in (-1, 0, 1))
    shift = _lowest(*around)[0].clamp(min=-1, max=1)
    return torch.where(found, rate / (lag[..., 0] + shift), torch.nan)


def _lowest(left: Tensor, middle: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the parabola through three neighbours is lowest, relative to the middle one, and its value there.

    Where it is not bent upwards, the middle one.
    """
    curvature = left - 2 * middle + right
    bent = curvature > 0
    shift = torch.where(bent, (left - right) / (2 * curvature), 0.0)
    return shift, torch.where(bent, middle - (left - right) * shift / 4, middle)


def frame_size(rate: int) -> int:
    """Return the number of samples in a frame: two periods of the lowest pitch.

    >>> frame_size(8000)
    268
    """
    return 2 * -(-rate // PITCH_LOWEST)


@dataclass(frozen=True)
class Pitches:
    """For a set of clips: (B,) shares of voiced frames by pitch, None if none is voiced; (N,) voiced shares.

    Bins are `PITCH_STEP` semitones wide, upwards from `PITCH_LOWEST`.
    """

    shares: Tensor | None
    voiced: Tensor


def pitch_shares(clips: Tensor, rate: int) -> Pitches:
    """Find the pitch of every frame of (N, C, T) int16 clips; frames do not overlap.

    Raises:
        NotMeasurable: a clip is shorter than a frame.
    """
    size = frame_size(rate)
    if clips.shape[-1] < size:
        raise NotMeasurable(f"pitch: needs clips of at least {size} samples at {rate} Hz, got {clips.shape[-1]}")
    found = by_clip(lambda part: pitches(part.unfold(-1, size, size), rate).flatten(1), clips)
    voiced = found.isfinite()
    bins = ((found[voiced] / PITCH_LOWEST).log2() * (12 / PITCH_STEP)).round().long().clamp(min=0, max=_bins() - 1)
    shares = torch.bincount(bins, minlength=_bins()).double() / len(bins) if len(bins) else None
    return Pitches(shares, voiced.double().mean(dim=1))


def of_samples(evidence: Evidence) -> Pitches:
    """`pitch_shares` of the samples."""
    assert evidence.sample_items is not None
    assert evidence.sample_rate is not None
    return pitch_shares(some(evidence.sample_items, evidence.seed), evidence.sample_rate)


def measure(evidence: Evidence) -> dict[str, float]:
    """`pitch_w1` in semitones between voiced frames of samples and of training clips, and the samples' `voiced_share`.

    Blind to clips without a pitch, which `voiced_share` reports, and to the order of frames. Where the samples or the
    data have no voiced frame, there is no distance.
    """
    assert evidence.reference_items is not None
    assert evidence.sample_rate is not None
    rate, data = evidence.sample_rate, evidence.reference_items
    found = evidence.once(of_samples)
    none = torch.zeros(_bins(), dtype=torch.float64)
    known = evidence.statistics.kept("pitches", lambda: _or(pitch_shares(some(data), rate).shares, none))
    values = {"voiced_share": float(found.voiced.mean())}
    if found.shares is not None and bool(known.any()):
        values["pitch_w1"] = wasserstein(found.shares, known.to(found.shares.device), PITCH_STEP)
    return values


def _or(shares: Tensor | None, none: Tensor) -> Tensor:
    return none if shares is None else shares


def _bins() -> int:
    return 1 + round(12 / PITCH_STEP * torch.tensor(PITCH_HIGHEST / PITCH_LOWEST).log2().item()) + round(1 / PITCH_STEP)


def _differences(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Return (..., S/2 + 1) the difference at lags from 0 on, and the cumulative mean normalised difference.

    The latter is 1 at 0 and where all are 0.
    """
    window = frames.shape[-1] // 2
    size = 2 * frames.shape[-1]
    spectrum = torch.fft.rfft(frames, size)
    of_window = torch.fft.rfft(frames[..., :window], size)
    products = torch.fft.irfft(spectrum * of_window.conj(), size)[..., : window + 1]
    energy = torch.nn.functional.pad(frames.square().cumsum(dim=-1), (1, 0))
    moved = energy[..., window:] - energy[..., : window + 1]  # energy of the window starting at each lag
    difference = (moved[..., :1] + moved - 2 * products).clamp(min=0)
    difference[..., 0] = 0
    lags = torch.arange(window + 1, dtype=frames.dtype, device=frames.device)
    total = difference.cumsum(dim=-1)
    return difference, torch.where(total > 0, difference * lags / total, 1.0)
