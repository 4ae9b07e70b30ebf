"""`load` and the table of sources. Importing it imports no torch: a source's module is imported when it is loaded."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from genbench.datasets.options import OPTIONS, Asked, cut
from genbench.datasets.presence import Presence, presence
from genbench.datasets.source import Part, Progress, Request, Source, cache_root, default_data_root
from genbench.datasets.table import SOURCES
from genbench.errors import InputError, nearest, quoted
from genbench.machine import atomic

# Under its own name it would be replaced by this package's `finding` as soon as that is imported.
from genbench.plugin import finding as plugins
from genbench.plugin.families import DATASET

if TYPE_CHECKING:
    from genbench.datasets.dataset import Dataset

__all__ = [
    "OPTIONS",
    "SOURCES",
    "Presence",
    "Source",
    "cache_root",
    "default_data_root",
    "presence_of",
    "load",
    "reads_data_root",
]


def load(
    spec: str,
    *,
    data_root: Path | None = None,
    image_size: int | None = None,
    download: bool = True,
    progress: Progress | None = None,
    plugins_from: Sequence[str] | None = None,
) -> Dataset:
    """Load a dataset: both splits as tensors in the stored form of their kind, with their fingerprint.

    Data read from files are cached as one array, so a second load neither decodes images nor unpacks
    archives; arrays larger than a share of the memory are memory-mapped from the cache.

    Args:
        spec: `name` or `name:argument`, such as `mnist`, `folder:PATH`, `gaussians:grid`, `shapes:size=64,seed=1`,
            `names:length=10`, `text:PATH,symbols=byte`, `audio:PATH,seconds=1`. A part of any dataset can be
            selected: `mnist:fraction=0.01,held_out=1000`, `folder:PATH,held_out=9`, `gaussians:grid,fraction=0.1`.
            Sources that read a path also accept the path of a held-out set: `npz:PATH,held_out=PATH`.
        data_root: the folder of downloaded data; by default `$GENBENCH_DATA`, else `data` in the cache folder.
        image_size: the side N of the images in pixels: the shorter side is resized to N (bicubic, antialiased) and
            the centre cropped to N × N. By default images keep their size.
        download: whether missing files may be fetched.
        progress: called with (done, total) while files are fetched or decoded.
        plugins_from: distributions that may provide a plugin dataset; None for all.

    Raises:
        InputError: one line: an unknown name, missing or corrupt data, or sizes that differ or do not fit.

    Example:
        >>> digits = load("digits")
        >>> digits.shape, digits.classes, len(digits.train), len(digits.held_out)
        (torch.Size([1, 8, 8]), 10, 1297, 500)
    """
    source, asked = _parse(spec, plugins_from=plugins_from)
    if image_size is not None and image_size < 1:
        raise InputError(
            f"dataset {quoted(spec)}: images cannot be {image_size} pixels wide; give --image-size 1 or more"
        )
    cache = cache_root()
    with contextlib.suppress(OSError):  # anything that can be loaded without a cache still is
        atomic.make_private_folder(cache)
        atomic.sweep(cache)  # removes the half-written files of killed processes
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
        own_held_out=asked.own_held_out,
    )
    dataset: Dataset = importlib.import_module(f"genbench.datasets.{source.module}").load(request)
    if asked.part == Part():
        return dataset
    from genbench.datasets.subset import taken

    return taken(request, dataset)


def presence_of(spec: str, data_root: Path | None = None, plugins_from: Sequence[str] | None = None) -> Presence:
    """Report whether a source's data are on this machine, without reading them; a plugin's always count as available.

    Raises:
        InputError: there is no such dataset, or its options cannot be parsed.

    Example:
        >>> presence_of("digits").available
        True
    """
    source, asked = _parse(spec, argument_may_lack=True, plugins_from=plugins_from)
    root = Path(os.path.expanduser(data_root or default_data_root()))
    return presence(source, asked.argument, root, asked.own_held_out)


def reads_data_root(spec: str) -> bool:
    """Return whether a dataset is read from the folder of downloaded data, so that changing the folder has an effect.

    For a plugin's dataset this is unknown until it is loaded, so the answer is True.

    Example:
        >>> reads_data_root("mnist"), reads_data_root("digits")
        (True, False)
    """
    name = spec.partition(":")[0]
    if name not in SOURCES and name in plugins.installed(family=DATASET):
        return True
    return _parse(spec)[0].needs_download


def _parse(
    spec: str, argument_may_lack: bool = False, plugins_from: Sequence[str] | None = None
) -> tuple[Source, Asked]:
    name, colon, argument = spec.partition(":")
    source = SOURCES.get(name) or _brought(spec, name, plugins_from)
    if colon and not argument and source.argument is None:
        raise InputError(f"dataset {quoted(spec)}: nothing follows the colon; write {name}, or {name}:{OPTIONS}")
    asked = cut(source, spec, argument or None)
    lacking = source.argument_needed and not asked.argument and (colon or not argument_may_lack)
    if lacking or (colon and source.argument and not argument):
        raise InputError(f"dataset {quoted(spec)}: {name} needs its argument; write {name}:{source.argument}")
    return source, replace(asked, argument=asked.argument or None)


def _brought(spec: str, name: str, plugins_from: Sequence[str] | None) -> Source:
    """Return the source that a plugin provides."""
    offered = plugins.installed(family=DATASET)
    if name not in offered:
        raise InputError(f"unknown dataset {quoted(name)}{_intended(spec, name, offered)}")
    found = plugins.find_brought(DATASET, name, plugins_from)
    return Source(name, found.summary(), "", "brought", found=found)


def _intended(spec: str, name: str, offered: Iterable[str]) -> str:
    """Return the hint for a name that is not a dataset."""
    if os.path.isdir(spec):  # os.path: for a name that no file can have, pathlib raises
        return f"; for a folder of images write folder:{spec}, of texts text:{spec}, of clips audio:{spec}"
    if spec.lower().endswith(".npz") and os.path.isfile(spec):
        return f"; for a file of images write npz:{spec}"
    if spec.lower().endswith(".txt") and os.path.isfile(spec):
        return f"; for a file of texts write text:{spec}"
    return nearest(name, [*SOURCES, *offered])
