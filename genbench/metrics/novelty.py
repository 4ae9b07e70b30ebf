"""Novelty: the share of samples that are not training texts, a test against held-out texts, and copied runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genbench.metrics.authenticity import fewer_authentic_p
from genbench.metrics.copied import novel

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["measure"]


def measure(evidence: Evidence) -> dict[str, float]:
    """`novelty` and `copied_run`, in characters, of the samples, and `novelty_p` where there are held-out texts."""
    assert evidence.sample_items is not None
    assert evidence.reference_items is not None
    samples = evidence.novel
    values = {"novelty": float(samples.double().mean()), "copied_run": float(evidence.copied_runs.double().mean())}
    held_out = evidence.held_out_items
    if held_out is not None and len(held_out):
        values["novelty_p"] = fewer_authentic_p(*evidence.sides(samples, novel(held_out, evidence.reference_items)))
    return values
