"""An .npy file, alone or within an .npz: its header is checked before anything is read; nothing is unpickled."""

from __future__ import annotations

import contextlib
import io
import lzma
import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.lib.format as npy
import numpy.typing as npt
import psutil

from genbench.errors import InputError, quoted, shortened

__all__ = ["DAMAGE", "Header", "arrays_in", "open_npy", "read_exactly", "read_header"]

DAMAGE = (  # what numpy, zipfile and the modules that they use raise for a damaged file
    *(OSError, EOFError, ValueError, IndexError, KeyError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
_LONGEST_HEADER = 10_000  # bytes, as for NumPy; that of an array of numbers has about a hundred
_MOST_DIMENSIONS, _MOST_BYTES = 32, 2**63 - 1  # of any array
_LONGEST_REASON = 200  # characters


@dataclass(frozen=True)
class Header:
    """The properties that an array's header declares.

    Args:
        shape: of the array.
        fortran: whether the first index runs fastest.
        dtype: of its values.
        holds: the number of bytes that follow.
    """

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[np.generic]
    holds: int

    def check(self, where: str, expected: str, of: str) -> None:
        """Check the declared size against the memory and the file.

        Args:
            where: the name for error messages.
            expected: a description of the expected array.
            of: the noun for its contents.

        Raises:
            InputError: it holds Python objects, claims more than this machine's memory, or has a different length.
        """
        if self.dtype.hasobject:
            raise InputError(
                f"{where}: holds Python objects, which genbench never unpickles; save an array of {expected}"
            )
        claims, memory = math.prod(self.shape) * self.dtype.itemsize, psutil.virtual_memory().total
        if claims > memory:
            raise InputError(
                f"{where}: claims {claims / 1e9:,.1f} GB of {of}, more than this machine's memory of "
                f"{memory / 1e9:,.1f} GB; give a folder of image files, which are read one after the other"
            )
        if claims != self.holds:
            raise InputError(
                f"{where}: damaged: its header claims {claims:,} bytes of {of}, and it holds {self.holds:,}"
            )


def arrays_in(path: Path) -> dict[str, str]:
    """Return the arrays of an .npz by name, with the member file of each.

    Raises:
        InputError: it is not an .npz, or is empty.
    """
    with _told(path, ".npz"), path.open("rb") as file, zipfile.ZipFile(file) as archive:
        names = {name.removesuffix(".npy"): name for name in archive.namelist()}
    if not names:
        raise InputError(f"{path}: holds no array; save one of uint8 (N, H, W, C) in it")
    return names


def read_header(path: Path, member: str | None) -> Header:
    """Read the header of an .npy, or of the file `member` of an .npz.

    Raises:
        InputError: it is damaged or encrypted.
    """
    with open_npy(path, member) as (file, (shape, fortran, dtype)):
        begin = file.tell()
    with _told(path, ".npz"):
        size = path.stat().st_size if member is None else _size(path, member)
    return Header(shape, fortran, dtype, size - begin)


@contextlib.contextmanager
def open_npy(
    path: Path, member: str | None
) -> Iterator[tuple[IO[bytes], tuple[tuple[int, ...], bool, np.dtype[np.generic]]]]:
    """Open an .npy, or the file `member` of an .npz, positioned after its header; yield it and the header's values.

    Raises:
        InputError: it is damaged or encrypted; errors while reading from it are converted too.
    """
    with _told(path, ".npz" if member else path.suffix), contextlib.ExitStack() as held:
        file: IO[bytes] = held.enter_context(path.open("rb"))
        if member is not None:
            archive = held.enter_context(zipfile.ZipFile(file))
            file = held.enter_context(_unpacking(archive, path, member))
        yield file, _header(file)


def read_exactly(file: IO[bytes], size: int) -> npt.NDArray[np.uint8]:
    """Read `size` bytes; if there are fewer, raise an error that `open_npy` converts."""
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = file.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise EOFError("it ends before the last value")
        view = view[count:]
    return np.frombuffer(data, np.uint8)


def _unpacking(archive: zipfile.ZipFile, path: Path, member: str) -> IO[bytes]:
    if archive.getinfo(member).flag_bits & 1:
        raise InputError(f"{path}: encrypted; unpack it first")
    try:
        return archive.open(member)
    except NotImplementedError as error:
        raise InputError(f"{path}: compressed in a way that Python's zipfile does not know ({error})") from error


def _size(path: Path, member: str) -> int:
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        return archive.getinfo(member).file_size


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    version = npy.read_magic(file)
    readers = {(1, 0): (2, npy.read_array_header_1_0), (2, 0): (4, npy.read_array_header_2_0)}
    if version not in readers:
        raise ValueError(f"its format is of version {version[0]}.{version[1]}, which holds no plain numbers")
    width, read = readers[version]
    size = file.read(width)
    length = int.from_bytes(size, "little")
    if length > _LONGEST_HEADER:  # NumPy would advise to trust the file
        raise ValueError(f"its header claims {length:,} bytes, and that of an array has at most {_LONGEST_HEADER:,}")
    try:
        shape, fortran, dtype = read(io.BytesIO(size + file.read(length)))
    except (TypeError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError) as error:  # of Python's parser
        raise ValueError("its header does not describe an array") from error
    few = len(shape) <= _MOST_DIMENSIONS and all(0 <= side <= _MOST_BYTES for side in shape)
    if not few or math.prod(shape) * dtype.itemsize > _MOST_BYTES:
        raise ValueError(f"its header claims the shape {quoted(shape)}, which no array has")
    return shape, fortran, dtype


@contextlib.contextmanager
def _told(path: Path, kind: str) -> Iterator[None]:
    """Convert the exceptions of numpy and zipfile for a damaged file to a one-line error."""
    try:
        yield
    except DAMAGE as error:
        reason = shortened(" ".join(str(error).split()), _LONGEST_REASON) or type(error).__name__
        raise InputError(f"{path}: damaged or no {kind} file: {reason}") from error
