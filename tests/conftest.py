"""What several tests share: a cache folder of their own, and a small model from a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TINY = HERE / "models" / "tiny.py"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what tests cache away from the user's cache, and the user's data settings away from the tests."""
    before = dict(os.environ)
    os.environ["GENBENCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ.pop("GENBENCH_DATA", None)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def tiny() -> Path:
    """The path of the small model."""
    return TINY


@pytest.fixture
def write_plugin(tmp_path: Path):
    """Write the small model to a file, with one piece of its source replaced, and return its path."""

    def write(old: str = "", new: str = "", name: str = "faulty") -> Path:
        source = TINY.read_text()
        assert old in source, f"{old!r} is not in {TINY.name}"
        path = tmp_path / f"{name}.py"
        path.write_text(source.replace(old, new, 1) if old else source)
        return path

    return write
