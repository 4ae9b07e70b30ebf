"""Converts audio files to stored clips of one rate, length and number of channels; shared by all audio sources."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genbench.datasets.resampling import FILTER, resampled_length
from genbench.datasets.sound_file import (
    GREATEST_RATE,
    LEAST_RATE,
    Samples,
    Sound,
    clip,
    read_header,
    window_count,
    windows,
)
from genbench.errors import InputError

__all__ = ["Form", "check_rate", "clip_counts", "common_form", "fill", "headers", "remarks"]

MOST_CHANNELS = 2
Clips = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Form:
    """The common form of all clips.

    Args:
        rate: in Hz.
        channels: 1 or 2.
        length: samples per clip.
        windowed: whether a file yields all its whole windows of `length` in sequence, or only its beginning.
    """

    rate: int
    channels: int
    length: int
    windowed: bool = False

    @property
    def seconds(self) -> float:
        return self.length / self.rate


def headers(root: Path, names: Sequence[str], progress: Callable[[int, int], None] | None = None) -> list[Sound]:
    """Read the headers of files; raise `InputError` for the first that is not audio."""
    return [read_header(Path(os.path.join(root, name))) for name in names]


def common_form(
    sounds: Sequence[Sound], seconds: float | None, rate: int | None, channels: int | None, *, windowed: bool = False
) -> Form:
    """Return the requested form; anything not requested is taken from the files, which must agree.

    Raises:
        InputError: files differ and no value was requested; the line says which option to add.
    """
    first = sounds[0]
    if rate is None:
        other = _other(sounds, lambda sound: sound.rate)
        if other:
            raise InputError(
                f"files differ in sample rate: {first.path.name} has {first.rate} Hz, {other.path.name} {other.rate}; "
                "rate=N resamples all to N"
            )
        rate = first.rate
    check_rate(rate)
    if channels is None:
        channels = min(sound.channels for sound in sounds)
        many = next((sound for sound in sounds if sound.channels > MOST_CHANNELS), None)
        if many:
            raise InputError(f"{many.path.name} has {many.channels} channels; channels=1 takes their mean")
    if seconds is None:
        other = _other(sounds, lambda sound: resampled_length(sound.frames, sound.rate, rate))
        if other:
            raise InputError(
                f"files differ in length: {first.path.name} has {first.seconds:.4g} s, {other.path.name} "
                f"{other.seconds:.4g}; seconds=S takes the first S of each, window=S all windows of S"
            )
        return Form(rate, channels, resampled_length(first.frames, first.rate, rate))
    length = round(seconds * rate)
    if length < 1:
        raise InputError(f"{seconds:g} seconds at {rate} Hz are less than one sample; use more")
    return Form(rate, channels, length, windowed)


def check_rate(rate: int) -> None:
    """Raise `InputError` for a rate in Hz that no clip may have."""
    if not LEAST_RATE <= rate <= GREATEST_RATE:
        raise InputError(f"a rate must be from {LEAST_RATE} to {GREATEST_RATE:,} Hz, not {rate}")


def clip_counts(sounds: Sequence[Sound], form: Form) -> list[int]:
    """Return the number of clips from each file."""
    return [window_count(sound, form.rate, form.length) if form.windowed else 1 for sound in sounds]


def remarks(sounds: Sequence[Sound], form: Form) -> list[str]:
    """Return what was changed: how many files were resampled, mixed down, padded or cut."""
    of = f"of {len(sounds):,} files"
    rates = sorted({sound.rate for sound in sounds} - {form.rate})
    found = []
    if rates:
        count = sum(sound.rate != form.rate for sound in sounds)
        named = ", ".join(str(rate) for rate in rates[:3]) + (" and others" if len(rates) > 3 else "")
        found.append(f"{count:,} {of} were resampled from {named} to {form.rate} Hz ({FILTER})")
    if mixed := sum(sound.channels > form.channels for sound in sounds):
        found.append(f"of {mixed:,} {of} the mean of the channels was taken")
    if doubled := sum(sound.channels < form.channels for sound in sounds):
        found.append(f"of {doubled:,} {of} the one channel was repeated")
    lengths = [resampled_length(sound.frames, sound.rate, form.rate) for sound in sounds]
    if form.windowed:
        left = sum(length % form.length for length in lengths) / form.rate
        return [*found, *([f"{left:,.1f} s do not fill a window and were left out"] if left else [])]
    if short := sum(length < form.length for length in lengths):
        found.append(f"{short:,} {of} are shorter than {form.seconds:g} s, and were padded with silence")
    if long := sum(length > form.length for length in lengths):
        found.append(f"{long:,} {of} were cut to {form.seconds:g} s")
    return found


def fill(
    sounds: Sequence[Sound],
    form: Form,
    target: Clips,
    after: Callable[[int], None] = lambda done: None,
) -> str | None:
    """Write the clips of all files into int16 (N, C, length), one file at a time.

    16-bit samples are stored unchanged, others are rounded to 16 bits.

    Args:
        sounds: in the storage order of their clips.
        form: of the clips.
        target: with as many rows as the sum of `clip_counts`.
        after: called after each clip with the number of clips written so far.

    Returns:
        A remark on the number of clips with samples beyond full scale, which were clipped; None if there were none.

    Raises:
        InputError: one line that names the file.
    """
    done = beyond = 0
    for sound in sounds:
        if form.windowed:
            found = windows(sound, form.rate, form.length, form.channels)
        else:
            found = iter((clip(sound, form.rate, form.length, form.channels),))
        for samples in found:
            beyond += bool(np.abs(samples).max() > 1)
            target[done] = _stored(samples)
            done += 1
            after(done)
    return f"{beyond:,} of {done:,} clips have samples beyond full scale, which were clipped" if beyond else None


def _stored(samples: Samples) -> Clips:
    scaled = np.round(np.clip(samples, -1, 1) * np.float32(32768))
    return np.clip(scaled, -32768, 32767).astype(np.int16)


def _other(sounds: Sequence[Sound], key: Callable[[Sound], int]) -> Sound | None:
    """Return the first sound that differs from the first one, or None."""
    return next((sound for sound in sounds if key(sound) != key(sounds[0])), None)
