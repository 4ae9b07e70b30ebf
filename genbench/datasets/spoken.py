"""Spoken digits that are downloaded once: `spoken-digits` (FSDD) and `sc09` (the digits of Speech Commands)."""

from __future__ import annotations

import os
import shutil
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from genbench.datasets.audio import load_files, options_of
from genbench.datasets.dataset import Dataset
from genbench.datasets.downloading import Archive, DownloadError, fetch
from genbench.datasets.listing import Listing
from genbench.datasets.locking import locked
from genbench.datasets.source import Request
from genbench.errors import InputError

__all__ = ["DIGITS", "load"]

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SECONDS = "1"  # of a clip, by default
_HELD_OUT_TAKES = 5  # the first of FSDD's fifty takes per digit and speaker, as its authors split it
_LISTS = ("validation_list.txt", "testing_list.txt")


@dataclass(frozen=True)
class _Row:
    """One collection.

    Args:
        archive: its .tar.gz.
        place: maps a member's path parts to where it is unpacked, relative to the dataset's folder; None skips it.
        split: maps the folder with the unpacked files to (training, held-out) lists of (file, digit).
    """

    archive: Archive
    place: Callable[[tuple[str, ...]], str | None]
    split: Callable[[Path], tuple[list[tuple[str, int]], list[tuple[str, int]]]]


def load(request: Request) -> Dataset:
    """Load spoken digits at their own rate, by default a second of each; labels are the digits.

    `spoken-digits` is Z. Jackson et al., Free Spoken Digit Dataset, release 1.0.9: five speakers at 8 kHz; of each
    speaker's fifty takes of a digit the first five are held out, as its authors specify. `sc09` is the ten digits of
    P. Warden, "Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition", 2018,
    https://arxiv.org/abs/1804.03209, release 0.01 at 16 kHz, as in C. Donahue, J. McAuley, M. Puckette, "Adversarial
    Audio Synthesis", 2019, https://arxiv.org/abs/1802.04208: its official test list is held out, and its validation
    list is unused.
    """
    if request.image_size is not None:
        raise request.fault(f"--image-size {request.image_size} has no effect on clips; leave it out")
    row = _ROWS[request.source.name]
    options_of(request)  # refused before anything is downloaded
    folder = _unpacked(request, row)
    try:
        train, held_out = row.split(folder)
    except (OSError, ValueError) as error:
        raise request.fault(f"{folder} is incomplete ({error}); delete it and run again") from error
    if not train or not held_out:
        raise request.fault(f"{folder} is incomplete: recordings are missing; delete it and run again")
    classes = tuple(f"{digit} {DIGITS[digit]}" for _, digit in (*train, *held_out))
    listing = Listing(folder, tuple(name for name, _ in (*train, *held_out)), len(train), classes, True)
    asked = (
        request if "window" in request.options else replace(request, options={"seconds": SECONDS, **request.options})
    )
    return load_files(asked, listing)


def _unpacked(request: Request, row: _Row) -> Path:
    """Return the folder with the recordings, downloading and unpacking them if they are missing."""
    home = request.data_root / request.source.name
    folder = home / "recordings"
    if folder.is_dir():
        return folder
    try:
        with locked(home, private=False):
            if folder.is_dir():
                return folder
            fetch(row.archive, request.data_root, download=request.download, progress=request.progress)
            _unpack(request.data_root / row.archive.path, folder, row.place)
    except DownloadError as error:
        raise request.fault(
            f"{folder} is missing, and its archive could not be fetched ({error}); put {Path(row.archive.path).name} "
            f"in {home}, or name the folder that holds {home.name}/ with --data-root or $GENBENCH_DATA"
        ) from error
    except InputError as error:
        raise request.fault(str(error)) from error
    return folder


def _unpack(path: Path, folder: Path, place: Callable[[tuple[str, ...]], str | None]) -> None:
    """Unpack the wanted members, all or none."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                wanted = place(PurePosixPath(member.name).parts) if member.isfile() else None
                content = archive.extractfile(member) if wanted else None
                if content is None or wanted is None:
                    continue
                target = partial / wanted
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    shutil.copyfileobj(content, file)
        os.replace(partial, folder)
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise InputError(f"{path}: cannot be unpacked: {error}; if it is damaged, delete it and run again") from error


def _place_fsdd(parts: tuple[str, ...]) -> str | None:
    """Return `4_jackson_7.wav` for `free-spoken-digit-dataset-1.0.9/recordings/4_jackson_7.wav`."""
    return parts[2] if len(parts) == 3 and parts[1] == "recordings" and parts[2].endswith(".wav") else None


def _split_fsdd(folder: Path) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    train, held_out = list[tuple[str, int]](), list[tuple[str, int]]()
    for name in sorted(os.listdir(folder)):
        digit, _, rest = name.removesuffix(".wav").partition("_")
        take = int(rest.rpartition("_")[2])
        (held_out if take < _HELD_OUT_TAKES else train).append((name, int(digit)))
    return train, held_out


def _place_sc09(parts: tuple[str, ...]) -> str | None:
    """Return `zero/a_nohash_0.wav` for `./zero/a_nohash_0.wav`, and likewise for the lists."""
    kept = tuple(part for part in parts if part != ".")
    wanted = (len(kept) == 2 and kept[0] in DIGITS and kept[1].endswith(".wav")) or kept in {(name,) for name in _LISTS}
    return "/".join(kept) if wanted else None


def _split_sc09(folder: Path) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    unused, testing = (set((folder / name).read_text(encoding="ascii").split()) for name in _LISTS)
    train, held_out = list[tuple[str, int]](), list[tuple[str, int]]()
    for digit, word in enumerate(DIGITS):
        for name in sorted(os.listdir(folder / word)):
            path = f"{word}/{name}"
            if path not in unused:
                (held_out if path in testing else train).append((path, digit))
    return train, held_out


_ROWS = {
    # The checksum pinned by TensorFlow Datasets.
    "spoken-digits": _Row(
        Archive(
            "spoken-digits/free-spoken-digit-dataset-1.0.9.tar.gz",
            ("https://github.com/Jakobovski/free-spoken-digit-dataset/archive/v1.0.9.tar.gz",),
            "8bc44cde129d505cbbb6b365c09f80c663f2aa77578afc634e6141a2f87100c0",
        ),
        _place_fsdd,
        _split_fsdd,
    ),
    # The checksum pinned by torchaudio.
    "sc09": _Row(
        Archive(
            "sc09/speech_commands_v0.01.tar.gz",
            (
                "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.01.tar.gz",
                "http://download.tensorflow.org/data/speech_commands_v0.01.tar.gz",
            ),
            "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
        ),
        _place_sc09,
        _split_sc09,
    ),
}
