"""CelebA: faces, decoded once from their JPEG files."""

from __future__ import annotations

import contextlib
import io
import shutil
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from genbench.datasets.dataset import Dataset
from genbench.datasets.decoding import fit_square, in_parallel, read_pixels
from genbench.datasets.locking import locked
from genbench.datasets.source import Request
from genbench.datasets.storage import Plan, file_stamps, keep
from genbench.machine.torchvision_import import import_torchvision

__all__ = ["load"]

CROP = 140  # pixels of the 178 × 218 in an aligned file: the face with little background
DEFAULT_SIZE = 64
_TRAIN, _HELD_OUT = "0", "2"  # in the official partition; 1 is its validation split, which nothing here uses


def load(request: Request) -> Dataset:
    """Load CelebA: the centre 140 × 140 of each aligned face, resized to `image_size`, 64 unless given; no labels.

    Most published numbers on 64 × 64 faces use this crop and size, for example I. Tolstikhin, O. Bousquet,
    S. Gelly, B. Schölkopf, 2018, Wasserstein Auto-Encoders, https://arxiv.org/abs/1711.01558. The held-out split is
    the official test split. Reference: Z. Liu, P. Luo, X. Wang, X. Tang, 2015, Deep Learning Face Attributes in the
    Wild, https://arxiv.org/abs/1411.7766.
    """
    size = request.image_size or DEFAULT_SIZE
    if size > CROP:
        raise request.fault(f"its faces are {CROP}x{CROP} pixels; give an --image-size of at most {CROP}, not {size}")
    partition, images = (request.data_root / file for file in request.source.files)
    if not (partition.is_file() and images.is_dir()):
        with locked(request.data_root / request.source.name, private=False):
            _obtain(request, partition, images)
    key = f"{request.data_root.resolve()} {size}"
    stamps = file_stamps(request.data_root, request.source.files)
    return keep(request, key, stamps, lambda: _plan(request, partition, images, size))


def _obtain(request: Request, partition: Path, images: Path) -> None:
    archive = images.with_suffix(".zip")
    if partition.is_file() and archive.is_file() and not images.is_dir():
        _unpack(request, archive)
    elif not (partition.is_file() and images.is_dir()):
        _download(request, partition if not partition.is_file() else images)


def _unpack(request: Request, archive: Path) -> None:
    folder = archive.parent / ".unpacking"  # so that images/ is either complete or absent
    try:
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(folder)
        (folder / archive.stem).rename(archive.with_suffix(""))
        shutil.rmtree(folder)
    except (OSError, zipfile.BadZipFile) as error:
        raise request.fault(f"cannot unpack {archive}: {error}; if it is damaged, fetch it again") from error


def _download(request: Request, missing: Path) -> None:
    reason = "downloading is switched off"
    if request.download:
        try:
            # torchvision and gdown print to both streams, and a library must not print.
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                import_torchvision().datasets.CelebA(request.data_root, download=True)
            return
        except Exception as error:  # gdown raises many exception types, most often for an exceeded quota
            reason = str(error)
    raise request.fault(
        f"{missing} is missing and could not be fetched ({reason}); put img_align_celeba.zip and "
        f"list_eval_partition.txt in {missing.parent}, or name the folder that holds celeba/ with --data-root "
        "or $GENBENCH_DATA"
    )


def _plan(request: Request, partition: Path, images: Path, size: int) -> Plan:
    rows = [line.split() for line in partition.read_text().splitlines() if line.strip()]
    names = {split: [row[0] for row in rows if row[-1] == split] for split in (_TRAIN, _HELD_OUT)}
    if not all(names.values()) or any(len(row) != 2 for row in rows):
        raise request.fault(f"{partition} is not the official list of files and splits; fetch it again")
    paths = [images / name for split in (_TRAIN, _HELD_OUT) for name in names[split]]
    return Plan(
        shape=(len(paths), 3, size, size),
        train_count=len(names[_TRAIN]),
        labels=None,
        class_names=None,
        fill=partial(_decode, request, paths, size),
    )


def _decode(request: Request, paths: list[Path], size: int, target: npt.NDArray[np.uint8]) -> None:
    def crop(image: Image.Image) -> Image.Image:
        left, top = (image.width - CROP) // 2, (image.height - CROP) // 2
        return fit_square(image.crop((left, top, left + CROP, top + CROP)), size)

    def work(index: int) -> None:
        try:
            target[index] = read_pixels(paths[index], False, crop)[0]
        except Exception as error:  # PIL passes on whatever each format's reader raises
            raise request.fault(f"cannot read {paths[index]}: {error}; fetch it again") from error

    in_parallel(range(len(paths)), work, request.progress)
