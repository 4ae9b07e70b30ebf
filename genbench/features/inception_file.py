"""Where Inception's published weights come from and are kept; without torch, so that `genbench doctor` stays fast."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from genbench.datasets.source import cache_root

__all__ = ["PUBLISHED", "PublishedFile", "cached_at", "placed_at", "source_url", "cached_weights"]


@dataclass(frozen=True)
class PublishedFile:
    """A published weights file: its URL, its name, and its expected hash."""

    url: str
    name: str
    sha256: str


# The 2015 TensorFlow Inception-v3, converted for PyTorch: 95,628,359 bytes. torch-fidelity and pytorch-fid publish the
# same file; its SHA-256 starts with the eight digits in its name.
PUBLISHED = PublishedFile(
    url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    name="weights-inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
)


def source_url() -> str:
    """Return `$GENBENCH_INCEPTION_URL` (a mirror; the hash is still checked), else the published URL."""
    return os.environ.get("GENBENCH_INCEPTION_URL") or PUBLISHED.url


def cached_at(cache: Path) -> Path:
    """Return where the converted weights are kept."""
    return cache / "weights" / "inception-2015-12-05.safetensors"


def placed_at(cache: Path) -> Path:
    """Return where a user without network access puts the published file."""
    return cache / "weights" / PUBLISHED.name


def cached_weights(cache: Path | None = None) -> Path | None:
    """Return the cached file from which Inception's weights would be read without network access, or None.

    The file is not opened: `genbench.features.load` checks it, and reports what is wrong with it.
    """
    folder = cache or cache_root()
    return next((path for path in (cached_at(folder), placed_at(folder)) if path.is_file()), None)
