"""Whether an audio file ends before its format says so, which libsndfile does not report for WAV and OGG."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Literal

from genbench.machine.regular_file import open_regular

__all__ = ["truncation"]

_Order = Literal["little", "big"]
_ORDERS: dict[bytes, _Order] = {
    b"RIFF": "little",
    b"RIFX": "big",
    b"FORM": "big",
}  # WAV, WAV of the other byte order, AIFF
_W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
# Sizes in the header of a stream, which nobody went back to write; the second one is sox's.
_OPEN = (0, 0x7FFFF000, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
_MOST_CHUNKS = 1000  # searched for the samples
_PAGE = 27 + 255 + 255 * 255  # bytes of the largest page of an OGG file
_LAST_PAGE = 4


def truncation(path: Path) -> str | None:
    """Return what is missing from a file, or None if nothing is, or its format does not tell.

    A file that cannot be read gives None too: it is reported when it is opened.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(48)
            if start[:4] == b"OggS":
                return _ogg_fault(file, size)
            claimed = _claimed(file, start)
    except OSError:
        return None
    if claimed is None or claimed <= size + 1:  # many programs leave out the last byte, which only pads
        return None
    return f"it has {size:,} of {claimed:,} bytes"


def _claimed(file: BinaryIO, start: bytes) -> int | None:
    """Return the number of bytes that a header promises, or None."""
    if start[:16] == _W64:
        whole = int.from_bytes(start[16:24], "little")
        return None if whole in _OPEN else whole
    if start[:4] == b"RF64" and start[12:16] == b"ds64":
        whole = int.from_bytes(start[20:28], "little")
        return None if whole in _OPEN else whole + 8
    order = _ORDERS.get(start[:4])
    if order is None:
        return None
    whole = int.from_bytes(start[4:8], order)
    end = None if whole in _OPEN else _end_of_samples(file, order)
    return None if end is None else max(whole + 8, end)


def _end_of_samples(file: BinaryIO, order: _Order) -> int | None:
    """Return where the chunk `data` of a WAV file ends, 0 without one, None if it is open."""
    place = 12
    for _ in range(_MOST_CHUNKS):
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            break
        size = int.from_bytes(head[4:], order)
        if head[:4] == b"data":
            return None if size in _OPEN else place + 8 + size
        place += 8 + size + size % 2
    return 0


def _ogg_fault(file: BinaryIO, size: int) -> str | None:
    """Return what is missing from the last page of an OGG file: a part of it, or the mark that it is the last."""
    file.seek(max(0, size - _PAGE))
    tail = file.read()
    at = tail.rfind(b"OggS")
    if at < 0:  # something else was appended
        return None
    page = tail[at:]
    if len(page) < 27 or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]]):
        return "its last page is incomplete"
    return None if page[5] & _LAST_PAGE else "the page that ends its stream is missing"
