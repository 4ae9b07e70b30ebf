"""Obtaining Inception's weights: from a file that the user names, from the cache, or from the published release."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from genbench.datasets.locking import locked
from genbench.errors import InputError
from genbench.features import inception_file
from genbench.features.extractor import Extractor
from genbench.features.inception import inception_extractor, parameter_shapes
from genbench.features.intake import check_rgb
from genbench.features.resize import PROFILES, profile_named
from genbench.features.weight_file import (
    check_shapes,
    content_sha256,
    file_sha256,
    read_metadata,
    read_tensors,
    write_tensors,
)
from genbench.machine.atomic import replacing

__all__ = ["InceptionWeights", "fetch", "find_weights", "load_inception"]

_CHUNK = 1 << 18
_TIMEOUT_S = 30  # for connecting, and for each read afterwards
_WHAT = "inception weights"


@dataclass(frozen=True)
class InceptionWeights:
    """Tensors that fit the architecture, their identity, and whether they are the published ones.

    How `official` is determined: the published file is recognised by the SHA-256 of its bytes, wherever it came from.
    The converted copy in the cache is written only after that check; it records the file's hash and the content's
    hash, and is trusted only at its place in the cache and while its content matches the recorded hash. The metadata
    of any other safetensors file is never read: whatever it claims, the file is not official.
    """

    tensors: Mapping[str, Tensor]
    sha256: str
    official: bool


def find_weights(
    given: Path | None, cache: Path, *, download: bool, progress: Callable[[str, int, int], None] | None
) -> InceptionWeights:
    """Return the weights in `given`, else those in the cache, else download them into the cache.

    Raises:
        InputError: the file is missing, damaged or of another architecture; no copy is available and `download` is off
            or fails; a downloaded file has the wrong hash.
    """
    cached, placed = inception_file.cached_at(cache), inception_file.placed_at(cache)
    if given is not None and os.path.realpath(given) != os.path.realpath(cached):
        return _from_user(given)
    if (found := _from_cache(cached)) is not None:
        return found
    if not placed.is_file() and not download:
        raise InputError(f"{_WHAT}: not available; {_by_hand(placed)}")
    with locked(cached):
        if (found := _from_cache(cached)) is not None:  # another process has downloaded them in the meantime
            return found
        by_hand = placed.is_file()
        if not by_hand:
            fetch(inception_file.source_url(), placed, progress)
        found = _convert(placed, cached)
        if not by_hand:
            placed.unlink()
        return found


def load_inception(
    given: Path | None,
    cache: Path,
    shape: torch.Size,
    device: torch.device,
    profile: str | None,
    precision: str,
    *,
    download: bool = True,
    progress: Callable[[str, int, int], None] | None = None,
) -> Extractor:
    """Return Inception with the weights that `find_weights` finds; the arguments are checked before any download.

    Raises:
        InputError: as for `find_weights`; an unknown profile; images of neither 1 nor 3 channels.
    """
    chosen = profile_named("inception", PROFILES, profile)
    check_rgb("inception", shape)
    found = find_weights(given, cache, download=download, progress=progress)
    return inception_extractor(
        found.tensors,
        weights_sha256=found.sha256,
        official=found.official,
        device=device,
        profile=chosen,
        precision=precision,
    )


def fetch(url: str, target: Path, progress: Callable[[str, int, int], None] | None = None) -> None:
    """Download the published file from `url` to `target`: complete and with the right SHA-256, or not at all.

    Raises:
        InputError: the network or the folder fails, the connection is lost, or the hash is wrong.
    """
    try:
        with replacing(target, private=True) as temporary:
            _copy(url, temporary, progress)
            _require_published(temporary, f"the file from {url} (now deleted)")
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection
        reason = error.reason if type(error) is urllib.error.URLError else error
        raise InputError(f"{_WHAT}: cannot download {url} to {target.parent} ({reason}); {_by_hand(target)}") from error


def _copy(url: str, path: Path, progress: Callable[[str, int, int], None] | None) -> None:
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer, path.open("wb") as file:
        total = int(answer.headers.get("Content-Length") or 0)
        while chunk := answer.read(_CHUNK):
            file.write(chunk)
            if progress is not None:
                progress("downloading inception weights", file.tell(), total)
        if file.tell() < total:
            raise ConnectionError(f"the connection closed after {file.tell():,} of {total:,} bytes")


def _require_published(path: Path, origin: str) -> None:
    got, expected = file_sha256(path), inception_file.PUBLISHED.sha256
    if got != expected:
        raise InputError(
            f"{_WHAT}: {origin} has SHA-256 {got}, expected {expected}; "
            "to use other weights of this architecture, add --weights FILE"
        )


def _from_user(path: Path) -> InceptionWeights:
    tensors = read_tensors(path, _WHAT)
    check_shapes(tensors, parameter_shapes(), f"{_WHAT}: {path}")
    return InceptionWeights(tensors, content_sha256(tensors), file_sha256(path) == inception_file.PUBLISHED.sha256)


def _from_cache(cached: Path) -> InceptionWeights | None:
    """Return the converted weights, or None if they are missing or damaged."""
    recorded = read_metadata(cached)
    if recorded.get("file_sha256") != inception_file.PUBLISHED.sha256:
        return None
    try:
        tensors = read_tensors(cached, _WHAT)
    except InputError:
        return None
    content = content_sha256(tensors)
    return InceptionWeights(tensors, content, True) if content == recorded.get("weights_sha256") else None


def _convert(placed: Path, cached: Path) -> InceptionWeights:
    """Check the published file's hash, and save its tensors as safetensors."""
    _require_published(placed, f"{placed} (delete it, or put the right one there)")
    tensors = read_tensors(placed, _WHAT)
    check_shapes(tensors, parameter_shapes(), f"{_WHAT}: {placed}")
    content = content_sha256(tensors)
    write_tensors(cached, tensors, {"file_sha256": inception_file.PUBLISHED.sha256, "weights_sha256": content})
    return InceptionWeights(tensors, content, True)


def _by_hand(placed: Path) -> str:
    return f"download {inception_file.PUBLISHED.url} elsewhere and put it at {placed}, or pass its path with --weights"
