"""Assigns a clip to a mode of `tones` by measuring pitch, timbre and envelope in turn."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from genbench.datasets.tone_parts import ENVELOPES, HARMONICS, PITCHES, TIMBRES, envelope

__all__ = ["ToneModes"]

EXPLAINED = 0.8  # the minimum share of a clip's energy around the harmonics of its pitch
CENTS = 50.0  # how far the fundamental may be from its pitch: half a semitone
TIMBRE_DISTANCE = 0.2  # between unit vectors of the harmonics' amplitudes: half that of the two most similar
LIKENESS = 0.95  # the minimum cosine between the loudness over time and that of the envelope
_LEAST_RMS = 32.768  # of int16 samples: 60 dB below full scale is silence
_HALF_WIDTH = 0.09  # relative to the fundamental, of the band around each harmonic: half the distance to the next pitch
_SEGMENTS = 16
_CHUNK_SAMPLES = 1 << 22


@dataclass(frozen=True)
class ToneModes:
    """The modes of clips of one sample rate.

    Args:
        rate: in Hz.
    """

    rate: int

    def nearest(self, clips: Tensor) -> Tensor:
        """Return the mode of each clip, (pitch × 4 + timbre) × 2 + envelope, or -1 if it belongs to none.

        The fundamental is the strongest of the bands around the pitches; its frequency is the centroid of its band. The
        energy around its harmonics measures how much of the clip is explained, and their amplitudes determine the
        nearest timbre. The loudness of 16 equal parts determines the nearest envelope. A clip that is too quiet, is too
        far from every pitch, timbre or envelope, or has too much energy elsewhere belongs to no mode.

        Args:
            clips: (N, 1, T) int16.

        Returns:
            (N,) int64 on the device of `clips`.
        """
        step = max(1, _CHUNK_SAMPLES // max(1, clips.shape[-1]))
        none = torch.empty(0, dtype=torch.int64, device=clips.device)
        return torch.cat([none, *(self._modes(part) for part in clips.split(step) if len(part))])

    def _modes(self, clips: Tensor) -> Tensor:
        samples = clips[:, 0].double()
        loud = samples.square().mean(1).sqrt() >= _LEAST_RMS
        pitch, harmonics, explained, tuned = self._pitch(samples)
        timbre, of_timbre = _timbre(harmonics)
        shape, of_envelope = _envelope(samples)
        mode = (pitch * len(TIMBRES) + timbre) * len(ENVELOPES) + shape
        fits = loud & tuned & (explained >= EXPLAINED) & (of_timbre <= TIMBRE_DISTANCE) & (of_envelope >= LIKENESS)
        return torch.where(fits, mode, -1)

    def _pitch(self, samples: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the pitch (N,), the energy around its harmonics (N, H), its share of the total, and whether in tune.

        No window is applied, because a Hann window would hide the onset of a pluck.
        """
        length = samples.shape[1]
        power = torch.fft.rfft(samples).abs().square()
        power[:, 1:] *= 2  # each also represents its negative frequency
        hertz = torch.arange(power.shape[1], dtype=power.dtype, device=power.device) * (self.rate / length)
        total = power.sum(1)
        bands = torch.stack([self._band(hertz, pitch, 1) for pitch in PITCHES.values()])
        pitch = (power @ bands.T).argmax(1)
        names = torch.tensor(list(PITCHES.values()), dtype=power.dtype, device=power.device)
        within = power * bands[pitch]
        fundamental = (within @ hertz) / within.sum(1)
        tuned = (fundamental / names[pitch]).log2().abs() * 1200 <= CENTS  # False for the NaN of silence
        table = torch.stack(
            [torch.stack([self._band(hertz, p, n + 1) for n in range(HARMONICS)]) for p in PITCHES.values()]
        )
        harmonics = (table[pitch] @ power[:, :, None])[..., 0]
        return pitch, harmonics, harmonics.sum(1) / total, tuned

    def _band(self, hertz: Tensor, pitch: float, harmonic: int) -> Tensor:
        """Return 1 at each frequency around a harmonic, 0 elsewhere."""
        return ((hertz - pitch * harmonic).abs() <= pitch * _HALF_WIDTH).to(hertz.dtype)


def _timbre(harmonics: Tensor) -> tuple[Tensor, Tensor]:
    """Return the timbre (N,) nearest to these energies (N, H), and its distance."""
    amplitudes = torch.nn.functional.normalize(harmonics.sqrt(), dim=1)
    known = torch.tensor(list(TIMBRES.values()), dtype=amplitudes.dtype, device=amplitudes.device)
    nearest = torch.cdist(amplitudes, torch.nn.functional.normalize(known, dim=1)).min(1)
    return nearest.indices, nearest.values


def _envelope(samples: Tensor) -> tuple[Tensor, Tensor]:
    """Return the envelope (N,) most similar to the loudness of these clips over time, and its cosine."""
    length = samples.shape[1]
    size = length // _SEGMENTS
    cut = slice(0, size * _SEGMENTS)
    found = samples[:, cut].unflatten(1, (_SEGMENTS, size)).square().mean(2).sqrt()
    share = (torch.arange(length, dtype=samples.dtype, device=samples.device) + 0.5) / length
    known = torch.stack(
        [envelope(name, share)[cut].view(_SEGMENTS, size).square().mean(1).sqrt() for name in ENVELOPES]
    )
    known, found = (torch.nn.functional.normalize(each, dim=1) for each in (known, found))
    nearest = (found @ known.T).max(1)
    return nearest.indices, nearest.values
