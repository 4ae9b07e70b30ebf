"""Images in an .npy or .npz file: the header is read and judged first, then the rows in chunks; never a pickle."""

from __future__ import annotations

import contextlib
import math
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.lib.format as npy
import numpy.typing as npt
import psutil

from genbench.errors import InputError

__all__ = ["ArrayFile", "open_array"]

PREFERRED = ("arr_0", "images", "samples")  # the array of an .npz that holds several
_CHUNK_BYTES = 8 << 20
_STATISTICS = {"mu", "sigma"}
_DAMAGE = (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, IndexError, KeyError)


@dataclass(frozen=True)
class ArrayFile:
    """An array of images that has been found whole and sound by its header.

    Args:
        path: of the file.
        member: of an .npz, the name of the array's file in it.
        shape: (N, H, W, C).
        fortran: whether the first index runs fastest.
        remark: what else the file holds that a user may take for what is read, or None.
    """

    path: Path
    member: str | None
    shape: tuple[int, int, int, int]
    fortran: bool
    remark: str | None = None

    def chunks(self) -> Iterator[npt.NDArray[np.uint8]]:
        """Read the images, (n, C, H, W) uint8 at a time.

        Raises:
            InputError: the file is damaged.
        """
        with _told(self.path), self.path.open("rb") as file, _member(file, self.path, self.member) as opened:
            _read_header(opened)
            if self.fortran:  # no row of it lies in one place, so it is read whole; it fits, by its header
                flat = _exactly(opened, math.prod(self.shape))
                yield np.ascontiguousarray(flat.reshape(self.shape, order="F").transpose(0, 3, 1, 2))
                return
            row = math.prod(self.shape[1:])
            step = max(1, _CHUNK_BYTES // row)
            for start in range(0, self.shape[0], step):
                count = min(step, self.shape[0] - start)
                pixels = _exactly(opened, count * row).reshape(count, *self.shape[1:])
                yield np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def open_array(path: Path) -> ArrayFile:
    """Read the header of an .npy or .npz of (N, H, W, C) or (N, H, W) uint8; nothing is allocated for what it claims.

    Raises:
        InputError: it is damaged, encrypted, of another type or shape, or claims more than this machine's memory.
    """
    with _told(path), path.open("rb") as file:
        member, remark = None, None
        if path.suffix.lower() == ".npz":
            member, remark = _choose(path, file)
        with _member(file, path, member) as opened:
            shape, fortran, dtype = _read_header(opened)
            before = opened.tell()
        holds = (_info(file, member).file_size if member else path.stat().st_size) - before
    if dtype.hasobject:
        raise InputError(
            f"{path}: holds Python objects, which genbench never unpickles; save an array of uint8 (N, H, W, C)"
        )
    claimed, memory = math.prod(shape) * dtype.itemsize, psutil.virtual_memory().total
    if claimed > memory:
        raise InputError(
            f"{path}: claims {claimed / 1e9:,.1f} GB of pixels, more than this machine's memory of "
            f"{memory / 1e9:,.1f} GB; "
            "give a folder or a .zip of image files, which are read one after the other"
        )
    found = ArrayFile(path, member, _checked(path, shape, dtype), fortran, remark)
    if claimed != holds:
        raise InputError(f"{path}: is damaged: its header claims {claimed:,} bytes of pixels, and it holds {holds:,}")
    return found


def _choose(path: Path, file: IO[bytes]) -> tuple[str, str | None]:
    """Return the member that holds the images, and what to say of the file's other arrays."""
    with zipfile.ZipFile(file) as archive:
        names = {name.removesuffix(".npy"): name for name in archive.namelist()}
    if not names:
        raise InputError(f"{path}: holds no array; save one of uint8 (N, H, W, C) in it")
    if names.keys() <= _STATISTICS | {"sigma", "mu_clean", "sigma_clean"}:
        raise InputError(
            f"{path}: holds only {' and '.join(names)}, the statistics of another tool's features; genbench extracts "
            "features itself: give the images"
        )
    chosen = next((name for name in PREFERRED if name in names), None) or (
        next(iter(names)) if len(names) == 1 else None
    )
    if chosen is None:
        raise InputError(f"{path}: holds {', '.join(names)}; name the images arr_0, images or samples")
    return names[chosen], _beside(chosen) if names.keys() >= _STATISTICS else None


def _beside(chosen: str) -> str:
    return (
        f"its images ({chosen}) are used, not its mu and sigma: those are of all training images and another tool's "
        "features, and published FIDs are measured against them; fid here is against the images of the file alone, so "
        "it differs from those"
    )


def _info(file: IO[bytes], member: str) -> zipfile.ZipInfo:
    with zipfile.ZipFile(file) as archive:
        return archive.getinfo(member)


@contextlib.contextmanager
def _member(file: IO[bytes], path: Path, member: str | None) -> Iterator[IO[bytes]]:
    if member is None:
        yield file
        return
    with zipfile.ZipFile(file) as archive:
        if archive.getinfo(member).flag_bits & 1:
            raise InputError(f"{path}: is encrypted; unpack it first")
        try:
            opened = archive.open(member)
        except NotImplementedError as error:
            raise InputError(f"{path}: is compressed in a way that Python's zipfile does not know ({error})") from error
        with opened:
            yield opened


def _read_header(opened: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    version = npy.read_magic(opened)
    if version == (1, 0):
        return npy.read_array_header_1_0(opened)
    if version == (2, 0):
        return npy.read_array_header_2_0(opened)
    raise ValueError(f"its format is of version {version[0]}.{version[1]}, which holds no plain numbers")


def _checked(path: Path, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> tuple[int, int, int, int]:
    """Return (N, H, W, C), or say what is wrong with a shape or type."""
    if dtype != np.uint8:
        raise InputError(f"{path}: holds {dtype}, expected uint8 in 0..255; round and clip before saving")
    images = (*shape, 1) if len(shape) == 3 else shape
    if len(images) == 4 and not images[0]:
        raise InputError(f"{path}: holds no images: it is of shape {shape}")
    if len(images) == 4 and images[1] in (1, 3) and images[3] not in (1, 3) and 0 not in images:
        raise InputError(
            f"{path}: is of shape {shape}, so its channels come first; save array.transpose(0, 2, 3, 1), "
            "which is (N, H, W, C)"
        )
    if len(images) != 4 or images[3] not in (1, 3) or 0 in images:
        hint = (
            "; lay transparent images on a background, or drop their alpha"
            if len(images) == 4 and images[3] == 4
            else ""
        )
        raise InputError(f"{path}: is of shape {shape}, expected (N, H, W, C) with C of 1 or 3{hint}")
    return images[0], images[1], images[2], images[3]


def _exactly(opened: IO[bytes], size: int) -> npt.NDArray[np.uint8]:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = opened.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise EOFError("it ends before the last pixel")
        view = view[count:]
    return np.frombuffer(data, np.uint8)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what numpy and zipfile raise of a damaged file into one line."""
    try:
        yield
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: is damaged or no {path.suffix} file: {reason}") from error
