"""The convolutional stages for images and clips: the same layers in two dimensions and in one."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from torch import nn

from genbench import Unsuitable

__all__ = ["Stages"]


@dataclass(frozen=True)
class Stages:
    """Stages that divide each side of an item by `stride`, rounding down, until its smallest is at most `coarsest`.

    A kernel is as wide as the stride plus twice the padding, so that odd sides lose no value.

    Args:
        noun: how errors describe the items.
        convolution: the layer of a downward stage.
        transposed: the layer of an upward stage.
        norm: the normalisation between two stages.
        stride: the stride of a stage.
        padding: the padding at both ends of a side.
        shortest: the smallest side accepted.
        longest: the largest side accepted.
        coarsest: upper bound on the smallest side of the last stage.
    """

    noun: str
    convolution: type[nn.Conv1d | nn.Conv2d]
    transposed: type[nn.ConvTranspose1d | nn.ConvTranspose2d]
    norm: type[nn.BatchNorm1d | nn.BatchNorm2d]
    stride: int
    padding: int
    shortest: int
    longest: int
    coarsest: int

    @classmethod
    def of(cls, dimensions: int) -> Stages:
        """Return the stages for images, which have two dimensions besides the channels, or clips, which have one."""
        return IMAGES if dimensions == 2 else CLIPS

    def sizes(self, size: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Return the sides of an item from its own to the coarsest stage's.

        Raises:
            Unsuitable: the item's sides are out of range.

        >>> Stages.of(2).sizes((28, 28)), Stages.of(1).sizes((4000,))
        ([(28, 28), (14, 14), (7, 7), (3, 3)], [(4000,), (1000,), (250,), (62,), (15,)])
        """
        if not all(self.shortest <= side <= self.longest for side in size):
            sides = " x ".join(map(str, size))
            raise Unsuitable(f"takes {self.noun} {self.shortest} to {self.longest}, not {sides}")
        sizes = [size]
        while min(sizes[-1]) > self.coarsest:
            sizes.append(tuple(side // self.stride for side in sizes[-1]))
        return sizes

    def down(self, widths: list[int]) -> list[nn.Module]:
        """Return a stage from each width to the next."""
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(widths):
            # No bias: the normalisation that follows takes it away, so that its gradient would be rounding errors.
            stage = self.convolution(inputs, outputs, self._kernel, self.stride, self.padding, bias=False)
            layers += [stage, *self._activation(outputs)]
        return layers

    def up(self, widths: list[int], sizes: list[tuple[int, ...]]) -> list[nn.Module]:
        """Return the mirror image of `down`, with a normalisation before each stage instead of after."""
        layers: list[nn.Module] = []
        for stage in reversed(range(len(sizes) - 1)):
            odd = tuple(side % self.stride for side in sizes[stage])  # the remainder of the division
            inputs, outputs = widths[stage + 1], widths[stage]
            up = self.transposed(
                inputs,
                outputs,
                self._kernel,
                stride=self.stride,
                padding=self.padding,
                output_padding=odd,  # type: ignore[arg-type]  # one entry per dimension
                bias=stage == 0,  # all others are normalised, as in `down`
            )
            layers += [*self._activation(inputs), up]
        return layers

    @property
    def _kernel(self) -> int:
        return self.stride + 2 * self.padding

    def _activation(self, width: int) -> list[nn.Module]:
        # Without normalisation, the decoder learned to ignore its code on MNIST, and never recovered.
        return [self.norm(width), nn.SiLU()]


IMAGES = Stages(
    "images whose sides are", nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, 2, 1, shortest=8, longest=128, coarsest=4
)
# The strides of WaveGAN, with narrower kernels.
CLIPS = Stages(
    *("clips whose lengths are", nn.Conv1d, nn.ConvTranspose1d, nn.BatchNorm1d, 4, 6),
    shortest=64,
    longest=131_072,
    coarsest=32,
)
