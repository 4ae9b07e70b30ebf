"""The table of datasets, and `load`. Importing it imports no torch: a source's file is imported when it is loaded."""

from __future__ import annotations

import contextlib
import importlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from genbench.datasets.options import OPTIONS, Asked, cut
from genbench.datasets.presence import Presence, presence
from genbench.datasets.source import Part, Progress, Request, Source, cache_root, default_data_root
from genbench.errors import InputError, nearest, quoted
from genbench.machine import atomic

if TYPE_CHECKING:
    from genbench.datasets.dataset import Dataset

__all__ = [
    "OPTIONS",
    "SOURCES",
    "Presence",
    "Source",
    "cache_root",
    "default_data_root",
    "is_at_hand",
    "load",
    "reads_data_root",
]


def _idx(folder: str, train: str = "train", held_out: str = "t10k") -> tuple[str, ...]:
    kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
    return tuple(f"{folder}/raw/{split}-{kind}" for split in (train, held_out) for kind in kinds)


_CIFAR10_FILES = tuple(
    f"cifar-10-batches-py/{file}" for file in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
)
_STL10_FILES = tuple(
    f"stl10_binary/{file}" for file in ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "unlabeled_X.bin")
)

_OF_TEXTS = ("length", "symbols")

_ROWS = (
    Source(
        "digits",
        "8×8 grey handwritten digits, bundled with scikit-learn: 1,297 to train on, 500 held out",
        "CC BY 4.0 (E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI)",
        "digits",
    ),
    Source(
        "shapes",
        "drawn RGB shapes with known factors, any size and count: 64 modes (8 kinds × 8 colours)",
        "CC0: drawn by genbench",
        "shapes",
        argument="size=N,count=N,held_out=N,seed=N",
        drawn=True,
    ),
    Source(
        "gaussians",
        "two-dimensional mixtures as images of one pixel and two channels, with known density: 8 or 25 modes",
        "CC0: drawn by genbench",
        "gaussians",
        argument="ring or grid",
        drawn=True,
    ),
    Source(
        "folder",
        "any directory of images, class sub-folders optional: folder:PATH",
        "that of your files",
        "folder",
        argument="PATH",
        argument_needed=True,
    ),
    Source(
        "npz",
        "an .npz file of uint8 images, (N, H, W, C), (N, C, H, W) or (N, H, W), and labels where there are: npz:PATH",
        "that of your file",
        "npz",
        argument="PATH",
        argument_needed=True,
        is_file=True,
    ),
    Source(
        "mnist",
        "28×28 grey handwritten digits: 60,000 to train on, 10,000 held out",
        "CC BY-SA 3.0 (Y. LeCun, C. Cortes, C. Burges)",
        "torchvision_sets",
        needs_download=True,
        files=_idx("MNIST"),
    ),
    Source(
        "fashion-mnist",
        "28×28 grey pictures of clothes: 60,000 to train on, 10,000 held out",
        "MIT (Zalando SE)",
        "torchvision_sets",
        needs_download=True,
        files=_idx("FashionMNIST"),
    ),
    Source(
        "kmnist",
        "28×28 grey cursive hiragana: 60,000 to train on, 10,000 held out",
        "CC BY-SA 4.0 (ROIS-DS Center for Open Data in the Humanities)",
        "torchvision_sets",
        needs_download=True,
        files=_idx("KMNIST"),
    ),
    Source(
        "emnist",
        "28×28 grey handwritten digits and letters, the balanced split: 112,800 to train on, 18,800 held out",
        "none stated (G. Cohen et al., from NIST Special Database 19)",
        "torchvision_sets",
        needs_download=True,
        files=_idx("EMNIST", "emnist-balanced-train", "emnist-balanced-test"),
    ),
    Source(
        "cifar10",
        "32×32 RGB photographs of 10 kinds of things: 50,000 to train on, 10,000 held out",
        "none stated; its authors ask to be cited (A. Krizhevsky, 2009)",
        "torchvision_sets",
        needs_download=True,
        files=_CIFAR10_FILES,
    ),
    Source(
        "cifar100",
        "32×32 RGB photographs of 100 kinds of things: 50,000 to train on, 10,000 held out",
        "none stated; its authors ask to be cited (A. Krizhevsky, 2009)",
        "torchvision_sets",
        needs_download=True,
        files=tuple(f"cifar-100-python/{file}" for file in ("train", "test", "meta")),
    ),
    Source(
        "svhn",
        "32×32 RGB house numbers: 73,257 to train on, 26,032 held out",
        "non-commercial use only (Y. Netzer et al., 2011)",
        "torchvision_sets",
        needs_download=True,
        files=("train_32x32.mat", "test_32x32.mat"),
    ),
    Source(
        "stl10",
        "96×96 RGB photographs of 10 kinds of things, the labelled part: 5,000 to train on, 8,000 held out",
        "none stated; the images are from ImageNet, for research only (A. Coates et al., 2011)",
        "torchvision_sets",
        needs_download=True,
        files=_STL10_FILES,
    ),
    Source(
        "celeba",
        "RGB faces cropped to 140×140 and resized, 64×64 unless asked: 162,770 to train on, 19,962 held out",
        "non-commercial research only (Z. Liu et al., 2015)",
        "celeba",
        needs_download=True,
        files=("celeba/list_eval_partition.txt", "celeba/img_align_celeba"),
    ),
    Source(
        "grammar",
        "drawn sentences of up to 49 characters whose probabilities are known: 20,000 to train on, 5,000 held out",
        "CC0: drawn by genbench",
        "grammar",
        argument="count=N,held_out=N,seed=N,length=N",
        drawn=True,
    ),
    Source(
        "names",
        "first and last names, labelled by their list: 84,864 to train on, 9,429 held out; from the package names",
        "public domain (U.S. Census Bureau, 1990); the package is MIT (T. Hunner)",
        "names",
        options=_OF_TEXTS,
    ),
    Source(
        "text",
        "any file of texts, one a line, or with window=N the windows of a running text: text:PATH",
        "that of your file",
        "text_file",
        argument="PATH",
        argument_needed=True,
        is_file=True,
        options=(*_OF_TEXTS, "window"),
    ),
    Source(
        "tiny-shakespeare",
        "lines of Shakespeare's plays as windows of 64 characters: 15,685 to train on, 1,742 held out",
        "public domain (W. Shakespeare; collected by A. Karpathy)",
        "running_texts",
        needs_download=True,
        files=("tiny-shakespeare/input.txt",),
        options=_OF_TEXTS,
    ),
    Source(
        "text8",
        "a cleaned part of Wikipedia as windows of 64 letters: 1,406,250 to train on, 78,125 held out",
        "CC BY-SA 3.0 (Wikipedia; cleaned by M. Mahoney)",
        "running_texts",
        needs_download=True,
        files=("text8/text8.zip",),
        options=_OF_TEXTS,
    ),
)

