"""How far the samples' loudness and long-term spectrum are from the data's, and how much is clipped or silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.clips import by_clip, check_clips, framed, loudness, power, some, wasserstein
from genbench.metrics.constants import LOUDNESS_STEP_DB, SILENCE_DB
from genbench.metrics.not_measurable import NotMeasurable

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["clipping", "long_term_spectrum", "loudness_shares", "measure", "of_clipping", "of_silence", "silence"]

_ENDS = -(2**15), 2**15 - 1  # the limits of 16 bits


def loudness_shares(clips: Tensor, rate: int) -> Tensor:
    """Return (B,) float64 shares of frames by loudness, in steps of `LOUDNESS_STEP_DB` from `SILENCE_DB` to 0 dB.

    A frame is about 32 ms of one channel; its loudness is its root mean square, and anything quieter than `SILENCE_DB`
    counts as that.

    Args:
        clips: (N, C, T) int16, N ≥ 1.
        rate: in Hz.
    """

    def bins(part: Tensor) -> Tensor:
        return ((loudness(framed(part, rate)) - SILENCE_DB) / LOUDNESS_STEP_DB).round().long()

    found = torch.bincount(by_clip(bins, clips).flatten(), minlength=round(-SILENCE_DB / LOUDNESS_STEP_DB) + 1).double()
    return found / found.sum()


def long_term_spectrum(clips: Tensor, rate: int) -> Tensor:
    """Return (B,) float64 shares of the power of all clips by frequency, from the bin above 0 Hz to half the rate.

    Power is summed over frames, channels and clips, so loud clips weigh most. Silence puts all of it in the lowest bin.

    Args:
        clips: (N, C, T) int16, N ≥ 1.
        rate: in Hz.

    Raises:
        NotMeasurable: a clip of one sample, which has no frequency above 0 Hz.
    """
    if clips.shape[-1] < 2:
        raise NotMeasurable("sound_statistics: needs clips of at least 2 samples")
    found = by_clip(lambda part: power(part, rate).sum(dim=(1, 3)), clips).sum(dim=0)[1:]
    if float(found.sum()) == 0:
        found[0] = 1.0
    return found / found.sum()


def clipping(clips: Tensor) -> Tensor:
    """Return (N,) float64: the share of each clip's samples at either limit of 16 bits.

    >>> clipping(torch.tensor([[[32767, -32768, 0, 32766]]], dtype=torch.int16)).tolist()
    [0.5]
    """
    check_clips(clips, "clips")
    return ((clips == _ENDS[0]) | (clips == _ENDS[1])).flatten(1).double().mean(dim=1)


def silence(clips: Tensor, rate: int) -> Tensor:
    """Return (N,) float64: the share of each clip's frames whose loudness is at most `SILENCE_DB`."""
    return by_clip(lambda part: (loudness(framed(part, rate)) <= SILENCE_DB).flatten(1).double().mean(dim=1), clips)


def of_clipping(evidence: Evidence) -> Tensor:
    """`clipping` of the samples."""
    assert evidence.sample_items is not None
    return clipping(evidence.sample_items)


def of_silence(evidence: Evidence) -> Tensor:
    """`silence` of the samples."""
    assert evidence.sample_items is not None
    assert evidence.sample_rate is not None
    return silence(evidence.sample_items, evidence.sample_rate)


def measure(evidence: Evidence) -> dict[str, float]:
    """`loudness_w1` in dB and `frequency_w1` in Hz against training clips; `clipping_share`, `silence_share`.

    The distances are Wasserstein distances: how far the loudness of a frame, or a unit of power in frequency, has to
    move on average. Blind to the order of frames, to phase, and, for `frequency_w1`, to loudness.

    Papers: Vallender 1974, https://doi.org/10.1137/1118101; the long-term average spectrum: Byrne et al. 1994, "An
    international comparison of long-term average speech spectra", https://doi.org/10.1121/1.410152
    """
    assert evidence.sample_items is not None
    assert evidence.reference_items is not None
    assert evidence.sample_rate is not None
    rate, data = evidence.sample_rate, evidence.reference_items
    samples = some(evidence.sample_items, evidence.seed)
    known_loudness = evidence.statistics.kept("loudness", lambda: loudness_shares(some(data), rate))
    known_spectrum = evidence.statistics.kept("long_term_spectrum", lambda: long_term_spectrum(some(data), rate))
    spectrum = long_term_spectrum(samples, rate)
    return {
        "loudness_w1": wasserstein(loudness_shares(samples, rate), known_loudness, LOUDNESS_STEP_DB),
        "frequency_w1": wasserstein(spectrum, known_spectrum, rate / 2 / len(spectrum)),
        "clipping_share": float(evidence.once(of_clipping).mean()),
        "silence_share": float(evidence.once(of_silence).mean()),
    }
