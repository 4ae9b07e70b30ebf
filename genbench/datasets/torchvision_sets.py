"""Datasets that torchvision.datasets reads as whole arrays: a table with one row per dataset."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genbench.datasets.dataset import Dataset
from genbench.datasets.decoding import resize_all
from genbench.datasets.downloading import Archive, DownloadError, fetch, md5_of, unlike_packed
from genbench.datasets.locking import locked
from genbench.datasets.source import Request
from genbench.datasets.storage import Plan, file_stamps, keep
from genbench.errors import InputError
from genbench.machine.torchvision_import import import_torchvision

__all__ = ["load"]


def _mnist_archives(kind: Any) -> list[Archive]:
    return [
        Archive(f"{kind.__name__}/raw/{file}", tuple(f"{mirror}{file}" for mirror in kind.mirrors), md5)
        for file, md5 in kind.resources
    ]


def _emnist_archives(kind: Any) -> list[Archive]:
    return [Archive(f"EMNIST/raw/{kind.url.rpartition('/')[2]}", (kind.url,), kind.md5)]


def _tar_archives(kind: Any) -> list[Archive]:
    return [Archive(kind.filename, (kind.url,), kind.tgz_md5)]


def _svhn_archives(kind: Any) -> list[Archive]:
    return [Archive(file, (url,), md5) for url, file, md5 in (kind.split_list[split] for split in ("train", "test"))]


def _no_known_files(kind: Any) -> dict[str, str]:
    return {}


def _batch_files(kind: Any) -> dict[str, str]:
    files = [*kind.train_list, *kind.test_list]
    if hasattr(kind, "meta"):
        files.append((kind.meta["filename"], kind.meta["md5"]))
    return {f"{kind.base_folder}/{file}": md5 for file, md5 in files}


def _svhn_files(kind: Any) -> dict[str, str]:
    return {archive.path: archive.checksum for archive in _svhn_archives(kind)}


@dataclass(frozen=True)
class _Row:
    """How torchvision offers one dataset.

    Args:
        class_name: in torchvision.datasets.
        archives: the files to download, from the class.
        known_files: the MD5 of each unpacked file, if torchvision knows it, from the class.
        train, held_out: the arguments that select a split.
        columns_first: whether its files hold the columns of an image as rows.
    """

    class_name: str
    archives: Callable[[Any], list[Archive]] = _mnist_archives
    known_files: Callable[[Any], dict[str, str]] = _no_known_files
    train: Mapping[str, Any] = field(default_factory=lambda: {"train": True})
    held_out: Mapping[str, Any] = field(default_factory=lambda: {"train": False})
    columns_first: bool = False


_BY_SPLIT: dict[str, Any] = {"train": {"split": "train"}, "held_out": {"split": "test"}}
_BALANCED: dict[str, Any] = {
    "train": {"split": "balanced", "train": True},
    "held_out": {"split": "balanced", "train": False},
}
_ROWS = {
    "mnist": _Row("MNIST"),
    "fashion-mnist": _Row("FashionMNIST"),
    "kmnist": _Row("KMNIST"),
    "emnist": _Row("EMNIST", _emnist_archives, columns_first=True, **_BALANCED),
    "cifar10": _Row("CIFAR10", _tar_archives, _batch_files),
    "cifar100": _Row("CIFAR100", _tar_archives, _batch_files),
    "svhn": _Row("SVHN", _svhn_archives, _svhn_files, **_BY_SPLIT),
    "stl10": _Row("STL10", _tar_archives, _batch_files, **_BY_SPLIT),
}


def load(request: Request) -> Dataset:
    """Load one of torchvision's datasets; its official test split is held out.

    Files are expected where torchvision.datasets puts them below the data root. Missing files are downloaded from the
    addresses that torchvision knows, checked against its MD5s and unpacked there.
    """
    row = _ROWS[request.source.name]
    if _first_missing(request) is not None:
        with locked(request.data_root / request.source.name, private=False):
            if _first_missing(request) is not None:  # still missing, now that no other process is downloading it
                _obtain(request, row)
    key = f"{request.data_root.resolve()} {request.image_size}"
    stamps = file_stamps(request.data_root, request.source.files)
    return keep(request, key, stamps, lambda: _plan(request, row))


def _first_missing(request: Request) -> Path | None:
    paths = (request.data_root / file for file in request.source.files)
    return next((path for path in paths if not path.is_file()), None)


def _obtain(request: Request, row: _Row) -> None:
    kind = getattr(import_torchvision().datasets, row.class_name)
    archives = row.archives(kind)
    try:
        for archive in archives:
            fetch(archive, request.data_root, download=request.download, progress=request.progress)
        with contextlib.redirect_stdout(io.StringIO()):  # older releases print that the archive exists
            kind(request.data_root, **row.train, download=True)  # nothing left to download: this only unpacks
    except DownloadError as error:
        raise _missing(request, archives, error) from error
    except Exception as error:  # torchvision passes on whatever unpacking raises
        raise _unreadable(request, row, kind, error) from error


def _plan(request: Request, row: _Row) -> Plan:
    kind = getattr(import_torchvision().datasets, row.class_name)
    try:
        opened = [kind(request.data_root, **arguments) for arguments in (row.train, row.held_out)]
    except Exception as error:  # torchvision passes on whatever its readers raise
        raise _unreadable(request, row, kind, error) from error
    images = [_channels_first(part.data, row.columns_first) for part in opened]
    labels = [np.asarray(part.targets if hasattr(part, "targets") else part.labels, np.int64) for part in opened]
    if [len(part) for part in images] != [len(part) for part in labels]:
        raise request.fault(
            f"its files in {request.data_root} hold more labels than images, or fewer; delete them and run again"
        )
    if (fault := unlike_packed(row.archives(kind), request.data_root)) is not None:
        raise request.fault(f"{fault}; delete it and run again")
    every = np.concatenate(images)
    side = request.image_size
    return Plan(
        shape=(len(every), every.shape[1], side or every.shape[2], side or every.shape[3]),
        train_count=len(images[0]),
        labels=np.concatenate(labels),
        class_names=_class_names(opened[0], labels[0]),
        fill=partial(_fill, request, every),
    )


def _fill(request: Request, images: npt.NDArray[np.uint8], target: npt.NDArray[np.uint8]) -> None:
    resize_all(images, target, request.progress)


def _channels_first(data: Any, columns_first: bool) -> npt.NDArray[np.uint8]:
    pixels = np.asarray(data)
    if pixels.ndim == 3:  # (N, H, W)
        pixels = pixels[:, None]
    elif pixels.shape[-1] == 3:  # (N, H, W, C)
        pixels = pixels.transpose(0, 3, 1, 2)
    return pixels.swapaxes(2, 3) if columns_first else pixels


def _class_names(opened: Any, labels: npt.NDArray[np.int64]) -> tuple[str, ...]:
    names = getattr(opened, "classes", None)
    return tuple(names) if names else tuple(str(label) for label in range(int(labels.max()) + 1))


def _missing(request: Request, archives: list[Archive], reason: Exception) -> InputError:
    missing = _first_missing(request)
    folder = (request.data_root / archives[0].path).parent
    names = ", ".join(Path(archive.path).name for archive in archives)
    return request.fault(
        f"{missing} is missing and could not be fetched ({reason}); put {names} in {folder}, "
        "or name the folder that holds the data with --data-root or $GENBENCH_DATA"
    )


def _unreadable(request: Request, row: _Row, kind: Any, error: Exception) -> InputError:
    """Find the damaged file after reading has failed."""
    missing = _first_missing(request)
    if missing is not None:
        return _missing(request, row.archives(kind), error)
    for file, md5 in row.known_files(kind).items():
        path = request.data_root / file
        if path.is_file() and md5_of(path) != md5:
            return request.fault(f"{path} is corrupt: its MD5 is {md5_of(path)} and not {md5}; delete it and run again")
    for file in request.source.files:
        path = request.data_root / file
        if path.name.endswith("ubyte") and not _is_whole_idx(path):
            return request.fault(f"{path} is corrupt: it is not as long as its header says; delete it and run again")
    return request.fault(f"cannot read its files in {request.data_root}: {error}; delete them and run again")


def _is_whole_idx(path: Path) -> bool:
    """Return whether a file in MNIST's IDX format (two zeros, type, dimensions, big-endian sizes) is complete."""
    data = path.read_bytes()
    dimensions = data[3] if len(data) > 3 else 0
    sizes = np.frombuffer(data[4 : 4 + 4 * dimensions], ">u4")
    return data[:3] == b"\0\0\x08" and len(data) == 4 + 4 * dimensions + int(np.prod(sizes, dtype=np.int64))
