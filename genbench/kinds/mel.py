"""Spectrograms on the mel scale: shown in pictures of clips, and measured by the extractor `log-mel`.

The mel scale is that of D. O'Shaughnessy, 1987, Speech Communication, p. 150, 2595 log10(1 + f / 700), as in HTK.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["FLOOR_DB", "Mel", "mel_of", "triangles"]

# Relative to a full-scale sine; anything fainter counts as this. In a recording, the noise of a quiet room is about as
# loud. A lower floor would measure how black the silence between sounds is rather than the sounds themselves.
FLOOR_DB = -60.0
_BANDS = 64
_WINDOW_S = 0.064  # the window is the power of two nearest to this, on a logarithmic scale
_OVERLAP = 4  # number of windows that contain a sample
_LEAST_WINDOW = 16
_CHUNK_FRAMES = 1 << 16


@dataclass(frozen=True)
class Mel:
    """How a clip is converted to bands and frames.

    Args:
        rate: of the clips, in Hz.
        window: samples of the periodic Hann window, which is also the length of the Fourier transform.
        hop: samples between two windows.
        bands: triangles on the mel scale from 0 Hz to half the rate.
    """

    rate: int
    window: int
    hop: int
    bands: int = _BANDS

    @classmethod
    def of(cls, rate: int) -> Mel:
        """Return the parameters used for clips of this rate.

        >>> Mel.of(8_000)
        Mel(rate=8000, window=512, hop=128, bands=64)
        """
        window = max(_LEAST_WINDOW, 2 ** round(math.log2(_WINDOW_S * rate)))
        return cls(rate, window, window // _OVERLAP)

    def frames(self, length: int) -> int:
        """Return the number of frames of a clip of `length` samples: their centres are `hop` apart, the first at 0."""
        return 1 + length // self.hop

    def centres(self) -> Tensor:
        """Return the frequency at the peak of each band, in Hz: (bands,) float64."""
        return _corners(self.bands, 0.0, self.rate / 2)[1:-1]

    def decibels(self, clips: Tensor) -> Tensor:
        """Return the power in each band, in dB relative to a full-scale sine and not below `FLOOR_DB`.

        Args:
            clips: (..., T) floats in [-1, 1].

        Returns:
            (..., bands, frames) float32.
        """
        flat = clips.float().reshape(-1, clips.shape[-1])
        step = max(1, _CHUNK_FRAMES // self.frames(clips.shape[-1]))
        found = torch.cat([self._decibels(part) for part in flat.split(step)])
        return found.reshape(*clips.shape[:-1], *found.shape[1:])

    def _decibels(self, clips: Tensor) -> Tensor:
        window = torch.hann_window(self.window, device=clips.device)
        # Pad with zeros: padding by reflection would require a clip longer than half a window.
        spectrum = torch.stft(
            clips, self.window, self.hop, window=window, center=True, pad_mode="constant", return_complex=True
        )
        power = spectrum.abs().square() / (window.sum() / 2).square()  # 1 at the peak of a full-scale sine
        banded = _triangles(self.window // 2 + 1, self.rate, self.bands, 0.0, self.rate / 2).to(clips.device) @ power
        return banded.clamp(min=10 ** (FLOOR_DB / 10)).log10().mul(10)


def triangles(bins: int, rate: int, bands: int, low: float, high: float) -> Tensor:
    """Return the weight of each bin of a Fourier transform in each band: (bands, bins) float64, at most 1.

    Each band is a triangle on the mel scale, from the peak of the band below to that of the band above.

    Args:
        bins: of the transform, from 0 Hz to half the rate.
        rate: in Hz.
        bands: number of bands.
        low: start of the first band, in Hz.
        high: end of the last band, in Hz.
    """
    at = _mel(torch.arange(bins, dtype=torch.float64) * (rate / 2 / (bins - 1)))
    corners = _mel(_corners(bands, low, high))[:, None]
    left, peak, right = corners[:-2], corners[1:-1], corners[2:]
    return torch.minimum((at - left) / (peak - left), (right - at) / (right - peak)).clamp(min=0)


@functools.lru_cache(maxsize=8)
def _triangles(bins: int, rate: int, bands: int, low: float, high: float) -> Tensor:
    return triangles(bins, rate, bands, low, high).float()


def mel_of(hertz: float) -> float:
    """Return a frequency on the mel scale.

    >>> round(mel_of(1000), 1)
    1000.0
    """
    return 2595 * math.log10(1 + hertz / 700)


def _mel(hertz: Tensor) -> Tensor:
    return 2595 * torch.log10(1 + hertz / 700)


def _corners(bands: int, low: float, high: float) -> Tensor:
    """Return where bands begin, peak and end, in Hz: (bands + 2,) float64, evenly spaced on the mel scale."""
    mel = torch.linspace(mel_of(low), mel_of(high), bands + 2, dtype=torch.float64)
    return 700 * (10 ** (mel / 2595) - 1)
