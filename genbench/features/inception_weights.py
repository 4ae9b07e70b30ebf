"""Getting Inception's weights: from a file that the user names, from the cache, or from the published release."""

from __future__ import annotations

import http.client
import tempfile
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from genbench.atomic import TEMPORARY_PREFIX
from genbench.errors import InputError
from genbench.features import cache as locations
from genbench.features.inception import parameter_shapes
from genbench.features.weight_file import (
    check_shapes,
    content_sha256,
    exclusive,
    file_sha256,
    read_metadata,
    read_tensors,
    write_tensors,
)

__all__ = ["InceptionWeights", "fetch", "find_weights"]

_CHUNK = 1 << 18
_TIMEOUT_S = 30.0
_WHAT = "inception weights"


@dataclass(frozen=True)
class InceptionWeights:
    """Tensors that fit the architecture, their identity, and whether they are the published ones.

    How `official` is known. The published file is recognised by the SHA-256 of its bytes, whichever way it came. Its
    conversion in the cache is made only after that check; it records the file's hash and the content's hash, and is
    believed only at its place in the cache and while its content hashes to what it records. The metadata of any other
    safetensors file is never read: whatever it claims, it is not official.
    """

    tensors: Mapping[str, Tensor]
    sha256: str
    official: bool


def find_weights(
    given: Path | None, cache: Path, *, download: bool, progress: Callable[[str, int, int], None] | None
) -> InceptionWeights:
    """Return the weights in `given`, else those in the cache, else fetch them into the cache.

    Raises:
        InputError: the file is missing, damaged or of another architecture; nothing is at hand and `download` is off
            or fails; a fetched file has the wrong hash.
    """
    cached, placed = locations.inception_cached(cache), locations.inception_placed(cache)
    if given is not None and given.resolve() != cached.resolve():
        return _from_user(given)
    if (found := _from_cache(cached)) is not None:
        return found
    if not placed.is_file() and not download:
        raise InputError(f"{_WHAT}: not at hand; {_by_hand(placed)}")
    with exclusive(cached.with_suffix(".lock")):
        if (found := _from_cache(cached)) is not None:  # another process has fetched them meanwhile
            return found
        if placed.is_file():
            return _convert(placed, cached, f"{placed} (delete it or put the right one there)")
        with tempfile.TemporaryDirectory(dir=cached.parent, prefix=TEMPORARY_PREFIX) as folder:
            fetched, url = Path(folder) / locations.INCEPTION.file_name, locations.inception_url()
            fetch(url, fetched, progress=progress, otherwise=_by_hand(placed))
            return _convert(fetched, cached, f"what {url} sent (it has been deleted)")


def fetch(
    url: str, target: Path, *, progress: Callable[[str, int, int], None] | None = None, otherwise: str = "try again"
) -> None:
    """Fetch `url` into the new file `target`; `otherwise` says in an error what else the user can do."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response, target.open("wb") as file:
            total = int(response.headers.get("Content-Length") or 0)
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                if progress is not None:
                    progress("fetching inception weights", file.tell(), total)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(f"{_WHAT}: cannot fetch {url} ({reason}); {otherwise}") from error
    got = target.stat().st_size
    if got < total:
        raise InputError(f"{_WHAT}: {url} broke off after {got:,} of {total:,} bytes; try again, or {otherwise}")


def _from_user(path: Path) -> InceptionWeights:
    tensors = read_tensors(path, _WHAT)
    check_shapes(tensors, parameter_shapes(), f"{_WHAT}: {path}")
    return InceptionWeights(tensors, content_sha256(tensors), file_sha256(path) == locations.INCEPTION.sha256)


def _from_cache(cached: Path) -> InceptionWeights | None:
    """Return the converted weights, or None where there are none that are whole."""
    recorded = read_metadata(cached)
    if recorded.get("file_sha256") != locations.INCEPTION.sha256:
        return None
    try:
        tensors = read_tensors(cached, _WHAT)
    except InputError:
        return None
    content = content_sha256(tensors)
    return InceptionWeights(tensors, content, True) if content == recorded.get("weights_sha256") else None


def _convert(published: Path, cached: Path, origin: str) -> InceptionWeights:
    """Check the published file's hash and keep its tensors as safetensors; `origin` names the file in an error."""
    got, expected = file_sha256(published), locations.INCEPTION.sha256
    if got != expected:
        raise InputError(
            f"{_WHAT}: {origin} has SHA-256 {got}, expected {expected}; "
            "other weights of this architecture can be given with --weights FILE"
        )
    tensors = read_tensors(published, _WHAT)
    check_shapes(tensors, parameter_shapes(), f"{_WHAT}: {published.name}")
    content = content_sha256(tensors)
    write_tensors(cached, tensors, {"file_sha256": got, "weights_sha256": content})
    return InceptionWeights(tensors, content, True)


def _by_hand(placed: Path) -> str:
    return f"fetch {locations.INCEPTION.url} on a machine with a network and put it at {placed}, or give it with --weights"
