"""What a kind promises, and what the image kind does with images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from genbench.datasets.dataset import Dataset, Split
from genbench.kinds import NOUNS, kind_named
from genbench.kinds.kind import Kind, Misfit
from genbench.kinds.nouns import noun_of

SHAPES = {"image": torch.Size((3, 4, 5))}


@pytest.fixture(params=NOUNS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return kind_named(request.param)


def drawn(kind: Kind, count: int = 50) -> torch.Tensor:
    return kind.random(count, SHAPES[kind.name], torch.Generator().manual_seed(0))


def test_what_is_stored_survives_delivery_and_storing(kind: Kind) -> None:
    stored = drawn(kind)
    assert stored.shape == (50, *SHAPES[kind.name])
    batch = kind.deliver(stored)
    assert torch.equal(kind.store(kind.check(batch, batch.shape)), stored)
    assert torch.equal(drawn(kind), stored), "random items follow from the generator alone"


def test_random_items_are_uniform_over_all_levels(kind: Kind) -> None:
    counts = torch.bincount(drawn(kind, 5000).flatten().long(), minlength=kind.levels)
    assert len(counts) == kind.levels
    expected = counts.sum() / kind.levels
    chi_squared = float(((counts - expected).square() / expected).sum())
    assert abs(chi_squared - (kind.levels - 1)) < 6 * (2 * (kind.levels - 1)) ** 0.5


def test_a_batch_of_another_shape_is_a_misfit(kind: Kind) -> None:
    batch = kind.deliver(drawn(kind))
    with pytest.raises(Misfit, match=r"\(50, .*\), expected \(49, "):
        kind.check(batch, (49, *batch.shape[1:]))
    with pytest.raises(Misfit, match=r"^NoneType, expected"):
        kind.check(None, batch.shape)


def test_its_noun_is_what_a_record_of_its_datasets_says(kind: Kind) -> None:
    split = Split(drawn(kind), None, kind)
    dataset = Dataset("x", split, split, None, "", "")
    assert noun_of({"name": "x", "kind": dataset.data.kind}) == kind.noun
    assert (dataset.data.count, dataset.data.shape, dataset.data.levels) == (50, SHAPES[kind.name], kind.levels)


def test_what_it_shows_is_a_file_that_people_can_look_at(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / f"items{kind.suffix}"
    kind.show(path, drawn(kind)[: kind.shown(SHAPES[kind.name])])
    assert path.stat().st_size > 100


def test_images_are_scaled_to_the_ends_of_the_range_and_rounded_back() -> None:
    image = kind_named("image")
    assert image.deliver(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]
    values = torch.tensor([-1.0, -0.999, 0.0, 0.5, 1.0, 1.0005, -1.0005])
    assert image.store(values).tolist() == [0, 0, 128, 191, 255, 255, 0]
    assert image.nearest(torch.tensor([-3.0, 7.4, 7.6, 300.0])).tolist() == [0, 7, 8, 255]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.tensor([1.002]), "values in [1.002, 1.002], expected values in [-1, 1]; end the network with tanh"),
        (torch.tensor([float("nan")]), "NaN, expected values in [-1, 1]"),
        (torch.zeros(1, dtype=torch.uint8), "torch.uint8, expected a float tensor of shape (1,) in [-1, 1]"),
    ],
)
def test_values_that_are_no_images(bad: torch.Tensor, message: str) -> None:
    with pytest.raises(Misfit) as error:
        kind_named("image").check(bad, (1,))
    assert str(error.value).startswith(message)


def test_a_grid_holds_64_images_and_a_plane_every_point(tmp_path: Path) -> None:
    image = kind_named("image")
    assert image.shown(torch.Size((1, 8, 8))) == 64
    assert image.shown(torch.Size((2, 1, 1))) > 10_000
    image.show(tmp_path / "grid.png", torch.zeros(64, 1, 8, 8, dtype=torch.uint8))
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size[0] == grid.size[1]


def test_every_grey_level_is_delivered_as_float32_arithmetic_has_it() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    delivered = kind_named("image").deliver(levels.view(-1, 1, 1, 1)).flatten()
    assert delivered.dtype == torch.float32
    assert torch.equal(delivered, torch.tensor([float(level) for level in range(256)]) / 127.5 - 1)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        assert kind_named("image").deliver(levels).dtype == torch.float32
    finally:
        torch.set_default_dtype(default)
