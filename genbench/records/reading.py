"""Reads the records of a folder in compact form; two processes share a large folder.

The second process runs this module as a program. It is started, not forked, so it does not matter what the first one is
running. Whatever the second cannot read, or has not read when it ends, the first reads itself.
"""

from __future__ import annotations

import contextlib
import gc
import marshal
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from genbench.records.files import Digest, contents_of, record_files
from genbench.records.lean import Known, LeanRecord, Packed
from genbench.records.packing import PackedReader
from genbench.records.record import RecordError

__all__ = ["LEAST_RECORDS", "lean_records"]

LEAST_RECORDS = 2000
"""With fewer records, one process has read them before a second one has started."""

_OWN, _OTHERS = 230, 270  # records at a time: the first process also takes in what the second has read
_SIZE_BYTES = 8


def lean_records(directory: Path, digest: Digest | None = None) -> Iterator[LeanRecord]:
    """Yield the records of a benchmark's directory, in order of file name, each in compact form (`lean.LeanRecord`).

    Args:
        digest: is fed what was read (`files.record_contents`).

    Raises:
        RecordError: one cannot be trusted, as in `files.read_record`.
    """
    paths = list(record_files(directory))
    two = len(paths) >= LEAST_RECORDS and len(os.sched_getaffinity(0)) > 1 and bool(sys.executable)
    return map(Known().record, _by_two(paths, digest) if two else _by_one(paths, digest))


def _by_one(paths: Sequence[Path], digest: Digest | None, read: PackedReader | None = None) -> Iterator[Packed]:
    read = read or PackedReader()
    return (read(path, content) for path, content in contents_of(paths, digest))


def _by_two(paths: Sequence[Path], digest: Digest | None) -> Iterator[Packed]:
    """Read in turns, so that records come in order of name, and an error names the first faulty one."""
    reader = PackedReader()
    turns = [paths[start : start + _OWN + _OTHERS] for start in range(0, len(paths), _OWN + _OTHERS)]
    with _second_process([[str(path) for path in turn[_OWN:]] for turn in turns]) as received:
        for turn in turns:
            yield from _by_one(turn[:_OWN], digest, reader)
            found = marshal.loads(next(received, _NOTHING))
            if found is None:
                yield from _by_one(turn[_OWN:], digest, reader)
                continue
            content, shared, records = found
            if digest:
                digest.update(content)
            for template, layout, *own in records:
                yield Packed(shared[template], shared[layout], *own)


@contextlib.contextmanager
def _second_process(parts: Sequence[Sequence[str]]) -> Iterator[Iterator[bytes]]:
    """Start a second process that reads these parts; yield its result for each, for as long as it lives."""
    # -P keeps the working directory off its import path.
    command = [sys.executable, "-P", "-m", __name__]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]  # a mapping has no overload
        received: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        # A pipe holds only a few records; the second process must not block until the first one reads them.
        thread = threading.Thread(target=_receive, args=(process.stdin, parts, process.stdout, received), daemon=True)
        thread.start()
        try:
            yield iter(received.get, None)
        finally:
            process.kill()
            thread.join()


def _receive(
    asks: IO[bytes], parts: Sequence[Sequence[str]], answers: IO[bytes], received: queue.SimpleQueue[bytes | None]
) -> None:
    try:
        with contextlib.suppress(BrokenPipeError), asks:
            marshal.dump([list(part) for part in parts], asks)
        while len(size := answers.read(_SIZE_BYTES)) == _SIZE_BYTES:
            packed = answers.read(int.from_bytes(size, "little"))
            if len(packed) < int.from_bytes(size, "little"):
                break
            received.put(packed)
    finally:
        received.put(None)


class _Fed:
    """A digest that records what it is fed, so that another process can feed its own."""

    def __init__(self) -> None:
        self.content = b""

    def update(self, data: bytes, /) -> None:
        self.content += data


def _packed(paths: Sequence[str], reader: PackedReader) -> bytes:
    """Return these records and what a digest of them is fed, as bytes; None if one of them is faulty."""
    fed, shared = _Fed(), {b"": 0}
    try:
        read = [reader(path, content) for path, content in contents_of(map(Path, paths), fed)]
    except RecordError:
        return _NOTHING
    # What records have in common, most of their bytes, is sent once.
    places = [[shared.setdefault(part, len(shared)) for part in (one.template, one.layout)] for one in read]
    records = [(*place, *one[2:]) for place, one in zip(places, read, strict=True)]
    return marshal.dumps((fed.content, list(shared), records))


_NOTHING = marshal.dumps(None)


def _main() -> None:
    reader = PackedReader()
    gc.disable()  # what is made here holds no cycles
    for paths in marshal.load(sys.stdin.buffer):
        packed = _packed(paths, reader)
        sys.stdout.buffer.write(len(packed).to_bytes(_SIZE_BYTES, "little") + packed)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _main()
