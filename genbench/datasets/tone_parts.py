"""The components of `tones`: pitches, timbres and envelopes."""

from __future__ import annotations

from torch import Tensor

__all__ = ["ENVELOPES", "HARMONICS", "PITCHES", "TIMBRES", "envelope"]

# Every third semitone up to concert pitch, in Hz.
PITCHES = {
    "C3": 130.81,
    "D#3": 155.56,
    "F#3": 185.0,
    "A3": 220.0,
    "C4": 261.63,
    "D#4": 311.13,
    "F#4": 369.99,
    "A4": 440.0,
}

# The amplitude of each harmonic. The fundamental is always the strongest, so it determines the perceived pitch.
TIMBRES = {
    "pure": (1.0, 0.0, 0.0, 0.0),
    "hollow": (1.0, 0.0, 0.7, 0.0),  # only odd harmonics, as in a stopped pipe
    "octaves": (1.0, 0.7, 0.0, 0.5),
    "full": (1.0, 0.75, 0.6, 0.45),
}
HARMONICS = 4

ENVELOPES = ("pluck", "swell")
_ATTACK = 0.02  # of a clip


def envelope(name: str, share: Tensor) -> Tensor:
    """Return the amplitude at each share of a clip, in [0, 1]: a fast attack and decay, or growing to the end."""
    onset = (share / _ATTACK).clamp(max=1)
    if name == "pluck":
        fading = 1 - share
        return onset * fading * fading * fading
    ending = ((1 - share) / _ATTACK).clamp(max=1)
    return ending * share * share
