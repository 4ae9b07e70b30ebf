"""Embeds a page's pictures, for viewers that cannot reach the report's folder."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from urllib.parse import unquote

__all__ = ["with_pictures"]

_PICTURE = re.compile(r"(!\[(?:[^\]\\]|\\.)*\])\(([A-Za-z0-9/._%-]+\.png)\)")
_MOST_BYTES = 8 * 2**20  # of one picture: a notebook keeps them all


def with_pictures(page: Path) -> str:
    """Return the Markdown of `page` with its folder's pictures embedded as data, since links to files would break."""
    folder = page.parent

    def inlined(found: re.Match[str]) -> str:
        alt, target = found.groups()
        path = folder / unquote(target)
        # The page may have been edited: only files in its own folder, and none larger than a picture.
        inside = path.resolve().is_relative_to(folder.resolve())
        if not inside or not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return found.group()
        return f"{alt}(data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()})"

    return _PICTURE.sub(inlined, page.read_text(encoding="utf-8"))
