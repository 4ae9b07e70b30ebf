"""Any .npz file of images."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
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
from genbench.datasets.held_out import compared, own_path
from genbench.datasets.mapping import release
from genbench.datasets.npy_file import arrays_in
from genbench.datasets.order import balanced_order
from genbench.datasets.source import Request
from genbench.datasets.storage import Plan, file_stamps, keep
from genbench.errors import InputError
from genbench.kinds.image import KIND as IMAGES
from genbench.seeding import generator

__all__ = ["load"]

LABELS, HELD_OUT, HELD_OUT_LABELS = "labels", "held_out_images", "held_out_labels"


@dataclass(frozen=True)
class _Part:
    """The names of the arrays to read: all training data, or all held-out data.

    Args:
        path: of the file.
        images: the name of one array.
        labels: the name of the label array, or None.
    """

    path: Path
    images: str
    labels: str | None

    def __str__(self) -> str:
        return f"{self.path}: {self.images}"


@dataclass(frozen=True)
class _Found:
    """The arrays to read: one part, or two of which the second is held out; and a remark on what is skipped."""

    parts: tuple[_Part, ...]
    passed_over: tuple[str, ...]


def load(request: Request) -> Dataset:
    """Load an .npz file: `images` of uint8, (N, H, W, C), (N, C, H, W) or (N, H, W) with C of 1 or 3.

    The images may also be called `arr_0` or `samples`, or be the only array in the file. Optional `labels` are (N,)
    integers; the classes are their distinct values in ascending order. The held-out set is `held_out_images`, with
    `held_out_labels`, if present, or with `held_out=PATH` the images of another file; otherwise a tenth, or
    `held_out=N`, of the images, in the proportions of the classes, by an order that depends only on their number.
    Images stay in the order of the file; if there are more training images than `REFERENCE_LIMIT`, they are stored in
    such an order instead, because the first ones are the reference. Other arrays are skipped; `remark` names them.
    """
    path, own = Path(os.path.expanduser(request.argument or "")), own_path(request)
    _require_file(request, path, f"for a folder of images write folder:{path}")
    if own is not None:
        _require_file(request, own, "give an .npz")
    found = _file(request, path) if own is None else _two_files(request, path, own)
    key = f"{path.resolve()} {request.image_size}"
    stamps = file_stamps(path.parent, [path.name])
    if own is not None:
        key += f" held_out={own.resolve()}"
        stamps += f"\n{file_stamps(own.parent, [own.name])}"
    elif request.part.held_out is not None and len(found.parts) == 1:
        key += f" held_out={request.part.held_out}"
    dataset = keep(request, key, stamps, lambda: compared(request, _plan(request, found.parts), IMAGES))
    said = [*found.passed_over, *([f"{path}: {dataset.remark}"] if dataset.remark else [])]
    return replace(dataset, remark="; ".join(said)) if said else dataset


def _require_file(request: Request, path: Path, instead_of_folder: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as error:
        raise request.fault(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise request.fault(f"{path}: {fault_of(error)}") from error
    if stat.S_ISDIR(mode):
        raise request.fault(f"{path}: a folder; {instead_of_folder}")
    if not stat.S_ISREG(mode):
        raise request.fault(f"{path}: not a regular file; give an .npz")


def _file(request: Request, path: Path) -> _Found:
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
    parts = [_Part(path, images, LABELS if LABELS in own else None)]
    if HELD_OUT in own:
        parts.append(_Part(path, HELD_OUT, HELD_OUT_LABELS if HELD_OUT_LABELS in own else None))
    rest = [name for name in others if name != images]
    return _Found(tuple(parts), (f"{path}: passed over: {', '.join(rest)}",) if rest else ())


def _two_files(request: Request, path: Path, own: Path) -> _Found:
    """Return the images of one file as the training set and those of the other as the held-out set."""
    found = [_file(request, each) for each in (path, own)]
    for each in found:
        if len(each.parts) == 2:
            raise request.fault(
                f"{each.parts[0].path}: holds {HELD_OUT} of its own; leave them out of the file, or held_out= away"
            )
    (train,), (held_out,) = (each.parts for each in found)
    if (train.labels is None) != (held_out.labels is None):
        there, lacking = (path, own) if train.labels else (own, path)
        raise request.fault(f"{there} holds {LABELS}, and {lacking} none; save both, or leave them out")
    return _Found((train, held_out), tuple(each for file in found for each in file.passed_over))


def _plan(request: Request, parts: Sequence[_Part]) -> Plan:
    with _told(request):
        arrays = [open_array(part.path, part.images) for part in parts]
    _, height, width, channels = arrays[0].shape
    side = request.image_size
    for array in arrays[1:]:
        if array.shape[3] != channels or (side is None and array.shape[1:3] != (height, width)):
            raise request.fault(
                f"{parts[0]} are {width}x{height}x{channels} and {_beside(parts)} "
                f"{array.shape[2]}x{array.shape[1]}x{array.shape[3]}; save images of one size and number of channels"
            )
    counts = [array.shape[0] for array in arrays]
    class_names, labels = _classes(request, parts, counts)
    train, held_out = (rows.numpy() for rows in _split(request, parts, counts, labels))
    if labels is not None and len(strange := np.setdiff1d(labels[held_out], labels[train])):
        name = (class_names or ())[int(strange[0])]
        raise request.fault(
            f"{parts[-1].path}: class {name} has held-out images but none to train on; move some of them"
        )
    order = np.concatenate([train, held_out])
    return Plan(
        shape=(len(order), channels, side or height, side or width),
        train_count=len(train),
        labels=None if labels is None else labels[order],
        class_names=class_names,
        fill=partial(_fill, request, arrays, np.argsort(order)),
    )


def _beside(parts: Sequence[_Part]) -> str:
    """Return a phrase for the held-out images, for use after the training images have been named."""
    return parts[1].images if parts[1].path == parts[0].path else f"those of {parts[1]}"


def _classes(
    request: Request, parts: Sequence[_Part], counts: list[int]
) -> tuple[tuple[str, ...] | None, npt.NDArray[np.int64] | None]:
    """Return the class names and the class index of each image."""
    named = [(part.path, part.labels) for part in parts if part.labels]
    if not named:
        return None, None
    with _told(request):
        marks = [read_labels(*each, count) for each, count in zip(named, counts, strict=True)]
    values, labels = np.unique(np.concatenate(marks), return_inverse=True)
    if len(values) < 2:
        raise request.fault(f"{parts[0].path}: its {LABELS} are of one class, {values[0]}; leave them out")
    return tuple(str(value) for value in values.tolist()), labels.astype(np.int64)


def _split(
    request: Request, parts: Sequence[_Part], counts: list[int], labels: npt.NDArray[np.int64] | None
) -> tuple[Tensor, Tensor]:
    """Return the indices in the file of the training and held-out images, in storage order."""
    known = None if labels is None else torch.from_numpy(labels)
    if len(counts) == 2:
        train, held_out = torch.arange(sum(counts)).split(counts)
    elif counts[0] < 2:
        raise request.fault(f"{parts[0].path}: holds 1 image; at least one to train on and one to hold out are needed")
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
    """Write each image of both arrays, one array after the other, to its place."""
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
    """Add the name of the dataset to an error about a file."""
    try:
        yield
    except InputError as error:
        raise request.fault(str(error)) from error
