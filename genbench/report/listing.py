"""Texts that models produced, side by side under their names, from the listings that cells leave."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from genbench.report.escape import code, fence, text
from genbench.report.montage import MOST_TILES, Tile

__all__ = ["SUFFIX", "pair_listing", "text_listing"]

SUFFIX = ".txt"
_ARROW = "\t→\t"  # between a text and its reconstruction
_ROWS = 20  # of a table; the file has the rest
_IN_A_BLOCK = 8  # how many texts, if they are too long for a table
_WIDEST = 32  # characters of a text in a table
_MOST_COLUMNS = 8
_MOST_BYTES = 1 << 20  # of a listing that are read


def text_listing(tiles: Sequence[Tile]) -> str:
    """Return the first texts of each tile as a table, or one below another if they are long; empty without any."""
    named = [(tile.name, lines) for tile in tiles[:MOST_TILES] if (lines := _lines(tile.path))]
    return _side_by_side(named) if named else ""


def pair_listing(tiles: Sequence[Tile]) -> str:
    """Return texts, each next to the models' reconstructions; empty if there are none."""
    columns: dict[str, list[str]] = {}
    for tile in tiles[:MOST_TILES]:
        pairs = [line.split(_ARROW) for line in _lines(tile.path)]
        whole = [pair for pair in pairs if len(pair) == 2]
        if whole:
            columns.setdefault("data", [first for first, _ in whole])
            columns[tile.name] = [second for _, second in whole]
    return _side_by_side(list(columns.items())) if columns else ""


def _lines(path: Path) -> list[str]:
    """Return the lines of a listing; empty if it is not a listing or cannot be read."""
    if path.suffix != SUFFIX:
        return []
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES)
    except OSError:
        return []
    return content.decode("utf-8", "replace").removesuffix("\n").split("\n")


def _side_by_side(columns: Sequence[tuple[str, Sequence[str]]]) -> str:
    longest = max(len(line) for _, lines in columns for line in lines[:_ROWS])
    if longest > _WIDEST or len(columns) > _MOST_COLUMNS:
        return "\n\n".join(f"{text(name)}\n\n{fence(chr(10).join(lines[:_IN_A_BLOCK]))}" for name, lines in columns)
    rows = [f"| {' | '.join(text(name) for name, _ in columns)} |", "| --- " * len(columns) + "|"]
    for cells in zip_longest(*(lines[:_ROWS] for _, lines in columns), fillvalue=""):
        rows.append(f"| {' | '.join(code(cell) if cell.strip() else '' for cell in cells)} |")
    return "\n".join(rows)
