"""Cutting images out of the grid that shows them gives them back to the pixel, and only where nothing was changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genbench.kinds import grid, kind_named, pictures


def images(count: int, channels: int, height: int, width: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(count)
    return torch.randint(256, (count, channels, height, width), dtype=torch.uint8, generator=draw)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(5, 11), (16, 7), (33, 34)], ids=["enlarged by 3", "by 2", "not enlarged"])
def test_every_image_of_a_grid_is_found_again(tmp_path: Path, channels: int, size: tuple[int, int]) -> None:
    """Nineteen images fill two rows, and three places of a third."""
    shown = images(19, channels, *size)
    pictures.save_grid(tmp_path / "grid.png", shown)
    found = grid.cut(tmp_path / "grid.png", (channels, *size), 19)
    expected = [image[0] if channels == 1 else image.permute(1, 2, 0) for image in shown]
    assert len(found) == 19
    for image, wanted in zip(found, expected, strict=True):
        assert np.array_equal(image, wanted.numpy())
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous


def test_no_more_images_are_cut_out_than_are_asked_for_and_empty_places_are_background(tmp_path: Path) -> None:
    shown = images(10, 1, 8, 8)
    pictures.save_grid(tmp_path / "grid.png", shown)
    assert len(grid.cut(tmp_path / "grid.png", (1, 8, 8), 9)) == 9
    whole = grid.cut(tmp_path / "grid.png", (1, 8, 8), 30)
    assert len(whole) == 16
    assert all((image == grid.BACKGROUND).all() for image in whole[10:])
    with pytest.raises(ValueError, match="not a grid of up to 8 images of 8 × 8"):
        grid.cut(tmp_path / "grid.png", (1, 8, 8), 8)


@pytest.mark.parametrize("channels", [2, 4])
def test_images_that_a_grid_shows_in_part_are_refused(tmp_path: Path, channels: int) -> None:
    pictures.save_grid(tmp_path / "grid.png", images(8, channels, 8, 8))
    with pytest.raises(ValueError, match=f"images with {channels} channels are not shown completely"):
        grid.cut(tmp_path / "grid.png", (channels, 8, 8), 8)


@pytest.mark.parametrize("at", [(0, 1), (1, 0), (31, 31), (13, 22)])
def test_one_changed_pixel_of_an_enlarged_image_is_noticed(tmp_path: Path, at: tuple[int, int]) -> None:
    pictures.save_grid(tmp_path / "grid.png", images(9, 1, 8, 8))
    with Image.open(tmp_path / "grid.png") as opened:
        pixels = np.array(opened)
    row, column = at
    pixels[2 * grid.GAP + 32 + row, grid.GAP + column] ^= 1  # in the ninth image, the only one of the second row
    Image.fromarray(pixels).save(tmp_path / "changed.png")
    with pytest.raises(ValueError, match="it was modified: its pixels are not squares"):
        grid.cut(tmp_path / "changed.png", (1, 8, 8), 9)


def test_images_stay_bytes_however_they_are_made() -> None:
    kind = kind_named("image")
    made = (
        kind.store(torch.zeros(2, 1, 2, 2)),
        kind.nearest(torch.full((2, 1, 2, 2), 127.4)),
        kind.random(2, (1, 2, 2), torch.Generator().manual_seed(0)),
    )
    assert [each.dtype for each in made] == [torch.uint8] * 3
