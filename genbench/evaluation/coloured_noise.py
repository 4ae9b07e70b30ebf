"""Gaussian noise with the long-term spectrum of clips: a control that knows only their frequencies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["ColouredNoise", "fit"]

_CHUNK_SAMPLES = 1 << 22


@dataclass(frozen=True)
class ColouredNoise:
    """A stationary Gaussian process over clips, on a circle the length of one clip.

    Args:
        factor: (F, C, C) complex128: at each frequency of `rfft`, a square root of the channels' cross-spectrum.
        length: T, the number of samples in a clip.
    """

    factor: Tensor
    length: int

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw clips: (count, C, T) float64, on the scale of the clips it was fitted to."""
        frequencies, channels, _ = self.factor.shape
        clips = torch.empty(count, channels, self.length, dtype=torch.float64)
        step = max(1, _CHUNK_SAMPLES // (channels * self.length))
        for start in range(0, count, step):
            size = (min(step, count - start), frequencies, channels)
            parts = [torch.randn(size, generator=generator, dtype=torch.float64) for _ in range(2)]
            white = torch.complex(*parts) / math.sqrt(2)
            # For a real signal the first and, at an even length, the last of them are real.
            for edge in (0, frequencies - 1) if self.length % 2 == 0 else (0,):
                white[:, edge] = parts[0][:, edge]
            spectrum = (self.factor @ white[..., None])[..., 0]
            clips[start : start + step] = torch.fft.irfft(spectrum.transpose(1, 2), self.length)
        return clips


def fit(clips: Tensor) -> ColouredNoise:
    """Return the noise whose expected cross-spectrum is the mean over clips (N, C, T), of any real type."""
    count, channels, length = clips.shape
    total = torch.zeros(length // 2 + 1, channels, channels, dtype=torch.complex128)
    for part in clips.split(max(1, _CHUNK_SAMPLES // (channels * length))):
        spectrum = torch.fft.rfft(part.double())
        total += torch.einsum("ncf,ndf->fcd", spectrum, spectrum.conj())
    values, vectors = torch.linalg.eigh(total / count)
    return ColouredNoise(vectors * values.clamp(min=0).sqrt()[:, None, :], length)
