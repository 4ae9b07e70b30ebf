"""Fetches one archive, complete and with the expected checksum, or not at all."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import urllib.error
import urllib.request
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genbench.datasets.source import Progress
from genbench.machine.atomic import replacing
from genbench.machine.regular_file import open_regular

__all__ = ["Archive", "DownloadError", "fetch", "md5_of", "unlike_packed"]

TIMEOUT_S = 30  # to connect, and for silence afterwards; without it, a network that drops packets would hang for ever
_BLOCK = 1 << 18


class DownloadError(Exception):
    """No address delivered the archive; the message gives the reason for each."""


@dataclass(frozen=True)
class Archive:
    """One file to fetch.

    Args:
        path: its destination, relative to the data root.
        urls: its addresses, in the order in which they are tried.
        checksum: of the whole file in hex: 32 digits of MD5 or 64 of SHA-256, as stated by its publisher or its users.
    """

    path: str
    urls: tuple[str, ...]
    checksum: str


def fetch(archive: Archive, root: Path, *, download: bool = True, progress: Progress | None = None) -> None:
    """Fetch the archive to its place below `root`, unless it is already there with the right checksum.

    Raises:
        DownloadError: every address failed or delivered a file with another checksum, which is deleted; or the archive
            must be downloaded and `download` forbids it.
    """
    target = root / archive.path
    failures = []
    if target.is_file():
        try:
            _require(target, archive.checksum)
            return
        except DownloadError as error:
            failures.append(f"{target}: {error}")
    for url in archive.urls if download else ():
        try:
            with replacing(target) as temporary:
                _copy(url, temporary, progress)
                _require(temporary, archive.checksum)
            return
        except (OSError, http.client.HTTPException, DownloadError) as error:
            reason = error.reason if type(error) is urllib.error.URLError else error
            failures.append(f"{url}: {reason}")
    _remove_empty_folders(target.parent, root)
    raise DownloadError("; ".join(failures if download else [*failures, "downloading is switched off"]))


def _remove_empty_folders(folder: Path, root: Path) -> None:
    """Remove the folders below `root` that were created for a file that was never fetched."""
    with contextlib.suppress(OSError):  # not empty, or none was created
        while folder.is_relative_to(root) and folder != root:
            folder.rmdir()
            folder = folder.parent


def md5_of(path: Path) -> str:
    """Return the MD5 of a file, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def unlike_packed(archives: Sequence[Archive], root: Path) -> str | None:
    """Return a message naming an unpacked file that differs from the `.gz` next to it, or None if all match.

    torchvision checks its downloads but, for the IDX format, not the files it unpacked from them. It checks other
    formats by MD5 whenever it reads them. A damaged `.gz` proves nothing.
    """
    for archive in archives:
        packed = root / archive.path
        plain = packed.with_suffix("")
        if packed.suffix != ".gz" or not packed.is_file():
            continue
        with (
            contextlib.suppress(OSError, EOFError, zlib.error),
            gzip.open(packed) as inside,
            open_regular(plain) as file,
        ):
            if hashlib.file_digest(inside, "sha256").digest() != hashlib.file_digest(file, "sha256").digest():
                return f"{plain} is corrupt: it is not what {packed} holds"
    return None


def _copy(url: str, path: Path, progress: Progress | None) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "genbench"})
    with _opened(request) as answer, path.open("wb") as file:
        length, done = int(answer.headers.get("Content-Length") or 0), 0
        while block := answer.read(_BLOCK):
            file.write(block)
            done += len(block)
            if progress is not None and length:
                progress(done, length)
    if done < length:
        raise DownloadError(f"the connection closed after {done} of {length} bytes")


def _opened(request: urllib.request.Request) -> http.client.HTTPResponse:
    try:
        answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        with error:  # the error object holds the connection
            raise DownloadError(str(error)) from error
    return answer


def _require(path: Path, expected: str) -> None:
    name, actual = ("MD5", md5_of(path)) if len(expected) == 32 else ("SHA-256", _sha256_of(path))
    if actual != expected:
        raise DownloadError(f"corrupt, its {name} is {actual} and not {expected}")


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
