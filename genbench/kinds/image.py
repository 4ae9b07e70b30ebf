"""Images: stored as uint8 (C, H, W), delivered to models as float32 in [-1, 1], shown as a grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from genbench.kinds import pictures
from genbench.kinds.kind import Kind, Misfit, Whole
from genbench.plugin.returned import FLOATS, Unusable, plain

__all__ = ["KIND", "TOLERANCE"]

TOLERANCE = 1e-3  # how far outside [-1, 1] arithmetic in half precision may land
# A float32 tensor, so that the division itself turns uint8 into float32.
_HALF_RANGE = torch.tensor(127.5, dtype=torch.float32, device="cpu")
_POINT = torch.Size((2, 1, 1))  # an image that is a point of the plane
_IN_A_GRID = 64
_POINTS = 100_000


class _Image(Kind):
    name = "image"
    rounding = "((x+1)*127.5).round().clamp(0,255)"
    suffix = ".png"
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
        shape = tuple(expected)
        try:
            found = plain(returned, FLOATS)
        except Unusable as error:
            advice = "do not round: genbench does" if isinstance(returned, Tensor) else ""
            raise Misfit(str(error), f"a float tensor of shape {shape} in [-1, 1]", advice) from None
        if tuple(found.shape) != shape:
            raise Misfit(str(tuple(found.shape)), str(shape))
        low, high = (float(value) for value in found.detach().aminmax())
        if not low >= -1 - TOLERANCE or not high <= 1 + TOLERANCE:  # written so that NaN fails too
            shown = "NaN" if low != low or high != high else f"values in [{low:.4g}, {high:.4g}]"
            raise Misfit(shown, "values in [-1, 1]", "end the network with tanh, or with .clamp(-1, 1) in the hook")
        return found

    def random(self, count: int, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        return torch.randint(self.levels, (count, *shape), generator=generator, dtype=torch.uint8)

    def nearest(self, values: Tensor) -> Tensor:
        return values.round().clamp_(0, self.levels - 1).to(torch.uint8)

    def wholes(self) -> Iterator[Whole]:
        # A model that couples one half of an image to the other needs two values: pixels, or channels.
        levels = torch.arange(self.levels, dtype=torch.uint8)
        yield Whole(self, levels.view(-1, 1, 1, 1), "the 256 images of one pixel", 32)
        pairs = torch.cartesian_prod(levels, levels)
        for shape in ((1, 1, 2), (1, 2, 1), (2, 1, 1)):
            yield Whole(self, pairs.view(-1, *shape), "the 65,536 images of two values", 4)

    def show(self, path: Path, items: Tensor) -> None:
        pictures.save_grid(path, items)

    def show_pairs(self, path: Path, originals: Tensor, restored: Tensor) -> None:
        pictures.save_pairs(path, originals, restored)

    def shown(self, shape: torch.Size) -> int:
        return _POINTS if shape == _POINT else _IN_A_GRID


KIND: Kind = _Image()
