"""One file of sound: what its header says, and its samples block by block, so that none is ever held whole."""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from genbench.datasets.resampling import resampled
from genbench.errors import InputError

__all__ = ["SUFFIXES", "Samples", "Sound", "clip", "is_sound_name", "read_header", "window_count", "windows"]

SUFFIXES = (".wav", ".flac", ".ogg")
Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Sound:
    """What the header of a file says.

    Args:
        path: of the file.
        rate: in Hz.
        channels: how many.
        frames: how many samples each channel has.
    """

    path: Path
    rate: int
    channels: int
    frames: int

    @property
    def seconds(self) -> float:
        return self.frames / self.rate


def is_sound_name(name: str) -> bool:
    """Return whether a file's name has a suffix of sounds, and does not begin with a dot."""
    return os.path.splitext(name)[1].lower() in SUFFIXES and not os.path.basename(name).startswith(".")


def read_header(path: Path) -> Sound:
    """Return what a file's header says, without reading its samples.

    Raises:
        InputError: one line: soundfile is not installed, the file is no sound, has no samples or a rate of 0.
    """
    _require_whole(path)
    with _opened(path) as file:
        found = Sound(path, int(file.samplerate), int(file.channels), int(file.frames))
    if found.rate < 1:
        raise InputError(f"{path}: its header says {found.rate} samples a second")
    if found.frames < 1:
        raise InputError(f"{path}: holds no samples; remove it")
    return found


def _require_whole(path: Path) -> None:
    """Raise `InputError` for a WAV file that ends before its header says: libsndfile would read what is there."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError:
        return  # said when it is opened
    claimed = int.from_bytes(start[4:], "little")
    size = path.stat().st_size
    if start[:4] == b"RIFF" and claimed not in (0, 0xFFFFFFFF) and claimed + 8 > size + 1:  # written as a stream
        raise InputError(f"{path}: is truncated: it has {size:,} of {claimed + 8:,} bytes; replace or remove it")


def clip(sound: Sound, rate: int, length: int, channels: int) -> Samples:
    """Return the first `length` samples of a file at `rate`: (channels, length) float32 in [-1, 1].

    Only as much of the file is read as that takes. Where it has less, silence follows. Two channels become one by their
    mean, and one becomes two by repetition.

    Raises:
        InputError: one line: it ends before its header says, or holds values that are not finite.
    """
    wanted = math.ceil(length * sound.rate / rate)
    with _opened(sound.path) as file:
        samples = _read(file, sound.path, min(sound.frames, wanted))
    return _fitted(sound, samples, rate, length, channels)


def windows(sound: Sound, rate: int, length: int, channels: int) -> Iterator[Samples]:
    """Yield the whole windows of `length` samples at `rate` that a file has, one after the other.

    Each is resampled by itself, of a whole number of the file's samples: a window begins at most one sample of the file
    early. What is left at the end is no window.
    """
    count = window_count(sound, rate, length)
    with _opened(sound.path) as file:
        for number in range(count):
            start = number * length * sound.rate // rate
            file.seek(start)
            wanted = math.ceil(length * sound.rate / rate)
            yield _fitted(sound, _read(file, sound.path, min(wanted, sound.frames - start)), rate, length, channels)


def window_count(sound: Sound, rate: int, length: int) -> int:
    """Return how many whole windows of `length` samples at `rate` a file has."""
    return sound.frames * rate // (length * sound.rate)


def _fitted(sound: Sound, samples: Samples, rate: int, length: int, channels: int) -> Samples:
    if not np.isfinite(samples).all():
        raise InputError(f"{sound.path}: holds values that are NaN or infinite; repair or remove it")
    if len(samples) != channels:
        samples = samples.mean(0, keepdims=True) if channels == 1 else np.repeat(samples[:1], channels, 0)
    found = resampled(samples, sound.rate, rate)[:, :length]
    return np.pad(found, ((0, 0), (0, length - found.shape[1])))


def _read(file: Any, path: Path, frames: int) -> Samples:
    """Return (channels, frames) of an open file from where it stands."""
    try:
        samples: Samples = file.read(frames, dtype="float32", always_2d=True).T
    except Exception as error:  # soundfile raises its own class, which may not be installed
        raise InputError(f"{path}: is damaged ({_line(error)}); replace or remove it") from error
    if samples.shape[1] < frames:
        raise InputError(
            f"{path}: is truncated: {samples.shape[1]:,} samples are where its header says {frames:,}; "
            "replace or remove it"
        )
    return samples


def _opened(path: Path) -> Any:
    soundfile = _soundfile(path)
    try:
        return soundfile.SoundFile(str(path))
    except Exception as error:  # soundfile.LibsndfileError, OSError, and what a name of strange bytes makes
        if not path.is_file():
            raise InputError(f"{path}: no such file") from error
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty; remove it") from error
        raise InputError(f"{path}: is no sound that can be read ({_line(error)}); replace or remove it") from error


def _soundfile(path: Path) -> ModuleType:
    try:
        return importlib.import_module("soundfile")
    except (ImportError, OSError) as error:  # OSError: the package is there, and libsndfile is not
        raise InputError(f"{path}: needs the package soundfile: pip install genbench[audio]") from error


def _line(error: BaseException) -> str:
    """Return what an error says, without the path that stands in the line already."""
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return said.rpartition(": ")[2].rstrip(".") or said
