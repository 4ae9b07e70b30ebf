"""A single audio file: its header, and its samples block by block, so that no file is ever held in memory whole."""

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
from genbench.machine.regular_file import open_regular

__all__ = ["SUFFIXES", "Samples", "Sound", "clip", "is_sound_name", "read_header", "window_count", "windows"]

SUFFIXES = (".wav", ".flac", ".ogg")
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
    _require_whole(path)
    with _opened(path) as file:
        found = Sound(path, int(file.samplerate), int(file.channels), int(file.frames))
    if found.rate < 1:
        raise InputError(f"{path}: its header says {found.rate} samples a second")
    if found.frames < 1:
        raise InputError(f"{path}: holds no samples; remove it")
    return found


def _require_whole(path: Path) -> None:
    """Raise `InputError` for a WAV file shorter than its header says: libsndfile would read it without an error."""
    try:
        with open_regular(path) as file:
            start = file.read(8)
    except OSError:
        return  # reported when it is opened
    claimed = int.from_bytes(start[4:], "little")
    size = path.stat().st_size
    if start[:4] == b"RIFF" and claimed not in (0, 0xFFFFFFFF) and claimed + 8 > size + 1:  # written as a stream
        raise InputError(f"{path}: truncated: it has {size:,} of {claimed + 8:,} bytes; replace or remove it")


def clip(sound: Sound, rate: int, length: int, channels: int) -> Samples:
    """Return the first `length` samples of a file at `rate`: (channels, length) float32 in [-1, 1].

    Only the required part of the file is read. A shorter file is padded with silence. Two channels become one by
    averaging, and one becomes two by repetition.

    Raises:
        InputError: one line: it is shorter than its header says, or contains values that are not finite.
    """
    wanted = math.ceil(length * sound.rate / rate)
    with _opened(sound.path) as file:
        samples = _read(file, sound.path, min(sound.frames, wanted))
    return _fitted(sound, samples, rate, length, channels)


def windows(sound: Sound, rate: int, length: int, channels: int) -> Iterator[Samples]:
    """Yield the whole windows of `length` samples at `rate` in a file, in sequence.

    Each window is resampled separately from a whole number of the file's samples, so it may begin up to one sample of
    the file early. The remainder at the end is dropped.
    """
    count = window_count(sound, rate, length)
    with _opened(sound.path) as file:
        for number in range(count):
            start = number * length * sound.rate // rate
            file.seek(start)
            wanted = math.ceil(length * sound.rate / rate)
            yield _fitted(sound, _read(file, sound.path, min(wanted, sound.frames - start)), rate, length, channels)


def window_count(sound: Sound, rate: int, length: int) -> int:
    """Return the number of whole windows of `length` samples at `rate` in a file."""
    return sound.frames * rate // (length * sound.rate)


def _fitted(sound: Sound, samples: Samples, rate: int, length: int, channels: int) -> Samples:
    if not np.isfinite(samples).all():
        raise InputError(f"{sound.path}: holds values that are NaN or infinite; repair or remove it")
    if len(samples) != channels:
        samples = samples.mean(0, keepdims=True) if channels == 1 else np.repeat(samples[:1], channels, 0)
    found = resampled(samples, sound.rate, rate)[:, :length]
    return np.pad(found, ((0, 0), (0, length - found.shape[1])))


def _read(file: Any, path: Path, frames: int) -> Samples:
    """Read (channels, frames) from the current position of an open file."""
    try:
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