SOURCES: dict[str, Source] = {source.name: source for source in _ROWS}


def load(
    spec: str,
    *,
    data_root: Path | None = None,
    image_size: int | None = None,
    download: bool = True,
    progress: Progress | None = None,
) -> Dataset:
    """Load a dataset: both splits as tensors of what its kind stores, with their fingerprint.

    What was read from files is kept in the cache folder as one uint8 array, so a second load neither decodes an image
    nor unpacks an archive; arrays larger than a share of the memory are memory-mapped from there.

    Args:
        spec: `name` or `name:argument`, such as `mnist`, `folder:PATH`, `gaussians:grid`, `shapes:size=64,seed=1`,
            `names:length=10`, `text:PATH,symbols=byte`. What is read from files may be used in part:
            `mnist:fraction=0.01,held_out=1000`, `folder:PATH,held_out=9`.
        data_root: the folder of downloaded data; `$GENBENCH_DATA`, else `data` in the cache folder.
        image_size: the side N of the images in pixels: the shorter side is resized to N (bicubic, antialiased) and
            the centre cropped to N × N. Without it images stay as they are.
        download: whether missing files may be fetched.
        progress: called with (done, total) while files are fetched or decoded.

    Raises:
        InputError: one line, for an unknown name, missing or corrupt data, and sizes that differ or do not fit.

    Example:
        >>> digits = load("digits")
        >>> digits.shape, digits.classes, len(digits.train), len(digits.held_out)
        (torch.Size([1, 8, 8]), 10, 1297, 500)
    """
    source, asked = _parse(spec)
    if image_size is not None and image_size < 1:
        raise InputError(
            f"dataset {quoted(spec)}: images cannot be {image_size} pixels wide; give --image-size 1 or more"
        )
    cache = cache_root()
    with contextlib.suppress(OSError):  # what can be loaded without a cache is
        atomic.make_private_folder(cache)
        atomic.sweep(cache)  # of the half-written files of processes that were killed
    request = Request(
        source=source,
        spec=spec,
        argument=asked.argument,
        data_root=Path(os.path.expanduser(data_root or default_data_root())),
        cache=cache,
        image_size=image_size,
        download=download,
        progress=progress,
        part=asked.part,
        options=asked.options,
    )
    dataset: Dataset = importlib.import_module(f"genbench.datasets.{source.module}").load(request)
    if asked.part == Part():
        return dataset
    from genbench.datasets.subset import taken

    return taken(request, dataset)


def is_at_hand(spec: str, data_root: Path | None = None) -> Presence:
    """Say whether the data of a source is on this machine, without reading it.

    Example:
        >>> is_at_hand("digits").at_hand
        True
    """
    source, asked = _parse(spec, argument_may_lack=True)
    return presence(source, asked.argument, Path(os.path.expanduser(data_root or default_data_root())))


def reads_data_root(spec: str) -> bool:
    """Say whether a dataset is read from the folder of downloaded data, so that naming another one has an effect.

    Example:
        >>> reads_data_root("mnist"), reads_data_root("digits")
        (True, False)
    """
    return _parse(spec)[0].needs_download


def _parse(spec: str, argument_may_lack: bool = False) -> tuple[Source, Asked]:
    name, colon, argument = spec.partition(":")
    if name not in SOURCES:
        raise InputError(f"unknown dataset {quoted(name)}{_intended(spec, name)}")
    source = SOURCES[name]
    if colon and not argument and source.argument is None:
        raise InputError(f"dataset {quoted(spec)}: nothing follows the colon; write {name}, or {name}:{OPTIONS}")
    asked = cut(source, spec, argument or None)
    if not asked.argument and ((colon and source.argument) or (source.argument_needed and not argument_may_lack)):
        raise InputError(f"dataset {quoted(spec)}: {name} needs its argument; write {name}:{source.argument}")
    return source, replace(asked, argument=asked.argument or None)


def _intended(spec: str, name: str) -> str:
    """Return the hint for a name that is no dataset's."""
    if os.path.isdir(spec):  # os.path: for a name that no file can have, pathlib raises
        return f"; for a folder of images write folder:{spec}"
    if spec.lower().endswith(".npz") and os.path.isfile(spec):
        return f"; for a file of images write npz:{spec}"
    if spec.lower().endswith(".txt") and os.path.isfile(spec):
        return f"; for a file of texts write text:{spec}"
    return nearest(name, SOURCES)
