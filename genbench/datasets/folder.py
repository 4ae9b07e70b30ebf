"""Any directory of images."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from genbench.datasets.dataset import Dataset
from genbench.datasets.decoding import ON_WHITE, Header, fault_of, in_parallel, read_header
from genbench.datasets.finding import is_image_name, kinds_text
from genbench.datasets.listing import Listing, found_files, list_files
from genbench.datasets.mapping import release
from genbench.datasets.source import Request
from genbench.datasets.storage import Plan, file_stamps, keep
from genbench.datasets.stream import Decoding, decoded

__all__ = ["load"]


def load(request: Request) -> Dataset:
    """Load a directory of images: png, jpg, bmp, webp, tif, pgm, ppm, and the first frame of a gif.

    The split is that of the sub-folders `train` and one of `HELD_OUT_FOLDERS`, where both are there; otherwise a tenth
    of the images, chosen by a hash of their names, is held out, so that it stays the same when images are added nearby;
    `held_out=N` after the path holds out the first N by that hash instead.
    Sub-folders are classes where every image lies in one and there are at least two. Hidden files are passed over, and
    links to folders followed; `remark` of the dataset says what was passed over.
    More images to train on than `REFERENCE_LIMIT` are stored in an order that is a hash of their names, others sorted.
    Images are grey where all of them are, else RGB; upright as their EXIF orientation says; laid on white where they
    are transparent; all of one size, or brought to one by `image_size`.
    """
    root = Path(os.path.expanduser(request.argument or ""))
    if not os.path.isdir(root):  # os.path: for a name that no file can have, pathlib raises
        fault = "is a file; give the folder that holds it" if os.path.exists(root) else "no such folder"
        raise request.fault(f"{root}: {fault}")
    found = found_files(request, root, is_image_name, "images", kinds_text())
    listing = list_files(request, root, list(found.names), "images")
    key = f"{root.resolve()} {request.image_size}"
    if request.part.held_out is not None and not listing.split_by_folders:
        key += f" held_out={request.part.held_out}"
    try:
        stamps = file_stamps(root, listing.names)
    except OSError as error:
        raise _corrupt(request, Path(error.filename), fault_of(error)) from error
    dataset = keep(request, key, stamps, lambda: _plan(request, listing))
    remark = found.remark()
    return dataset if remark is None else replace(dataset, remark=f"{root}: passed over: {remark}")


def _plan(request: Request, listing: Listing) -> Plan:
    headers = _headers(request, listing)
    grey = all(header.grey for header in headers)
    side = request.image_size
    if side is None:
        _require_one_size(request, listing, headers)
    height, width = (side, side) if side else (headers[0].height, headers[0].width)
    return Plan(
        shape=(len(listing.names), 1 if grey else 3, height, width),
        train_count=listing.train_count,
        labels=listing.labels,
        class_names=listing.class_names,
        fill=partial(_decode, request, listing),
    )


def _headers(request: Request, listing: Listing) -> list[Header]:
    headers: dict[str, Header] = {}

    def work(name: str) -> None:
        try:
            headers[name] = read_header(listing.root / name)
        except Exception as error:  # PIL raises what each format's reader happens to raise
            raise _corrupt(request, listing.root / name, fault_of(error)) from error

    in_parallel(listing.names, work, None)
    return [headers[name] for name in listing.names]


def _require_one_size(request: Request, listing: Listing, headers: list[Header]) -> None:
    first = headers[0]
    for name, header in zip(listing.names, headers, strict=True):
        if (header.width, header.height) != (first.width, first.height):
            raise request.fault(
                f"images differ in size: {listing.names[0]} is {first.width}x{first.height}, "
                f"{name} is {header.width}x{header.height}; with --image-size N the shorter side of each "
                "is resized to N and the centre cropped to N x N"
            )


def _decode(request: Request, listing: Listing, target: npt.NDArray[np.uint8]) -> None:
    paths = [listing.root / name for name in listing.names]
    channels, height, width = target.shape[1:]
    written, done = torch.from_numpy(target), 0
    for chunk in decoded(paths, Decoding((channels, height, width), request.image_size is not None, ON_WHITE)):
        for index, fault in chunk.faults:
            raise _corrupt(request, paths[index], fault)
        target[done : done + chunk.count] = chunk.pixels
        release(written)
        done += chunk.count
        if request.progress is not None:
            request.progress(done, len(paths))


def _corrupt(request: Request, path: Path, reason: str) -> Exception:
    return request.fault(f"cannot read {path}: {reason}; replace or remove it")
