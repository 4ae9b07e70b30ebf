"""Mode counts, for data whose modes are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["measure", "mode_counts"]


def mode_counts(modes: Tensor, mode_count: int) -> tuple[int, float]:
    """Return how many modes contain a sample, and the share of samples that lie in any mode.

    The dataset defines what counts as being in a mode. Blind to how the samples are distributed over the modes they
    reach, and within each. More samples find more modes, so compare only at equal counts.

    Paper: Srivastava et al. 2017, "VEEGAN: reducing mode collapse in GANs using implicit variational learning",
    https://arxiv.org/abs/1705.07761

    Args:
        modes: (N,) int64 index of each sample's mode, −1 for none; N ≥ 1.
        mode_count: number of modes.

    Raises:
        ValueError: an index is not below `mode_count`.

    Example:
        >>> import torch
        >>> mode_counts(torch.tensor([0, 0, 2, -1]), mode_count=8)
        (2, 0.75)
    """
    if int(modes.max()) >= mode_count:
        raise ValueError(f"modes: index {int(modes.max())} found, but there are {mode_count} modes")
    held = modes[modes >= 0]
    return len(held.unique()), len(held) / len(modes)


def measure(evidence: Evidence) -> dict[str, float]:
    """`modes_covered` and `high_quality_fraction` of the samples."""
    assert evidence.sample_modes is not None
    assert evidence.mode_count is not None
    covered, share = mode_counts(evidence.sample_modes, evidence.mode_count)
    return {"modes_covered": float(covered), "high_quality_fraction": share}
