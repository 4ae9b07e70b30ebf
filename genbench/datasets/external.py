"""Images produced by another program: a folder or .zip of image files, or an array in an .npy or .npz file."""

from __future__ import annotations

import itertools
import os
import stat
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from genbench.datasets.arrays import ArrayFile, open_array
from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.datasets.decoding import DROPPED, ON_WHITE, Header, Member, Place, fault_of, in_parallel, read_header
from genbench.datasets.finding import find_images, is_image_name, kinds_text
from genbench.datasets.mapping import PixelStore, release
from genbench.datasets.npy_file import DAMAGE
from genbench.datasets.source import Progress
from genbench.datasets.stream import Decoding, decoded
from genbench.errors import InputError
from genbench.kinds.image import KIND as IMAGES
from genbench.kinds.kind import Kind

__all__ = ["External", "as_reference", "open_images"]

MOST_NAMED = 5  # of the skipped files
_OTHERS = "texts are a .txt with one a line, and clips a folder of WAV, FLAC or OGG files"


@dataclass
class External:
    """Images whose headers have been read; `read` loads the pixels.

    Args:
        path: as given by the user.
        shape: (C, H, W) of each image, as stored in the file.
        count: the number of images; `read` may find some that cannot be decoded.
        transparent: whether any of them is transparent, once they have been read.
        skipped: the unreadable files that were skipped, with the reason for each.
        remarks: further notes for the user.
    """

    path: Path
    shape: tuple[int, int, int]
    count: int
    transparent: bool = False
    skipped: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    _array: ArrayFile | None = None
    _files: Sequence[Place] = ()
    _resize: bool = False
    _skip_corrupt: bool = False

    @property
    def kind(self) -> Kind:
        """The kind of the items."""
        return IMAGES

    @property
    def is_array(self) -> bool:
        """Whether the images are in an .npy or .npz file."""
        return self._array is not None

    def all_remarks(self, alpha: str) -> list[str]:
        """Return all notes for the user; call it after the images have been read."""
        named = "; ".join(self.skipped[:MOST_NAMED])
        transparency = {ON_WHITE: "laid on white", DROPPED: "their alpha dropped, as the profile's tool does"}[alpha]
        return [
            *self.remarks,
            *([f"{len(self.skipped)} passed over: {named}"] if self.skipped else []),
            *([f"some are transparent: {transparency}"] if self.transparent else []),
        ]

    def as_rgb(self) -> External:
        """Return the same images with their single channel repeated for red, green and blue."""
        return replace(self, shape=(3, *self.shape[1:]))

    def read(self, store: PixelStore, alpha: str = ON_WHITE, progress: Progress | None = None) -> Iterator[int]:
        """Append the images to `store`, in order, yielding the number it holds until it holds all.

        Args:
            store: with room for `count` images of `shape`.
            alpha: how transparency is handled: `ON_WHITE` or `DROPPED`.
            progress: called with (done, total).

        Raises:
            InputError: one line that names the path and, if a single image is at fault, the image.
        """
        done = 0
        if self._array is not None:
            for pixels in self._array.chunks():
                # Broadcasts one channel to three if three are wanted.
                store.append(np.broadcast_to(pixels, (len(pixels), *self.shape)))
                yield from _tell(progress, store.count, self.count, store.count)
            return
        for chunk in decoded(self._files, Decoding(self.shape, self._resize, alpha)):
            for index, fault in chunk.faults:
                _note(self.skipped, self._files[index], fault, self._skip_corrupt)
            self.transparent |= chunk.transparent
            store.append(chunk.pixels)
            done += chunk.count
            yield from _tell(progress, done, self.count, store.count)
        if not store.count:
            raise InputError(f"{self.path}: none of its {self.count} images can be decoded")


