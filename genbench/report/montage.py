"""Captioned grids of images side by side: what most readers look at first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from genbench.machine.atomic import Replacing, replacing
from genbench.machine.regular_file import is_inside
from genbench.report.drawing import GREY, caption, font_file
from genbench.report.order import Record
from genbench.report.sections import Section

__all__ = ["MOST_TILES", "Tile", "artifact", "reconstruction_tiles", "sample_tiles", "write_montage"]

MOST_TILES = 12
_TILE = 300  # pixels; four side by side fill the width of a README
_GAP = 14
_TEXT = 17


@dataclass(frozen=True)
class Tile:
    """A grid of images and the name above it."""

    name: str
    path: Path


def artifact(directory: Path, record: Record, kind: str) -> Path | None:
    """Return the file of an artifact, or None if there is none inside `directory`."""
    relative = (record.get("artifacts") or {}).get(kind)
    if not relative or "\\" in relative:
        return None
    if relative.startswith("/") or ".." in relative.split("/"):
        return None
    # Of many records, and most have it or most lack it: no path before it is known to be there.
    path = f"{directory}/{relative}"
    return directory / relative if os.path.isfile(path) and is_inside(path, directory) else None


def sample_tiles(section: Section, directory: Path) -> list[Tile]:
    """Return the data, then the samples of each model's first seed, or of the controls if there are no models."""
    reference = _first(section, directory, "reference")
    tiles = [Tile("data", reference)] if reference else []
    return tiles + _tiles(section, directory, "samples")


def reconstruction_tiles(section: Section, directory: Path) -> list[Tile]:
    """Return the reconstructions of each model's first seed."""
    return _tiles(section, directory, "reconstructions")


def write_montage(tiles: Sequence[Tile], path: Path, replacing: Replacing = replacing, note: str = "") -> bool:
    """Write the tiles as one PNG, skipping those that cannot be read. Return whether there was anything to write.

    Args:
        note: a sentence above all tiles, on as many lines as it needs.
    """
    read = [(tile.name, image) for tile in tiles[:MOST_TILES] if (image := _read(tile.path))]
    if not read:
        return False
    columns = min(2, len(read)) if _is_wide(read[0][1]) else _columns(len(read))
    font = ImageFont.truetype(str(font_file()), _TEXT)
    width = max(image.width for _, image in read)
    heights = [
        max(image.height for _, image in read[start : start + columns]) for start in range(0, len(read), columns)
    ]
    line = _TEXT + 10
    whole, small = columns * (width + _GAP) + _GAP, ImageFont.truetype(str(font_file()), _TEXT - 3)
    notes = _wrapped(note, small, whole - 2 * _GAP)
    over = line * len(notes)
    canvas = Image.new("RGB", (whole, over + sum(heights) + len(heights) * (line + _GAP) + _GAP), "white")
    draw = ImageDraw.Draw(canvas)
    for place, part in enumerate(notes):
        draw.text((whole / 2, _GAP + place * line), part, fill=GREY, font=small, anchor="ma")
    for position, (name, image) in enumerate(read):
        row, column = divmod(position, columns)
        left = _GAP + column * (width + _GAP)
        top = over + _GAP + sum(heights[:row]) + row * (line + _GAP)
        draw.text((left + width / 2, top), _fitting(caption(name), font, width), fill="#222222", font=font, anchor="ma")
        canvas.paste(image, (left + (width - image.width) // 2, top + line))
    with replacing(path) as temporary:
        canvas.save(temporary, format="PNG", optimize=False)
    return True


def _first(section: Section, directory: Path, kind: str) -> Path | None:
    found = (artifact(directory, record, kind) for row in section.rows for record in row.records)
    return next((path for path in found if path), None)


def _tiles(section: Section, directory: Path, kind: str) -> list[Tile]:
    tiles = []
    for row in section.models or section.controls:
        # The first seed, not the best-looking one.
        path = artifact(directory, row.records[0], kind) if row.records else None
        if path:
            tiles.append(Tile(row.name, path))
    return tiles


def _read(path: Path) -> Image.Image | None:
    try:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    wanted = 2 * _TILE if _is_wide(image) else _TILE
    if image.width < wanted:
        # Integer factors and no smoothing: a reader must see the pixels that the model drew.
        factor = max(1, round(wanted / image.width))
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    if image.width > 2 * wanted:
        height = max(1, round(image.height * 2 * wanted / image.width))
        return image.resize((2 * wanted, height), Image.Resampling.LANCZOS)
    return image


def _is_wide(image: Image.Image) -> bool:
    return image.width > 2.2 * image.height


def _columns(count: int) -> int:
    return count if count <= 5 else 3 if count in {6, 9} else 4


def _fitting(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    text = text.replace(r"\$", "$").strip()
    while len(text) > 1 and font.getlength(text) > width:
        text = f"{text[:-2]}…"
    return text


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Return text in lines that are no wider than `width`, unless a single word is."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
