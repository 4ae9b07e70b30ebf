"""Any .npz file of images."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from genbench.datasets.arrays import ArrayFile, choose, open_array, read_labels
from genbench.datasets.dataset import REFERENCE_LIMIT, Dataset
from genbench.datasets.decoding import fault_of, resize_all
from genbench.datasets.mapping import release
from genbench.datasets.npy_file import arrays_in
from genbench.datasets.order import balanced_order
from genbench.datasets.source import Request
from genbench.datasets.storage import Plan, file_stamps, keep
from genbench.errors import InputError
from genbench.seeding import generator

__all__ = ["load"]

LABELS, HELD_OUT, HELD_OUT_LABELS = "labels", "held_out_images", "held_out_labels"


@dataclass(frozen=True)
class _File:
    """Which arrays of a file are read, by name."""

    path: Path
    images: str
    labels: str | None
    held_out: str | None
    held_out_labels: str | None
    rest: tuple[str, ...]


def load(request: Request) -> Dataset:
    """Load an .npz file: `images` of uint8, (N, H, W, C), (N, C, H, W) or (N, H, W) with C of 1 or 3.

    The images may also be called `arr_0` or `samples`, or be all that the file holds. `labels`, where they are there,
    are (N,) whole numbers: the classes are their distinct values, in order. What is held out are `held_out_images`,
    with `held_out_labels`, where they are there; otherwise a tenth, or `held_out=N`, of the images, in the proportions
    of the classes, by an order that depends on their number alone. Images stay in the order of the file; but more to
    train on than `REFERENCE_LIMIT` are stored in such an order, since the first of them stand for all.
    Other arrays are passed over; `remark` of the dataset names them.
    """
    path = Path(os.path.expanduser(request.argument or ""))
    _require_file(request, path)
    file = _file(request, path)
    key = f"{path.resolve()} {request.image_size}"
    if request.part.held_out is not None and file.held_out is None:
        key += f" held_out={request.part.held_out}"
    dataset = keep(request, key, file_stamps(path.parent, [path.name]), lambda: _plan(request, file))
    return replace(dataset, remark=f"{path}: passed over: {', '.join(file.rest)}") if file.rest else dataset


def _require_file(request: Request, path: Path) -> None:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as error:
        raise request.fault(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise request.fault(f"{path}: {fault_of(error)}") from error
    if stat.S_ISDIR(mode):
        raise request.fault(f"{path}: is a folder; for a folder of images write folder:{path}")
    if not stat.S_ISREG(mode):
        raise request.fault(f"{path}: is not a regular file; give an .npz")


def _file(request: Request, path: Path) -> _File:
    with _told(request):
        names = arrays_in(path)
    own = [name for name in (LABELS, HELD_OUT, HELD_OUT_LABELS) if name in names]
    others = [name for name in names if name not in own]
    if not others:
        raise request.fault(f"{path}: holds {' and '.join(own)} and no images; save them as images, (N, H, W, C) uint8")
    with _told(request):
        images = choose(path, others)
    if HELD_OUT in own and (LABELS in own) != (HELD_OUT_LABELS in own):
        there, lacking = (LABELS, HELD_OUT_LABELS) if LABELS in own else (HELD_OUT_LABELS, LABELS)
        raise request.fault(f"{path}: holds {there} and no {lacking}; save both, or leave them out")
    if HELD_OUT_LABELS in own and HELD_OUT not in own:
        raise request.fault(f"{path}: holds {HELD_OUT_LABELS} and no {HELD_OUT}; save both, or leave them out")
    labels, held_out, held_out_labels = (name if name in own else None for name in (LABELS, HELD_OUT, HELD_OUT_LABELS))
    rest = tuple(name for name in others if name != images)
    return _File(path, images, labels, held_out, held_out_labels, rest)


def _plan(request: Request, file: _File) -> Plan:
    with _told(request):
        arrays = [open_array(file.path, name) for name in (file.images, file.held_out) if name]
    _, height, width, channels = arrays[0].shape
    for array in arrays[1:]:
        if array.shape[1:] != arrays[0].shape[1:]:
            raise request.fault(
                f"{file.path}: {file.images} are {width}x{height}x{channels} and {file.held_out} "
                f"{array.shape[2]}x{array.shape[1]}x{array.shape[3]}; save images of one size"
            )
    counts = [array.shape[0] for array in arrays]
    class_names, labels = _classes(request, file, counts)
    train, held_out = (rows.numpy() for rows in _split(request, file, counts, labels))
    if labels is not None and len(strange := np.setdiff1d(labels[held_out], labels[train])):
        name = (class_names or ())[int(strange[0])]
        raise request.fault(f"{file.path}: class {name} has held-out images but none to train on; move some of them")
    order = np.concatenate([train, held_out])
    side = request.image_size
    return Plan(
        shape=(len(order), channels, side or height, side or width),
        train_count=len(train),
        labels=None if labels is None else labels[order],
        class_names=class_names,
        fill=partial(_fill, request, arrays, np.argsort(order)),
    )


def _classes(
    request: Request, file: _File, counts: list[int]
) -> tuple[tuple[str, ...] | None, npt.NDArray[np.int64] | None]:
    """Return the classes' names, and the number of each image's class."""
    names = [name for name in (file.labels, file.held_out_labels) if name]
    if not names:
        return None, None
    with _told(request):
        marks = [read_labels(file.path, name, count) for name, count in zip(names, counts, strict=True)]
    values, labels = np.unique(np.concatenate(marks), return_inverse=True)
    if len(values) < 2:
        raise request.fault(f"{file.path}: its {LABELS} are of one class, {values[0]}; leave them out")
    return tuple(str(value) for value in values.tolist()), labels.astype(np.int64)


def _split(
    request: Request, file: _File, counts: list[int], labels: npt.NDArray[np.int64] | None
) -> tuple[Tensor, Tensor]:
    """Return the images to train on and those to hold out, by their places in the file, in the order to store."""
    known = None if labels is None else torch.from_numpy(labels)
    if len(counts) == 2:
        train, held_out = torch.arange(sum(counts)).split(counts)
    elif counts[0] < 2:
        raise request.fault(f"{file.path}: holds 1 image; at least one to train on and one to hold out are needed")
    else:
        order = balanced_order(counts[0], known, generator(0, "npz", "held-out"))
        held_out_count = request.held_out_of(counts[0])
        held_out, train = order[:held_out_count].sort().values, order[held_out_count:].sort().values
    if len(train) > REFERENCE_LIMIT:
        train = train[balanced_order(len(train), None if known is None else known[train], generator(0, "npz", "order"))]
    return train, held_out


def _fill(
    request: Request, arrays: list[ArrayFile], places: npt.NDArray[np.int64], target: npt.NDArray[np.uint8]
) -> None:
    """Put each image of the file, of both arrays one after the other, into its place."""
    written, done = torch.from_numpy(target), 0
    with _told(request):
        for pixels in (chunk for array in arrays for chunk in array.chunks()):
            if pixels.shape[1:] != target.shape[1:]:
                pixels, larger = np.empty((len(pixels), *target.shape[1:]), np.uint8), pixels
                resize_all(larger, pixels, None)
            target[places[done : done + len(pixels)]] = pixels
            release(written)
            done += len(pixels)
            if request.progress is not None:
                request.progress(done, len(places))


@contextlib.contextmanager
def _told(request: Request) -> Iterator[None]:
    """Say of which dataset the fault of a file is."""
    try:
        yield
    except InputError as error:
        raise request.fault(str(error)) from error
