"""The figures of a report as files: half of them are drawn by a copy of this process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from genbench.machine.atomic import Replacing, replacing
from genbench.report.beside import beside
from genbench.report.drawing import plain_style, png

__all__ = ["FigureFiles"]

_Drawing = tuple[str, Callable[[], Figure]]


class FigureFiles:
    """The figures of a page, named while it is composed and drawn while it is written.

    Args:
        directory: the page's folder.
        replacing: used to write each file.
    """

    def __init__(self, directory: Path, replacing: Replacing = replacing) -> None:
        self._directory = directory
        self._replacing = replacing
        self._drawings: list[_Drawing] = []

    def add(self, name: str, make: Callable[[], Figure]) -> str:
        """Name a figure; return its file relative to the page, which will exist once `drawn` ends."""
        file = f"figures/{name}.png"
        self._drawings.append((file, make))
        return file

    @contextlib.contextmanager
    def drawn(self) -> Iterator[None]:
        """Draw and write all figures by the end of the block."""
        # Alternately, because neighbours are the figures of one section: each kind of figure takes about the same time.
        here, there = self._drawings[1::2], self._drawings[::2]
        with beside(lambda: _draw(there)) as result:
            yield
            self._write(here, _draw(here))
            self._write(there, result())

    def _write(self, drawings: Sequence[_Drawing], contents: Sequence[bytes]) -> None:
        for (file, _), content in zip(drawings, contents, strict=True):
            with self._replacing(self._directory / file) as temporary:
                temporary.write_bytes(content)


def _draw(drawings: Sequence[_Drawing]) -> list[bytes]:
    with plain_style():
        return [png(make()) for _, make in drawings]
