"""A page with its pictures in it, for a reader that has no folder beside it."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from urllib.parse import unquote

__all__ = ["with_pictures"]

_PICTURE = re.compile(r"(!\[(?:[^\]\\]|\\.)*\])\(([A-Za-z0-9/._%-]+\.png)\)")
_MOST_BYTES = 8 * 2**20  # of one picture: a notebook keeps them all


def with_pictures(page: Path) -> str:
    """Return the Markdown of `page` with the pictures of its folder as data, since links to files lead nowhere."""
    folder = page.parent

    def inlined(found: re.Match[str]) -> str:
        alt, target = found.groups()
        path = folder / unquote(target)
        # A page is text that may have been edited: of its own folder alone, and no more than a picture's size.
        inside = path.resolve().is_relative_to(folder.resolve())
        if not inside or not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return found.group()
        return f"{alt}(data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()})"

    return _PICTURE.sub(inlined, page.read_text(encoding="utf-8"))
