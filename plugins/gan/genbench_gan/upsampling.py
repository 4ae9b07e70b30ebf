"""Upsampling by 4 in time: a convolution of a signal that is interpolated between its steps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["FILTERS", "KERNEL", "PADDING", "STRIDE", "Upsample"]

KERNEL, STRIDE, PADDING = 25, 4, 11  # with one step of output padding, a length is multiplied by exactly 4

# What interpolation makes of a single 1 between zeros.
FILTERS = {
    "zeros": (1.0,),
    "nearest": (1.0, 1.0, 1.0, 1.0),
    "linear": (0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25),
}


class Upsample(nn.Module):
    """A convolution at four times the input's rate, after interpolation; without biases.

    With "zeros" it is a transposed convolution with 25 taps, which has to learn to suppress the images of the spectrum
    that come from the zeros between the steps; linear interpolation attenuates them from the start. Interpolation is a
    convolution too, so both together are one transposed convolution, and every interpolation takes the same time: the
    learned taps, fewer by the length of the filter, are convolved with the filter to give 25.

    C. Donahue, J. McAuley, M. Puckette (2019), "Adversarial Audio Synthesis", appendix on upsampling.
    https://arxiv.org/abs/1802.04208

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        interpolation: a key of `FILTERS`.

    Example:
        >>> Upsample(2, 3, "linear")(torch.zeros(5, 2, 16)).shape
        torch.Size([5, 3, 64])
    """

    spreading: Tensor

    def __init__(self, inputs: int, outputs: int, interpolation: str) -> None:
        super().__init__()
        filter = torch.tensor(FILTERS[interpolation])
        taps = KERNEL + 1 - len(filter)
        self.weight = nn.Parameter(torch.empty(inputs, outputs, taps))
        # Row t holds the filter from column t on: a product with it convolves the taps with the filter.
        spreading = torch.stack([F.pad(filter, (tap, taps - 1 - tap)) for tap in range(taps)])
        self.register_buffer("spreading", spreading, persistent=False)
        self.interpolation = interpolation
        # Preserves the variance of a rectified input. Each tap meets an input, but between zeros only one of four does.
        met = taps / STRIDE if interpolation == "zeros" else taps
        nn.init.normal_(self.weight, 0.0, (2 / (inputs * met)) ** 0.5)

    def kernel(self) -> Tensor:
        """Return (inputs, outputs, 25): the taps convolved with the interpolation's filter."""
        return self.weight if self.interpolation == "zeros" else self.weight @ self.spreading

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (B, outputs, 4 L) for (B, inputs, L)."""
        return F.conv_transpose1d(inputs, self.kernel(), stride=STRIDE, padding=PADDING, output_padding=1)