def open_images(
    path: Path, *, image_size: int | None = None, skip_corrupt: bool = False, reference: bool = False
) -> External:
    """Find images and read their headers in a folder or .zip of image files, or in an .npy or .npz file.

    Args:
        path: of the folder or the file. An array is (N, H, W, C) or (N, H, W) uint8 and is used unchanged.
        image_size: the side that image files are resized and cropped to; None if all have the same size.
        skip_corrupt: skip and count image files that cannot be decoded.
        reference: whether others are compared with them.

    Raises:
        InputError: one line that names the path and, if a single image is at fault, the image.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such folder or file") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {fault_of(error)}") from error
    if stat.S_ISDIR(mode):
        found = find_images(path)
        remark = found.remark()
        if not found.names:
            beside = f" ({remark})" if remark else ""
            raise InputError(f"{path}: no images in it or below{beside}; genbench reads {kinds_text()}; {_OTHERS}")
        files: Sequence[Place] = [path / name for name in found.names]
        return _of_files(path, files, [f"passed over: {remark}"] if remark else [], image_size, skip_corrupt)
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: not a regular file; give a folder, a .zip, an .npy or an .npz")
    if path.suffix.lower() == ".zip":
        files, remarks = _members(path)
        return _of_files(path, files, remarks, image_size, skip_corrupt)
    if path.suffix.lower() not in (".npy", ".npz"):
        raise InputError(f"{path}: neither a folder or .zip of images nor an .npy or .npz file; {_OTHERS}")
    array = open_array(path)
    count, height, width, channels = array.shape
    why = ": those are of all training images, so published distances to them differ" if reference else ""
    remarks = [] if array.remark is None else [array.remark + why]
    return External(path, (channels, height, width), count, remarks=remarks, _array=array)


def as_reference(images: Tensor, known: bool = True) -> Dataset:
    """Return images as a reference dataset: all of them in the training split, none held out, no labels.

    Its name does not depend on the path: a recipe identifies it by its fingerprint, and a path in the name would give
    the same images two recipes.

    Args:
        images: (N, C, H, W) uint8.
        known: whether the pixels have been read; without them, no fingerprint is computed.
    """
    train, held_out = Split(images, None), Split(images[:0], None)
    mark = fingerprint(train, held_out, after_chunk=lambda: release(images)) if known else ""
    return Dataset("reference images", train, held_out, None, "that of your files", mark)


def _tell(progress: Progress | None, done: int, total: int, stored: int) -> Iterator[int]:
    if progress is not None:
        progress(done, total)
    yield stored


def _members(path: Path) -> tuple[list[Place], list[str]]:
    """Return the images in a .zip, sorted by name, and a remark on the other members."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
    except DAMAGE as error:
        raise InputError(f"{path}: damaged or no .zip file: {' '.join(str(error).split())}") from error
    names = sorted(info.filename for info in infos if is_image_name(info.filename))
    if not names:
        raise InputError(f"{path}: no images in it; genbench reads {kinds_text()}; {_OTHERS}")
    if (repeated := next((name for name, after in itertools.pairwise(names) if name == after), None)) is not None:
        # Only the last can be read by its name, and would count as often.
        raise InputError(f"{path}: holds several images named {repeated}; unpack it, or rename them in it")
    rest = len(infos) - len(names)
    remark = f"passed over: {rest} member{'s' * (rest > 1)} of other kinds or hidden"
    return [Member(path, name) for name in names], [remark] if rest else []


def _of_files(path: Path, files: Sequence[Place], remarks: list[str], size: int | None, skip_corrupt: bool) -> External:
    headers: dict[Place, Header] = {}
    faults: dict[Place, str] = {}

    def look(place: Place) -> None:
        try:
            headers[place] = read_header(place)
        except Exception as error:  # PIL passes on whatever each format's reader raises
            faults[place] = fault_of(error)

    in_parallel(files, look, None)
    skipped: list[str] = []
    for place in files:
        if place in faults:
            _note(skipped, place, faults[place], skip_corrupt)
    good = [place for place in files if place in headers]
    if not good:
        raise InputError(f"{path}: none of its {len(files)} images can be read")
    if size is None:
        _require_one_size(path, good, headers)
    height, width = (size, size) if size else (headers[good[0]].height, headers[good[0]].width)
    return External(
        path=path,
        shape=(1 if all(header.grey for header in headers.values()) else 3, height, width),
        count=len(good),
        skipped=skipped,
        remarks=remarks,
        _files=good,
        _resize=size is not None,
        _skip_corrupt=skip_corrupt,
    )


def _note(skipped: list[str], place: Place, fault: str, skip_corrupt: bool) -> None:
    if not skip_corrupt:
        raise InputError(f"{place}: cannot be decoded: {fault}; remove it, or continue with --skip-corrupt")
    skipped.append(f"{place}: {fault}")


def _require_one_size(root: Path, places: list[Place], headers: dict[Place, Header]) -> None:
    first = headers[places[0]]
    for place in places:
        header = headers[place]
        if (header.width, header.height) != (first.width, first.height):
            raise InputError(
                f"{root}: images differ in size: {_short(places[0])} is {first.width}x{first.height}, "
                f"{_short(place)} is {header.width}x{header.height}; with --image-size N each is resized and cropped "
                "to N x N"
            )


def _short(place: Place) -> str:
    return Path(place.name).name
