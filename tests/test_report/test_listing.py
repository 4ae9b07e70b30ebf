"""Texts made by models, in a report: side by side, and harmless whatever they contain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from genbench.kinds.text import Text
from genbench.report.listing import pair_listing, text_listing
from genbench.report.montage import Tile, write_montage

LETTERS = Text(("", "\n", " ", *"`abc|<&\\"))


def tokens(texts: Sequence[str], length: int = 8) -> torch.Tensor:
    rows = [(LETTERS.tokens(text) + [0] * length)[:length] for text in texts]
    return torch.tensor(rows, dtype=torch.int16)


@pytest.fixture
def tiles(tmp_path: Path) -> list[Tile]:
    made = {"data": ["abc", "ba", "c"], "rnn": ["ab", "", "a|b"]}
    for name, texts in made.items():
        LETTERS.show(tmp_path / f"{name}.txt", tokens(texts))
    return [Tile(name, tmp_path / f"{name}.txt") for name in made]


def test_short_texts_stand_in_a_table_one_column_a_model(tiles: list[Tile]) -> None:
    assert text_listing(tiles).splitlines() == [
        "| data | rnn |",
        "| --- | --- |",
        "| `abc` | `ab` |",
        "| `ba` |  |",
        "| `c` | <code>a&#124;b</code> |",
    ]


def test_long_texts_stand_one_model_after_the_other_in_blocks_that_nothing_ends(tmp_path: Path) -> None:
    LETTERS.show(tmp_path / "a.txt", tokens(["a" * 40, "```", "<b\n\\"], 40))
    listed = text_listing([Tile("a*b", tmp_path / "a.txt")])
    assert listed.splitlines() == ["a\\*b", "", "````", "a" * 40, "```", "<b\\n\\\\", "````"]


def test_reconstructions_stand_beside_their_originals(tmp_path: Path) -> None:
    for name, restored in (("ae", ["abc", "aa"]), ("vae", ["ab", "ba"])):
        LETTERS.show_pairs(tmp_path / f"{name}.txt", tokens(["abc", "ba"]), tokens(restored))
    listed = pair_listing([Tile(name, tmp_path / f"{name}.txt") for name in ("ae", "vae")])
    assert listed.splitlines() == [
        "| data | ae | vae |",
        "| --- | --- | --- |",
        "| `abc` | `abc` | `ab` |",
        "| `ba` | `aa` | `ba` |",
    ]


def test_what_is_no_listing_or_cannot_be_read_is_left_out(tmp_path: Path, tiles: list[Tile]) -> None:
    (tmp_path / "grid.png").write_bytes(b"abc\n")
    others = [Tile("grid", tmp_path / "grid.png"), Tile("gone", tmp_path / "gone.txt")]
    assert text_listing(others) == pair_listing(others) == ""
    assert "grid" not in text_listing([*others, *tiles])
    assert pair_listing(tiles) == "", "without an arrow there is no pair"
    assert not write_montage(tiles, tmp_path / "out.png"), "a listing is not a picture"


def test_bytes_that_are_no_text_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"ok\n\xff\x1b[2Jred\n")
    listed = text_listing([Tile("m", tmp_path / "a.txt")])
    assert "\x1b" not in listed
    assert "&#92;x1b" in listed
