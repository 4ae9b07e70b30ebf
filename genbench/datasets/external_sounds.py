"""Clips produced by another program: a folder of WAV, FLAC or OGG files."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from genbench.datasets import sounds
from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.datasets.finding import find_files, is_image_name
from genbench.datasets.room import shortage
from genbench.datasets.sound_file import Sound, is_sound_name
from genbench.datasets.sounds import Form
from genbench.errors import InputError
from genbench.kinds.audio import Audio

__all__ = ["ExternalSounds", "as_reference", "holds_sounds", "open_sounds"]


@dataclass(frozen=True)
class ExternalSounds:
    """Audio files whose headers have been read.

    Args:
        path: as given by the user.
        files: sorted by name.
        remarks: notes for the user.
    """

    path: Path
    files: tuple[Sound, ...]
    remarks: tuple[str, ...] = ()

    def split(
        self, form: Form, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> tuple[Split, list[str]]:
        """Return the clips, converted to the form of the reference, and notes for the user on the conversion.

        Raises:
            InputError: a file cannot be read, or they do not fit into memory.
        """
        shape = (len(self.files), form.channels, form.length)
        if (fault := shortage(2 * int(np.prod(shape)))) is not None:
            raise InputError(f"{self.path}: its clips {fault}")
        target = np.zeros(shape, np.int16)
        clipped = sounds.fill(self.files, form, target, lambda done: progress(done, len(self.files)))
        said = [*sounds.remarks(self.files, form), *([clipped] if clipped else [])]
        told = [*self.remarks, *(f"{self.path}: {each}" for each in said)]
        return Split(torch.from_numpy(target), None, Audio(form.rate)), told


def holds_sounds(path: Path) -> bool:
    """Return whether a path is a folder that, judging by file names, contains more sounds than images.

    An album has a picture of its cover, which is passed over; so is a recording among images.

    Raises:
        InputError: a folder cannot be read.
    """
    if not os.path.isdir(path):
        return False
    names = find_files(path, lambda name: is_sound_name(name) or is_image_name(name)).names
    return 2 * sum(map(is_sound_name, names)) > len(names)


def open_sounds(path: Path) -> ExternalSounds:
    """Read the headers of all sounds in a folder and its sub-folders.

    Raises:
        InputError: one line that names the path: no sounds, or an unreadable one.
    """
    found = find_files(path, is_sound_name)
    if not found.names:
        raise InputError(f"{path}: holds no sounds")
    passed = found.remark()
    remarks = () if passed is None else (f"{path}: passed over: {passed}",)
    return ExternalSounds(path, tuple(sounds.headers(path, found.names)), remarks)


def as_reference(given: ExternalSounds) -> tuple[Dataset, list[str]]:
    """Return clips as a reference dataset, and remarks: all in the training split, none held out, no labels.

    Raises:
        InputError: they differ in rate or length.
    """
    try:
        form = sounds.common_form(given.files, None, None, None)
    except InputError as error:
        reason = str(error).partition("; ")[0]  # without the options that a dataset has
        raise InputError(f"{given.path}: {reason}; a reference must be of one form: convert it first") from error
    train, told = given.split(form)
    none = Split(train.items[:0], None, train.kind)
    return Dataset("reference clips", train, none, None, "that of your files", fingerprint(train, none)), told
