"""Images that need not fit into memory: a memory-mapped temporary file, whose pages are released once read."""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from genbench.datasets.source import cache_root
from genbench.errors import InputError
from genbench.machine.atomic import make_private_folder

__all__ = ["PixelStore", "as_mapped", "giving_back", "release"]

IN_MEMORY_BYTES = 1 << 28  # of images that are kept in memory rather than in a file
_MAPPINGS: dict[int, weakref.ref[mmap.mmap]] = {}  # by address; only mapped files, so that no page holds the only copy


class PixelStore:
    """Storage for (N, C, H, W) uint8 images, appended once and read often, in memory or in a temporary file.

    The file has no name, so it disappears with the process, however the process ends.
    """

    def __init__(self, shape: tuple[int, int, int, int], what: str) -> None:
        """Reserve the space.

        Args:
            shape: of all images.
            what: the source of the images, for the error message.

        Raises:
            InputError: the disk has too little space.
        """
        self.count = 0
        self._image_bytes = int(np.prod(shape[1:], dtype=np.int64))
        size = shape[0] * self._image_bytes
        self._file: int | None = None
        if size <= IN_MEMORY_BYTES:
            self.images = torch.empty(shape, dtype=torch.uint8)
            return
        folder = _temporary_folder()
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                os.posix_fallocate(file.fileno(), 0, size)  # a full disk raises here, not as a bus error later
                array = np.memmap(file, np.uint8, "r+", shape=shape)
                self._file = os.dup(file.fileno())
        except OSError as error:
            raise InputError(
                f"{what}: its {size / 1e9:.1f} GB of pixels do not fit into {folder} ({error.strerror}); make room "
                "there, or name another folder with $GENBENCH_CACHE"
            ) from error
        weakref.finalize(self, os.close, self._file)
        self.images = as_mapped(array)

    def append(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Append (n, C, H, W) images."""
        if self._file is None:
            self.images.numpy()[self.count : self.count + len(pixels)] = pixels
        else:
            # Written to the file, not copied into the mapping, whose pages would count as this process's memory.
            data, position = np.ascontiguousarray(pixels).data.cast("B"), self.count * self._image_bytes
            while data:
                written = os.pwrite(self._file, data, position)
                data, position = data[written:], position + written
        self.count += len(pixels)


def as_mapped(array: npt.NDArray[Any]) -> Tensor:
    """Return a tensor over an array that maps a whole file; `release` can release its pages."""
    mapping: object = array.base
    assert isinstance(mapping, mmap.mmap), "the array is a view"
    address = array.ctypes.data
    _MAPPINGS[address] = weakref.ref(mapping, lambda _: _MAPPINGS.pop(address, None))
    with warnings.catch_warnings():
        # torch warns that the pages are read-only; they are meant to be, and nothing writes to a dataset.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def release(images: Tensor) -> None:
    """Release the pages of the mapped file behind `images`, if there is one; the next use reads them again.

    Until then, pages that have been read count as memory of the process and grow with the number of images.
    """
    address = images.data_ptr()
    for start, reference in list(_MAPPINGS.items()):
        mapping = reference()
        if mapping is not None and start <= address < start + len(mapping):
            mapping.madvise(mmap.MADV_DONTNEED)


@contextlib.contextmanager
def giving_back() -> Iterator[None]:
    """Release the pages of all mapped files after each torch operation within the block.

    For code that reads all images without knowing where they are stored, such as metrics.
    """
    if not _MAPPINGS:
        yield
        return
    with _GivingBack():
        yield


class _GivingBack(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        for reference in list(_MAPPINGS.values()):
            if (mapping := reference()) is not None:
                mapping.madvise(mmap.MADV_DONTNEED)
        return found


def _temporary_folder() -> Path:
    folder = cache_root() / "temporary"
    try:
        make_private_folder(folder)
    except OSError:
        return Path(tempfile.gettempdir())
    return folder if os.access(folder, os.W_OK) else Path(tempfile.gettempdir())
