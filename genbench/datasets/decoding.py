"""Decodes image files that PIL reads to 8-bit grey or RGB: upright, without transparency, resized on request."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import os
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from genbench.datasets.source import Progress

__all__ = [
    "DROPPED",
    "ON_WHITE",
    "SUFFIXES",
    "Header",
    "Member",
    "Place",
    "fault_of",
    "fit_square",
    "in_parallel",
    "read_header",
    "read_pixels",
    "resize_all",
]

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".pgm", ".ppm", ".pbm", ".pnm"}
)
ON_WHITE, DROPPED = "on white", "dropped"  # how transparency is handled
LARGEST_MEMBER = 1 << 28  # bytes that an archived image may claim: far above real images, far below decompression bombs
_GREY_MODES = frozenset({"1", "L", "LA", "La"})
_TRANSPARENT_MODES = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_DEEP_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
_ORIENTATION_TAG, _SIDEWAYS = 0x0112, frozenset({5, 6, 7, 8})
_Item = TypeVar("_Item")
_CHUNK = 64  # images per task: enough to outweigh a task's overhead, few enough for a smooth progress bar


@dataclass(frozen=True, order=True)
class Member:
    """An image within a zip archive."""

    archive: Path
    name: str

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"


Place = Path | Member


@dataclass(frozen=True)
class Header:
    """An undecoded image: its upright size and whether it is grey."""

    width: int
    height: int
    grey: bool


def read_header(place: Place) -> Header:
    """Read the size and mode of an image file without reading its pixels."""
    with _opened(place) as image:
        if image.mode in _DEEP_MODES:
            raise ValueError(f"its pixels are of more than 8 bits (mode {image.mode}); convert it to 8 bits")
        # Only what stands before the pixels: asking PIL for the EXIF block of a PNG would decode it.
        sideways = "exif" in image.info and image.getexif().get(_ORIENTATION_TAG) in _SIDEWAYS
        width, height = reversed(image.size) if sideways else image.size
        return Header(width, height, image.mode in _GREY_MODES)


def read_pixels(
    place: Place, grey: bool, prepare: Callable[[Image.Image], Image.Image], alpha: str = ON_WHITE
) -> tuple[npt.NDArray[np.uint8], bool]:
    """Decode the first frame of an image file; return uint8 (C, H, W) with C 1 or 3, and whether it is transparent.

    The image is rotated upright according to its EXIF orientation and composited on white if it is transparent (with
    `alpha` of `DROPPED`, only its alpha channel is dropped); `prepare` then crops and resizes it.
    """
    with _opened(place) as image:
        upright = ImageOps.exif_transpose(image)
        transparent = False
        if upright.mode in _TRANSPARENT_MODES or "transparency" in upright.info:
            upright = upright.convert("RGBA")
            transparent = upright.getchannel("A").getextrema() != (255, 255)  # many tools write an opaque alpha
        if transparent and alpha == ON_WHITE:
            upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
        pixels = np.asarray(prepare(upright.convert("L" if grey else "RGB")))
    return pixels[None] if grey else pixels.transpose(2, 0, 1), transparent


def fault_of(error: Exception) -> str:
    """Return a short reason why an image cannot be read."""
    if "cannot identify" in str(error):
        return "it is not an image that PIL knows"
    if isinstance(error, FileNotFoundError):
        return "it is a link to nothing"
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return "it is a symbolic link that leads back to itself"
    return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def _opened(place: Place) -> Iterator[Image.Image]:
    if isinstance(place, Member):
        with Image.open(io.BytesIO(_content(place))) as image:
            yield image
        return
    if not stat.S_ISREG(os.stat(place).st_mode):  # opening a pipe would block until something writes to it
        raise ValueError("it is not a regular file")
    with Image.open(place) as image:
        yield image


def _content(place: Member) -> bytes:
    archive = _archive(place.archive, os.stat(place.archive).st_mtime_ns)
    info = archive.getinfo(place.name)
    if info.flag_bits & 1:
        raise ValueError("it is encrypted")
    if info.file_size <= LARGEST_MEMBER:
        with archive.open(info) as file:
            content = file.read(LARGEST_MEMBER + 1)
        if len(content) <= LARGEST_MEMBER:
            return content
    raise ValueError(f"it claims {info.file_size:,} bytes, and no image of more than {LARGEST_MEMBER:,} is unpacked")


@functools.lru_cache(maxsize=2)  # once per process: reading the member list of a large archive takes a second
def _archive(path: Path, modified: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def fit_square(image: Image.Image, size: int) -> Image.Image:
    """Resize the shorter side to `size` and crop the centre to a square.

    Bicubic with antialiasing, in PIL's integer arithmetic, with the same bytes on every machine. Aliased resizing
    shifts Fréchet distances (G. Parmar, R. Zhang, J.-Y. Zhu, 2022, On Aliased Resizing and Surprising Subtleties in GAN
    Evaluation, https://arxiv.org/abs/2104.11222).
    """
    if image.size == (size, size):
        return image
    return ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)


def resize_all(images: npt.NDArray[np.uint8], target: npt.NDArray[np.uint8], progress: Progress | None) -> None:
    """Put (N, C, H, W) images of 1 or 3 channels into the (N, C, S, S) `target`, each by `fit_square`."""
    if images.shape == target.shape:
        target[...] = images
        return
    size, grey = target.shape[-1], target.shape[1] == 1

    def work(index: int) -> None:
        source = Image.fromarray(images[index, 0] if grey else np.ascontiguousarray(images[index].transpose(1, 2, 0)))
        pixels = np.asarray(fit_square(source, size))
        target[index] = pixels if grey else pixels.transpose(2, 0, 1)

    in_parallel(range(len(images)), work, progress)


def in_parallel(items: Sequence[_Item], work: Callable[[_Item], None], progress: Progress | None) -> None:
    """Run `work` on every item in a thread pool (PIL decodes and resizes without holding the interpreter lock).

    Raises the error of the first failing item, in order; items not started by then are dropped.
    """
    starts = range(0, len(items), _CHUNK)

    def chunk(start: int) -> int:
        part = items[start : start + _CHUNK]
        for item in part:
            work(item)
        return len(part)

    done = 0
    with ThreadPoolExecutor(max_workers=min(32, os.cpu_count() or 1)) as pool:
        for count in pool.map(chunk, starts):
            done += count
            if progress is not None:
                progress(done, len(items))
