"""Images that another program made: a folder of image files, or an array in a .npy or .npz file."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from genbench.datasets.dataset import Dataset, Split, fingerprint
from genbench.datasets.decoding import SUFFIXES, Header, fit_square, in_parallel, read_header, read_pixels
from genbench.datasets.source import Progress
from genbench.errors import InputError

__all__ = ["External", "as_reference", "read_images"]

PREFERRED = ("arr_0", "images", "samples")  # the array of an .npz that holds several


@dataclass(frozen=True)
class External:
    """What was read: images (N, C, H, W) uint8, and the files that were passed over, with the reason for each."""

    images: Tensor
    skipped: tuple[str, ...] = ()


def read_images(
    path: Path, *, image_size: int | None = None, skip_corrupt: bool = False, progress: Progress | None = None
) -> External:
    """Read a folder of images, or an .npy or .npz of (N, H, W, C) or (N, H, W) uint8; never unpickle anything.

    Args:
        path: of the folder or the file.
        image_size: for a folder: the side that images are resized and cropped to; None where all are of one size.
        skip_corrupt: pass over image files that cannot be decoded, and count them.
        progress: called with (done, total) while image files are decoded.

    Raises:
        InputError: one line that names the path, and the image where one is at fault.
    """
    if path.is_dir():
        return _read_folder(path, image_size, skip_corrupt, progress)
    if not path.exists():
        raise InputError(f"{path}: no such folder or file")
    if path.suffix not in (".npy", ".npz"):
        raise InputError(f"{path}: neither a folder of images nor an .npy or .npz file")
    return External(_checked(path, _read_array(path)))


def as_reference(images: Tensor) -> Dataset:
    """Return images as a dataset to compare with: all of them its training split, none held out, no labels.

    It has one name wherever they lie: a recipe tells them by their fingerprint, and a path would make two of one.
    """
    train, held_out = Split(images, None), Split(images[:0], None)
    known = fingerprint(train, held_out)
    return Dataset("reference images", train, held_out, None, "that of your files", known)


def _read_array(path: Path) -> npt.NDArray[np.generic]:
    try:
        # Opened here: numpy leaves a file open that it opened and found to be damaged.
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if path.suffix == ".npy":
                return np.asarray(loaded)
            named = [name for name in PREFERRED if name in loaded.files] or loaded.files
            if not named:
                raise InputError(f"{path}: holds no array; save one of uint8 (N, H, W, C) in it")
            if len(named) != 1 and named[0] not in PREFERRED:
                raise InputError(f"{path}: holds {', '.join(loaded.files)}; name the images arr_0, images or samples")
            return np.asarray(loaded[named[0]])
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, IndexError) as error:
        if "allow_pickle" in str(error) or "Object arrays" in str(error):
            fault = (
                f"holds Python objects, which genbench never unpickles, or is no {path.suffix} file; "
                "save an array of uint8 (N, H, W, C)"
            )
        else:
            fault = f"is damaged or no {path.suffix} file: {' '.join(str(error).split()) or type(error).__name__}"
        raise InputError(f"{path}: {fault}") from error


def _checked(path: Path, array: npt.NDArray[np.generic]) -> Tensor:
    if array.dtype != np.uint8:
        raise InputError(f"{path}: holds {array.dtype}, expected uint8 in 0..255; round and clip before saving")
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim == 4 and not len(array):
        raise InputError(f"{path}: holds no images: it is of shape {array.shape}")
    if array.ndim != 4 or array.shape[-1] not in (1, 3) or not array.size:
        raise InputError(f"{path}: is of shape {array.shape}, expected (N, H, W, C) with C of 1 or 3")
    return _plain(array.transpose(0, 3, 1, 2))


def _plain(array: npt.NDArray[np.generic]) -> Tensor:
    """Copy an array into a fresh tensor: with one channel numpy's strides can pass for another memory format, for which
    torch takes another kernel, and the features of equal images would differ in the last digits."""
    return torch.empty(array.shape, dtype=torch.uint8).copy_(torch.from_numpy(np.ascontiguousarray(array)))


def _read_folder(root: Path, size: int | None, skip_corrupt: bool, progress: Progress | None) -> External:
    paths = sorted(path for path in root.rglob("[!.]*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise InputError(f"{root}: no images in it or below; genbench reads {', '.join(sorted(SUFFIXES))}")
    headers: dict[Path, Header] = {}
    faults: dict[Path, str] = {}

    def look(path: Path) -> None:
        try:
            headers[path] = read_header(path)
        except Exception as error:  # PIL raises what each format's reader happens to raise
            _note(faults, path, error, skip_corrupt)

    in_parallel(paths, look, None)
    good = [path for path in paths if path in headers]
    if not good:
        raise InputError(f"{root}: none of its {len(paths)} images can be read")
    if size is None:
        _require_one_size(root, good, headers)
    grey = all(header.grey for header in headers.values())
    height, width = (size, size) if size else (headers[good[0]].height, headers[good[0]].width)
    target = np.zeros((len(good), 1 if grey else 3, height, width), np.uint8)

    def decode(index: int) -> None:
        try:
            target[index] = read_pixels(good[index], grey, lambda image: fit_square(image, size) if size else image)
        except Exception as error:
            _note(faults, good[index], error, skip_corrupt)

    in_parallel(range(len(good)), decode, progress)
    whole = [index for index, path in enumerate(good) if path not in faults]
    return External(_plain(target[whole]), tuple(f"{path}: {fault}" for path, fault in faults.items()))


def _note(faults: dict[Path, str], path: Path, error: Exception, skip_corrupt: bool) -> None:
    fault = "it is not an image that PIL knows" if "cannot identify" in str(error) else " ".join(str(error).split())
    if not skip_corrupt:
        raise InputError(f"{path}: cannot be decoded: {fault}; remove it, or go on with --skip-corrupt") from error
    faults[path] = fault


def _require_one_size(root: Path, paths: list[Path], headers: dict[Path, Header]) -> None:
    first = headers[paths[0]]
    for path in paths:
        header = headers[path]
        if (header.width, header.height) != (first.width, first.height):
            raise InputError(
                f"{root}: images differ in size: {paths[0].name} is {first.width}x{first.height}, {path.name} is "
                f"{header.width}x{header.height}; with --image-size N each is resized and cropped to N x N"
            )
