"""Where weights are kept and where Inception's come from; free of torch, so that `genbench doctor` stays quick."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["INCEPTION", "Source", "default_cache", "inception_cached", "inception_placed", "inception_weights_at_hand"]


@dataclass(frozen=True)
class Source:
    """A published weights file: where it is fetched from, and what it must hash to."""

    url: str
    file_name: str
    sha256: str


# The 2015 TensorFlow Inception-v3, converted for PyTorch; 95,628,359 bytes. The name of the file carries the first
# eight digits of its SHA-256, and torch-fidelity and pytorch-fid publish the same file.
INCEPTION = Source(
    url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    file_name="weights-inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
)


def default_cache() -> Path:
    """Return `$GENBENCH_CACHE`, else `$XDG_CACHE_HOME/genbench`, else `~/.cache/genbench`."""
    if chosen := os.environ.get("GENBENCH_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genbench"


def inception_url() -> str:
    """Return where to fetch from: `$GENBENCH_INCEPTION_URL` (a mirror; the hash is checked all the same) or the release."""
    return os.environ.get("GENBENCH_INCEPTION_URL") or INCEPTION.url


def inception_cached(cache: Path) -> Path:
    """Return where the converted weights are kept."""
    return cache / "weights" / "inception-2015-12-05.safetensors"


def inception_placed(cache: Path) -> Path:
    """Return where a user without a network puts the published file."""
    return cache / "weights" / INCEPTION.file_name


def inception_weights_at_hand(cache: Path | None = None) -> Path | None:
    """Return the file that Inception's weights would be read from without any network, or None.

    The file is not opened: `load` checks it, and says what is wrong with it.
    """
    folder = cache or default_cache()
    candidates = (inception_cached(folder), inception_placed(folder))
    return next((path for path in candidates if path.is_file()), None)
