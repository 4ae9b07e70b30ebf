"""Sanity checks of metrics: what each number detects, and what it is blind to, on known distributions.

After Räisä, van Breugel & van der Schaar 2025, "Position: All current generative fidelity and diversity metrics are
flawed", https://arxiv.org/abs/2505.22450. Names import without torch.
"""

from __future__ import annotations
