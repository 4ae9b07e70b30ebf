"""Phase shuffle: a shift in time that keeps a critic from recognising samples by the phase of their artefacts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["PhaseShuffle"]


class PhaseShuffle(nn.Module):
    """Shifts all channels of a batch by one random number of steps, from -n to n; what is missing is reflected.

    Transposed convolutions leave artefacts at a fixed phase, by which a critic could tell samples from data without
    looking at what they sound like. As in the authors' code, one shift is drawn for a whole pass.

    C. Donahue, J. McAuley, M. Puckette (2019), "Adversarial Audio Synthesis", section 3.3.
    https://arxiv.org/abs/1802.04208

    Args:
        most: n, at least 0; 0 changes nothing, and neither does evaluation mode.

    Example:
        >>> _ = torch.manual_seed(1)
        >>> PhaseShuffle(2)(torch.arange(5.0).view(1, 1, 5))  # shifted by -2
        tensor([[[2., 3., 4., 3., 2.]]])
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (B, C, L) shifted along L, which must be more than n; the shift comes from the global generator."""
        if not self.training or self.most == 0:
            return inputs
        # Drawn on the CPU, where nothing has to be waited for.
        shift = int(torch.randint(-self.most, self.most + 1, (), device="cpu"))
        if shift == 0:
            return inputs
        length = inputs.shape[-1]
        if shift > 0:  # later; the reflection leaves out the edge itself
            return torch.cat([inputs[..., 1 : shift + 1].flip(-1), inputs[..., : length - shift]], -1)
        return torch.cat([inputs[..., -shift:], inputs[..., shift - 1 : -1].flip(-1)], -1)
