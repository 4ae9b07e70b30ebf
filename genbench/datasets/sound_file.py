"""A single audio file: its header, and its samples block by block, so that no file is ever held in memory whole."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from genbench.datasets.resampling import resampled, resampled_length, span_of
from genbench.datasets.sound_end import truncation
from genbench.errors import InputError

__all__ = [
    "GREATEST_RATE",
    "LEAST_RATE",
    "SUFFIXES",
    "Samples",
    "Sound",
    "clip",
    "is_sound_name",
    "read_header",
    "window_count",
    "windows",
]

SUFFIXES = (".wav", ".flac", ".ogg")
LEAST_RATE, GREATEST_RATE = 100, 1_000_000  # Hz; the filter's length grows with the rates
_UNKNOWN = 1 << 62  # libsndfile gives a stream of unknown length about this many frames or more
Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Sound:
    """The header of a file.

    Args:
        path: of the file.
        rate: in Hz.
        channels: their number.
        frames: samples per channel.
    """

    path: Path
    rate: int
    channels: int
    frames: int

    @property
    def seconds(self) -> float:
        return self.frames / self.rate


def is_sound_name(name: str) -> bool:
    """Return whether a file name has an audio suffix and does not begin with a dot."""
    return os.path.splitext(name)[1].lower() in SUFFIXES and not os.path.basename(name).startswith(".")


def read_header(path: Path) -> Sound:
    """Read a file's header without reading its samples.

    Raises:
        InputError: one line: soundfile is not installed, or the file is not audio, has no samples or a rate of 0.
    """
    if (fault := truncation(path)) is not None:  # libsndfile would read it without an error
        raise InputError(f"{path}: truncated: {fault}; replace or remove it")
    with _opened(path) as file:
        found = Sound(path, int(file.samplerate), int(file.channels), int(file.frames))
    if not LEAST_RATE <= found.rate <= GREATEST_RATE:
        raise InputError(
            f"{path}: its header says {found.rate:,} samples a second, and rates from {LEAST_RATE} to "
            f"{GREATEST_RATE:,} Hz are read; repair or remove it"
        )
    if found.frames < 1:
        raise InputError(f"{path}: holds no samples; remove it")
    if found.frames >= _UNKNOWN:
        raise InputError(f"{path}: does not say how long it is, as it was written as a stream; convert it to a file")
    return found


def clip(sound: Sound, rate: int, length: int, channels: int) -> Samples:
    """Return the first `length` samples of a file at `rate`: (channels, length) float32 in [-1, 1].

    Only the required part of the file is read. A shorter file is padded with silence. Two channels become one by
    averaging, and one becomes two by repetition.

    Raises:
        InputError: one line: it is shorter than its header says, or contains values that are not finite.
    """
    with _opened(sound.path) as file:
        return _part(file, sound, 0, rate, length, channels)


def windows(sound: Sound, rate: int, length: int, channels: int) -> Iterator[Samples]:
    """Yield the whole windows of `length` samples at `rate` in a file, in sequence.

    Each window is resampled separately, and is what the whole file resampled has there. The remainder at the end is
    dropped.

    Raises:
        InputError: as `clip`, or it is compressed in a way that can only be read in sequence.
    """
    with _opened(sound.path) as file:
        if not file.seekable():
            raise InputError(
                f"{sound.path}: its format has no windows, as it can only be read from the start; convert it"
            )
        for number in range(window_count(sound, rate, length)):
            yield _part(file, sound, number * length, rate, length, channels)


def window_count(sound: Sound, rate: int, length: int) -> int:
    """Return the number of whole windows of `length` samples at `rate` in a file."""
    return resampled_length(sound.frames, sound.rate, rate) // length


def _part(file: Any, sound: Sound, first: int, rate: int, length: int, channels: int) -> Samples:
    """Return (channels, length) at `rate`, from sample `first` at that rate, padded beyond the end of an open file."""
    span = span_of(first, length, sound.rate, rate)
    samples = _read(file, sound.path, span.start, min(span.stop, sound.frames) - span.start)
    if not np.isfinite(samples).all():
        raise InputError(f"{sound.path}: holds values that are NaN or infinite; repair or remove it")
    with np.errstate(over="ignore", invalid="ignore"):  # refused below
        if len(samples) != channels:
            samples = samples.mean(0, keepdims=True) if channels == 1 else np.repeat(samples[:1], channels, 0)
        found = resampled(samples, sound.rate, rate)[:, span.skip : span.skip + length]
    if not np.isfinite(found).all():
        raise InputError(f"{sound.path}: holds values so large that their sums are infinite; repair or remove it")
    return np.pad(found, ((0, 0), (0, length - found.shape[1])))


def _read(file: Any, path: Path, start: int, frames: int) -> Samples:
    """Read (channels, frames) of an open file, from sample `start`."""
    try:
        if file.seekable():
            file.seek(start)
        samples: Samples = file.read(frames, dtype="float32", always_2d=True).T
    except Exception as error:  # soundfile raises its own class, and may not be installed
        raise InputError(f"{path}: damaged ({_line(error)}); replace or remove it") from error
    if samples.shape[1] < frames:
        raise InputError(
            f"{path}: truncated: {samples.shape[1]:,} samples are where its header says {frames:,}; "
            "replace or remove it"
        )
    return samples


def _opened(path: Path) -> Any:
    soundfile = _soundfile(path)
    if path.exists() and not path.is_file():  # opening a pipe would block
        raise InputError(f"{path}: is not a regular file; remove it")
    try:
        return soundfile.SoundFile(str(path))
    except Exception as error:  # soundfile.LibsndfileError, OSError, and errors caused by undecodable file names
        if not path.is_file():
            raise InputError(f"{path}: no such file") from error
        if path.stat().st_size == 0:
            raise InputError(f"{path}: empty; remove it") from error
        raise InputError(f"{path}: not a readable sound file ({_line(error)}); replace or remove it") from error


def _soundfile(path: Path) -> ModuleType:
    try:
        return importlib.import_module("soundfile")
    except (ImportError, OSError) as error:  # OSError: the package is installed, but libsndfile is not
        raise InputError(f"{path}: needs the package soundfile: pip install genbench[audio]") from error


def _line(error: BaseException) -> str:
    """Return an error's message without the path, which the line already contains."""
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return said.rpartition(": ")[2].rstrip(".") or said
