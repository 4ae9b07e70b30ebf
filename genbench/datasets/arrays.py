"""Images in an .npy or .npz file: the header is checked first, then rows are read in chunks; nothing is unpickled."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genbench.datasets.npy_file import Header, arrays_in, open_npy, read_exactly, read_header
from genbench.errors import InputError, quoted

__all__ = ["ArrayFile", "choose", "open_array", "read_labels"]

PREFERRED = ("arr_0", "images", "samples")  # the array of an .npz that holds several
_CHUNK_BYTES = 8 << 20
_STATISTICS = {"mu", "sigma"}


@dataclass(frozen=True)
class ArrayFile:
    """An array of images whose header has been checked.

    Args:
        path: of the file.
        member: of an .npz, the name of the array's file in it.
        shape: (N, H, W, C), whatever the layout in the file.
        fortran: whether the first index runs fastest.
        channels_first: whether the layout is (N, C, H, W).
        remark: a note on other contents that a user might take for the array that is read, or None.
    """

    path: Path
    member: str | None
    shape: tuple[int, int, int, int]
    fortran: bool
    channels_first: bool = False
    remark: str | None = None

    def chunks(self) -> Iterator[npt.NDArray[np.uint8]]:
        """Read the images, (n, C, H, W) uint8 at a time.

        Raises:
            InputError: the file is damaged.
        """
        count, height, width, channels = self.shape
        image = (channels, height, width) if self.channels_first else (height, width, channels)
        with open_npy(self.path, self.member) as (file, _):
            if self.fortran:  # no row is contiguous, so it is read whole; according to its header it fits
                flat = read_exactly(file, math.prod(self.shape))
                yield self._delivered(flat.reshape((count, *image), order="F"))
                return
            row = math.prod(image)
            step = max(1, _CHUNK_BYTES // row)
            for start in range(0, count, step):
                rows = min(step, count - start)
                yield self._delivered(read_exactly(file, rows * row).reshape(rows, *image))

    def _delivered(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return np.ascontiguousarray(pixels if self.channels_first else pixels.transpose(0, 3, 1, 2))


def open_array(path: Path, name: str | None = None) -> ArrayFile:
    """Read the header of uint8 images in an .npy or .npz, without allocating what it claims.

    Images are (N, H, W, C), (N, C, H, W) or (N, H, W), with C of 1 or 3.

    Args:
        path: of the file.
        name: of the array in an .npz; None for an .npy, or to let `choose` pick the array of an .npz.

    Raises:
        InputError: it is damaged, encrypted, of the wrong type or shape, or claims more than this machine's memory.
    """
    member, remark, where = None, None, f"{path}"
    if name is not None:
        member, where = arrays_in(path)[name], f"{path}: {name}"
    elif path.suffix.lower() == ".npz":
        names = arrays_in(path)
        chosen = choose(path, names)
        member, remark = names[chosen], _beside(chosen) if names.keys() >= _STATISTICS else None
    header = read_header(path, member)
    shape, channels_first = _checked(where, header)
    return ArrayFile(path, member, shape, header.fortran, channels_first, remark)


def choose(path: Path, names: Iterable[str]) -> str:
    """Return which of the arrays in an .npz holds the images.

    Raises:
        InputError: none does, or it is ambiguous.
    """
    given = list(names)
    if set(given) <= _STATISTICS | {"mu_clean", "sigma_clean"}:
        raise InputError(
            f"{path}: holds only {' and '.join(given)}, the statistics of another tool's features; genbench extracts "
            "features itself: give the images, or compare images with these by genbench evaluate --reference"
        )
    chosen = next((name for name in PREFERRED if name in given), None) or (given[0] if len(given) == 1 else None)
    if chosen is None:
        raise InputError(f"{path}: holds {', '.join(given)}; name the images arr_0, images or samples")
    return chosen


def read_labels(path: Path, name: str, count: int) -> npt.NDArray[np.int64]:
    """Read an array of an .npz that holds one integer per image, for `count` images.

    Raises:
        InputError: it is damaged, encrypted, or of the wrong type or length.
    """
    member, where = arrays_in(path)[name], f"{path}: {name}"
    header = read_header(path, member)
    if header.dtype.kind not in "iuO":
        raise InputError(f"{where}: holds {header.dtype}, expected whole numbers, one for each image")
    if header.shape != (count,):
        raise InputError(f"{where}: of shape {quoted(header.shape)}, expected ({count},): one label for each image")
    header.check(where, "whole numbers (N,)", "labels")
    with open_npy(path, member) as (file, _):
        values = read_exactly(file, count * header.dtype.itemsize).view(header.dtype)
    if values.size and int(values.max()) > np.iinfo(np.int64).max:
        raise InputError(f"{where}: holds {values.max()}, more than a label can be; number the classes from 0")
    return values.astype(np.int64)


def _beside(chosen: str) -> str:
    return f"its images ({chosen}) are used, not its mu and sigma"


def _checked(where: str, header: Header) -> tuple[tuple[int, int, int, int], bool]:
    """Return (N, H, W, C) and whether the channels come first; raise `InputError` for an unsuitable array."""
    shape = header.shape
    if header.dtype != np.uint8 and not header.dtype.hasobject:
        raise InputError(f"{where}: holds {header.dtype}, expected uint8 in 0..255; round and clip before saving")
    images = (*shape, 1) if len(shape) == 3 else shape
    if not header.dtype.hasobject and len(images) == 4 and not images[0]:
        raise InputError(f"{where}: holds no images: it is of shape {quoted(shape)}")
    header.check(where, "uint8 (N, H, W, C)", "pixels")
    first = len(shape) == 4 and shape[1] in (1, 3)
    last = len(images) == 4 and images[3] in (1, 3)
    if not (first or last) or 0 in images:
        hint = ""
        if len(images) == 4 and images[3] == 4:
            hint = "; lay transparent images on a background, or drop their alpha"
        elif len(shape) == 4 and {shape[0], shape[2]} & {1, 3}:  # (C, N, H, W), or (N, H, C, W) and (H, W, C, N)
            hint = "; transpose it"
        raise InputError(
            f"{where}: of shape {quoted(shape)}, expected (N, H, W, C) or (N, C, H, W) with C of 1 or 3{hint}"
        )
    if first and last:
        raise InputError(
            f"{where}: of shape {quoted(shape)}, so its channels may be the second or the last axis; save grey "
            "images as (N, H, W), or give a folder of image files"
        )
    if first:
        return (images[0], images[2], images[3], images[1]), True
    return (images[0], images[1], images[2], images[3]), False
