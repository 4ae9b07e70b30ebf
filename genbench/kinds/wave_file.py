"""Writes a clip as a WAV file of 16-bit PCM: the stored samples unchanged."""

from __future__ import annotations

import wave
from pathlib import Path

from torch import Tensor

from genbench.machine.atomic import replacing

__all__ = ["MOST", "save"]

MOST = 8  # clips of a cell that are kept for listening


def save(path: Path, clip: Tensor, rate: int) -> None:
    """Write (C, T) int16 samples at `rate` Hz, completely or not at all. Samples are not scaled: peaks stay."""
    with replacing(path) as temporary, wave.open(str(temporary), "wb") as file:
        file.setnchannels(len(clip))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(clip.T.contiguous().numpy().astype("<i2").tobytes())
