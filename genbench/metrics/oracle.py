"""The cost of samples under the distribution that generated the data, where it is known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["measure"]


def measure(evidence: Evidence) -> dict[str, float]:
    """`oracle_nll`, its excess over the entropy `oracle_kl`, and `valid_fraction`, the share that the truth allows."""
    assert evidence.sample_log_probabilities is not None
    assert evidence.entropy is not None
    mean = float(evidence.oracle_nats.mean())
    return {
        "oracle_nll": mean,
        "oracle_kl": mean - evidence.entropy,
        "valid_fraction": float((evidence.sample_log_probabilities > -math.inf).double().mean()),
    }
