"""Any directory of images."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from genbench.datasets.dataset import Dataset
from genbench.datasets.decoding import ON_WHITE, Header, fault_of, in_parallel, read_header
from genbench.datasets.finding import is_image_name, kinds_text
from genbench.datasets.held_out import compared, own_path
from genbench.datasets.listing import Listing, Wanted, listed
from genbench.datasets.mapping import release
from genbench.datasets.source import Request
from genbench.datasets.storage import Plan, file_stamps, keep
from genbench.datasets.stream import Decoding, decoded
from genbench.kinds.image import KIND as IMAGES

__all__ = ["load"]

_WANTED = Wanted(is_image_name, "images", kinds_text())


def load(request: Request) -> Dataset:
    """Load a directory of images: png, jpg, bmp, webp, tif, pgm, ppm, and the first frame of a gif.

    If the folder has a sub-folder `train` and one of `HELD_OUT_FOLDERS`, these are the split. Otherwise a tenth of the
    images is held out, chosen by a hash of their names so that adding images does not change the choice for others;
    `held_out=N` after the path instead holds out the first N by that hash, and `held_out=PATH` all of another folder.
    Sub-folders are classes if every image is in one and there are at least two. Hidden files are skipped and links to
    folders are followed; the `remark` of the dataset lists what was skipped, and says if any image is transparent.
    Training images are stored sorted by name or, if there are more than `REFERENCE_LIMIT`, by a hash of their names.
    Images are grey if all of them are, else RGB; rotated upright according to their EXIF orientation; composited on
    white if transparent; and must all have the same size unless `image_size` resizes them.
    """
    listing, passed = listed(request, _WANTED)
    key = f"{listing.root.resolve()} {request.image_size}"
    if (own := own_path(request)) is not None:
        key += f" held_out={own.resolve()}"
    elif request.part.held_out is not None and not listing.split_by_folders:
        key += f" held_out={request.part.held_out}"
    try:
        stamps = file_stamps(listing.root, listing.names)
    except OSError as error:
        raise _corrupt(request, Path(error.filename), fault_of(error)) from error
    dataset = keep(request, key, stamps, lambda: compared(request, _plan(request, listing), IMAGES))
    said = [*passed, *([dataset.remark] if dataset.remark else [])]
    return replace(dataset, remark=f"{listing.root}: {'; '.join(said)}") if said else dataset


def _plan(request: Request, listing: Listing) -> Plan:
    headers = _headers(request, listing)
    if request.own_held_out is not None:
        _require_one_mode(request, listing, headers)
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
        except Exception as error:  # PIL passes on whatever each format's reader raises
            raise _corrupt(request, listing.root / name, fault_of(error)) from error

    in_parallel(listing.names, work, None)
    return [headers[name] for name in listing.names]


def _require_one_mode(request: Request, listing: Listing, headers: list[Header]) -> None:
    """Refuse grey held-out images with colour training images, or the reverse: one would change the other."""
    train, held_out = (
        all(header.grey for header in part) for part in (headers[: listing.train_count], headers[listing.train_count :])
    )
    if train != held_out:
        words = {True: "are all grey", False: "have colours"}
        raise request.fault(
            f"the images in {listing.root} {words[train]}, and those in {request.own_held_out} {words[held_out]}; "
            "save both as one"
        )


def _require_one_size(request: Request, listing: Listing, headers: list[Header]) -> None:
    first = headers[0]
    for name, header in zip(listing.names, headers, strict=True):
        if (header.width, header.height) != (first.width, first.height):
            raise request.fault(
                f"images differ in size: {listing.names[0]} is {first.width}x{first.height}, "
                f"{name} is {header.width}x{header.height}; with --image-size N the shorter side of each "
                "is resized to N and the centre cropped to N x N"
            )


def _decode(request: Request, listing: Listing, target: npt.NDArray[np.uint8]) -> str | None:
    """Fill in the pixels; return what became of transparency if there is any, as a remark."""
    paths = [listing.root / name for name in listing.names]
    channels, height, width = target.shape[1:]
    written, done, transparent = torch.from_numpy(target), 0, False
    for chunk in decoded(paths, Decoding((channels, height, width), request.image_size is not None, ON_WHITE)):
        for index, fault in chunk.faults:
            raise _corrupt(request, paths[index], fault)
        target[done : done + chunk.count] = chunk.pixels
        release(written)
        done += chunk.count
        transparent |= chunk.transparent
        if request.progress is not None:
            request.progress(done, len(paths))
    return "some are transparent: laid on white" if transparent else None


def _corrupt(request: Request, path: Path, reason: str) -> Exception:
    return request.fault(f"cannot read {path}: {reason}; replace or remove it")
