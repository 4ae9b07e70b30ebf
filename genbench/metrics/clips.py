"""Stored sound clips, int16 (N, C, T), as frames, loudness and spectra: the building blocks of the audio metrics."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from genbench.metrics.constants import CLIP_LEAST, CLIP_VALUES, FRAME_S, SILENCE_DB
from genbench.metrics.features import affordable, limited

__all__ = [
    "amplitudes",
    "by_clip",
    "check_clips",
    "check_pairs",
    "frame_length",
    "framed",
    "loudness",
    "power",
    "some",
    "wasserstein",
]

_FULL_SCALE = 2**15
_CHUNK_VALUES = 2**21
_OVERLAP = 4  # spectral windows that contain each sample
_LEAST_FRAME_BITS = 4  # 16 samples


def check_clips(clips: Tensor, what: str) -> None:
    """Refuse anything but int16 (N, C, T) clips.

    Raises:
        ValueError: one line that states what is wrong.
    """
    if clips.ndim != 3 or clips.dtype != torch.int16:
        raise ValueError(f"{what}: expected int16 clips of shape (N, C, T), got {clips.dtype} {tuple(clips.shape)}")


def check_pairs(originals: Tensor | None, reconstructions: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return clips and their reconstructions; refuse anything but int16 (N, C, T) of one shape.

    Raises:
        ValueError: one line that states what is wrong.
    """
    assert originals is not None
    assert reconstructions is not None
    check_clips(originals, "originals")
    check_clips(reconstructions, "reconstructions")
    if originals.shape != reconstructions.shape:
        shapes = f"{tuple(originals.shape)} originals, {tuple(reconstructions.shape)} reconstructions"
        raise ValueError(f"reconstruction: {shapes}")
    return originals, reconstructions


def some(clips: Tensor, seed: int = 0) -> Tensor:
    """Return the clips to measure: all of them, or a random subset where there are many long ones (`CLIP_VALUES`)."""
    return limited(clips, affordable(clips, CLIP_VALUES, CLIP_LEAST), seed)


def by_clip(find: Callable[..., Tensor], *sides: Tensor) -> Tensor:
    """Return the result of `find` for each clip, (N, ...), computed in parts: never copies all amplitudes at once.

    Args:
        find: from (n, C, T) amplitudes of each side to (n, ...).
        sides: (N, C, T) int16 each.
    """
    for side in sides:
        check_clips(side, "clips")
    size = max(1, _CHUNK_VALUES // max(1, sides[0].shape[1:].numel()))
    parts = zip(*(side.split(size) for side in sides), strict=True)
    return torch.cat([find(*(amplitudes(part) for part in part_of_each)) for part_of_each in parts])


def amplitudes(clips: Tensor) -> Tensor:
    """Return stored clips as float64 in [-1, 1): silence, which is stored as 0, is 0."""
    return clips.double() / _FULL_SCALE


def frame_length(rate: int, length: int) -> int:
    """Return the number of samples in a frame: the power of two nearest to 32 ms by ratio, or the whole clip.

    >>> frame_length(8_000, 4_000), frame_length(44_100, 4_000), frame_length(8_000, 100)
    (256, 1024, 100)
    """
    return min(length, 1 << max(_LEAST_FRAME_BITS, round(math.log2(FRAME_S * rate))))


def framed(clips: Tensor, rate: int) -> Tensor:
    """Return (..., F, S) non-overlapping frames of (..., T); the remainder at the end of a clip is dropped."""
    size = frame_length(rate, clips.shape[-1])
    return clips.unfold(-1, size, size)


def loudness(frames: Tensor) -> Tensor:
    """Return the root mean square of (..., S) frames in dB, at least `SILENCE_DB`; a full-scale square wave is at 0.

    >>> loudness(torch.tensor([[0.1, -0.1], [0.0, 0.0]])).tolist()
    [-20.0, -60.0]
    """
    return frames.square().mean(dim=-1).clamp(min=10 ** (SILENCE_DB / 10)).log10().mul(10)


def power(clips: Tensor, rate: int) -> Tensor:
    """Return the power spectra of (..., T) clips, (..., B, F): bins from 0 Hz to half the rate, by overlapping frames.

    Hann windows; four of them contain each sample, except at the ends. A full-scale sine gives 1 at its bin.
    """
    size = frame_length(rate, clips.shape[-1])
    window = torch.hann_window(size, dtype=clips.dtype, device=clips.device)
    frames = clips.unfold(-1, size, max(1, size // _OVERLAP))
    waves = torch.view_as_real(torch.fft.rfft(frames * window))
    return waves.square().sum(dim=-1).div((window.sum() / 2).square()).transpose(-1, -2)


def wasserstein(samples: Tensor, reference: Tensor, width: float) -> float:
    """Return the Wasserstein-1 distance of (B,) shares of bins spaced `width` apart: `width · Σ_b |F(b) − G(b)|`.

    Paper: Vallender 1974, "Calculation of the Wasserstein distance between probability distributions on the line",
    https://doi.org/10.1137/1118101
    """
    return width * float((samples.cumsum(dim=0) - reference.cumsum(dim=0)).abs().sum())
