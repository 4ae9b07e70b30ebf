"""Phase shuffle: a shift in time that keeps a critic from recognising samples by the phase of their artefacts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["PhaseShuffle"]


class PhaseShuffle(nn.Module):
    """Shifts all channels of an item by one random number of steps from -n to n, filling the gap by reflection.

    Transposed convolutions leave artefacts at a fixed phase, by which a critic could distinguish samples from data
    regardless of how they sound.

    C. Donahue, J. McAuley, M. Puckette (2019), "Adversarial Audio Synthesis", section 3.3.
    https://arxiv.org/abs/1802.04208

    Args:
        most: n, at least 0; 0 changes nothing, and neither does evaluation mode.

    Example:
        >>> _ = torch.manual_seed(3)
        >>> PhaseShuffle(2)(torch.arange(5.0).expand(2, 1, 5))  # shifted by -1 and by 1
        tensor([[[1., 2., 3., 4., 3.]],
        <BLANKLINE>
                [[1., 0., 1., 2., 3.]]])
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (B, C, L) shifted along L, which must exceed n; the shifts come from the global generator."""
        if not self.training or self.most == 0:
            return inputs
        last = inputs.shape[-1] - 1
        shifts = torch.randint(-self.most, self.most + 1, (len(inputs), 1, 1), device=inputs.device)
        # The reflection does not repeat the edge itself.
        from_ = (torch.arange(last + 1, device=inputs.device) - shifts).abs()
        from_ = last - (last - from_).abs()
        return inputs.gather(-1, from_.expand_as(inputs))
