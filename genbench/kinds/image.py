"""Images: stored as uint8 (C, H, W), delivered to models as float32 in [-1, 1], shown as a grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from genbench.kinds import pictures
from genbench.kinds.bounded import bounded
from genbench.kinds.kind import Kind, Whole

__all__ = ["KIND"]

# A float32 tensor, so that the division itself converts uint8 to float32.
_HALF_RANGE = torch.tensor(127.5, dtype=torch.float32, device="cpu")
_POINT = torch.Size((2, 1, 1))  # an image that represents a point in the plane
_IN_A_GRID = 64
_POINTS = 100_000
_SPARSE = 17  # every so many levels, 16 in all, 0 and 255 among them
_IN_HALVES = (((1, 2, 2), 5), ((1, 4, 4), _SPARSE), ((1, 8, 8), _SPARSE), ((3, 8, 8), _SPARSE))


class _Image(Kind):
    name = "image"
    rounding = "((x+1)*127.5).round().clamp(0,255)"
    suffix = ".png"
    dtype = torch.uint8
    likelihood_advice = (
        "count the bin of an 8-bit value (2 / 255 of [-1, 1]), the Jacobian of each change of variables, and the cost "
        "of the code (the KL term)"
    )

    @property
    def levels(self) -> int:
        return 256

    def deliver(self, stored: Tensor) -> Tensor:
        """Return uint8 images as float32 in [-1, 1]: 0 is -1 and 255 is 1."""
        return torch.div(stored, _HALF_RANGE).sub_(1.0)

    def store(self, batch: Tensor) -> Tensor:
        """Round images in [-1, 1] to uint8: `((x + 1) * 127.5).round().clamp(0, 255)`."""
        return batch.float().add(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)

    def check(self, returned: object, expected: Sequence[int]) -> Tensor:
        return bounded(returned, expected)

    def random(self, count: int, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        return torch.randint(self.levels, (count, *shape), generator=generator, dtype=torch.uint8)

    def nearest(self, values: Tensor) -> Tensor:
        return values.round().clamp_(0, self.levels - 1).to(torch.uint8)

    def wholes(self) -> Iterator[Whole]:
        # A model that couples one half of an image to the other needs two values: pixels or channels.
        levels = torch.arange(self.levels, dtype=torch.uint8)
        yield Whole(self, levels.view(-1, 1, 1, 1), "the 256 images of one pixel", 32)
        pairs = torch.cartesian_prod(levels, levels)
        for shape in ((1, 1, 2), (1, 2, 1), (2, 1, 1)):
            yield Whole(self, pairs.view(-1, *shape), "the 65,536 images of two values", 4)

    def parts(self) -> Iterator[Whole]:
        # A model that squeezes blocks of 2x2 pixels into channels, once or several times, takes no smaller images.
        for (channels, height, width), every in _IN_HALVES:
            levels = torch.arange(0, self.levels, every, dtype=torch.uint8)
            top, bottom = torch.cartesian_prod(levels, levels).view(-1, 2, 1, 1, 1).unbind(1)
            halves = [half.expand(-1, channels, height // 2, width) for half in (top, bottom)]
            items = torch.cat(halves, 2)
            yield Whole(self, items, f"{len(items):,} images of {channels}x{height}x{width} in two halves", 4)

    def show(self, path: Path, items: Tensor) -> None:
        pictures.save_grid(path, items)

    def show_pairs(self, path: Path, originals: Tensor, restored: Tensor) -> None:
        pictures.save_pairs(path, originals, restored)

    def shown(self, shape: torch.Size) -> int:
        return _POINTS if shape == _POINT else _IN_A_GRID


KIND: Kind = _Image()
