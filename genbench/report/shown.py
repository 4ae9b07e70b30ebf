"""A report as an object that a notebook shows."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from urllib.parse import unquote

import pandas

from genbench.report.stored import load_records

__all__ = ["Report"]

_PICTURE = re.compile(r"(!\[(?:[^\]\\]|\\.)*\])\(([A-Za-z0-9/._%-]+\.png)\)")
_MOST_BYTES = 8 * 2**20  # of one picture: a notebook keeps them all


class Report:
    """The report of a benchmark's folder: a notebook shows it, pictures included, where it is a cell's last value.

    It is rendered from the records where it is not current. `path` is its Markdown page, `records` its table of cells.

    Raises:
        InputError: the folder does not exist, or holds no records.

    Example::

        genbench.Report("reports/digits")
    """

    def __init__(self, directory: str | Path) -> None:
        from genbench.report import render_directory

        self.path = render_directory(Path(directory))

    @property
    def records(self) -> pandas.DataFrame:
        """One row a cell, as `load_records` gives them."""
        return load_records(self.path.parent)

    def __repr__(self) -> str:
        return f"Report({str(self.path.parent)!r})"

    def _repr_markdown_(self) -> str:
        """Return the page with its pictures in it: a notebook lies elsewhere, so links to files lead nowhere."""
        return _PICTURE.sub(self._inlined, self.path.read_text(encoding="utf-8"))

    def _inlined(self, found: re.Match[str]) -> str:
        alt, target = found.groups()
        path = self.path.parent / unquote(target)
        # A page is text that may have been edited: of its own folder alone, and no more than a picture's size.
        inside = path.resolve().is_relative_to(self.path.parent.resolve())
        if not inside or not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return found.group()
        return f"{alt}(data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()})"
