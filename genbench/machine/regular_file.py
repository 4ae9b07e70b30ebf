"""Opens files that somebody else may have put there: only regular ones, since a FIFO blocks and a device never ends."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

__all__ = ["LARGEST", "is_inside", "open_regular", "read_regular"]

LARGEST = 512 * 2**20  # bytes of a file that is read as a whole; a sparse one can claim more than any memory


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading bytes.

    Raises:
        OSError: it is something else, or cannot be opened.
    """
    return os.fdopen(_descriptor(path)[0], "rb")


def read_regular(path: Path) -> bytes:
    """Return the bytes of a regular file.

    Raises:
        OSError: it is something else, is larger than `LARGEST`, or cannot be read.
    """
    descriptor, size = _descriptor(path)
    try:
        if size > LARGEST:
            raise OSError(errno.EFBIG, f"larger than {LARGEST >> 20} MB", str(path))
        content = os.read(descriptor, size + 1)  # one byte more than there should be: usually the only call
        if len(content) != size:
            while part := os.read(descriptor, 2**20):
                content += part
        return content
    finally:
        os.close(descriptor)


def is_inside(path: Path | str, folder: Path | str) -> bool:
    """Whether a path leads to a place inside a folder, once links are followed."""
    root = os.path.realpath(folder)
    return os.path.commonpath([os.path.realpath(path), root]) == root


def _descriptor(path: Path) -> tuple[int, int]:
    """Open the file and return its descriptor and size; the check follows the opening, so nothing can come between."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        code = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL
        raise OSError(code, os.strerror(code) if code == errno.EISDIR else "not a regular file", str(path))
    return descriptor, found.st_size
