"""Reads UTF-8 files of texts: as a whole, and by lines."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from genbench.datasets.decoding import fault_of
from genbench.datasets.room import shortage
from genbench.errors import InputError

__all__ = ["read_lines", "read_text"]

_FIRST = 2**20  # bytes in which a file that is no text shows it
_COPIES = 3  # of a text in memory: its bytes, its characters and its lines


def read_text(path: Path) -> str:
    """Return the content of a UTF-8 file.

    Raises:
        InputError: one line that names the path: no such file, empty, binary, or a line that is not valid UTF-8.
    """
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise InputError(f"{path}: {'a folder' if stat.S_ISDIR(mode) else 'not a regular file'}; give a text file")
        content = _content(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {fault_of(error)}") from error
    if not content.strip():
        raise InputError(f"{path}: empty" if not content else f"{path}: holds nothing but white space")
    if b"\0" in content:
        raise InputError(f"{path}: binary, with a zero byte in line {content[: content.index(0)].count(10) + 1}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}: line {line} is not UTF-8 (byte {content[error.start]:#04x}); convert it, for example with iconv"
        ) from error


def _content(path: Path) -> bytes:
    """Return a file's bytes, at most its first ones if they are no text: a sparse file can claim any size."""
    with path.open("rb") as file:
        first = file.read(_FIRST)
        rest = os.fstat(file.fileno()).st_size - len(first)
        if b"\0" in first:
            return first
        if rest > 0 and (fault := shortage(_COPIES * rest)) is not None:
            raise InputError(f"{path}: its texts {fault}")
        return first + file.read()


def read_lines(path: Path, whole: str) -> tuple[Sequence[str], int]:
    """Return the lines of a text without their ends, and the number of empty lines skipped.

    Raises:
        InputError: all of them are empty.
    """
    lines = [line.removesuffix("\r") for line in whole.removesuffix("\n").split("\n")]
    filled = [line for line in lines if line]
    if not filled:
        raise InputError(f"{path}: all of its lines are empty")
    return filled, len(lines) - len(filled)
