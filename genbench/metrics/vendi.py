"""The Vendi score: the effective number of different items, from the eigenvalues of their similarities."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from genbench.metrics.constants import VENDI_Q
from genbench.metrics.features import limited, unit_length
from genbench.metrics.gaussian import rank_tolerance
from genbench.metrics.not_measurable import NotMeasurable

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["Variety", "measure", "variety", "vendi_score"]

_ROWS = 4096  # features held in float64 at once


class Variety(NamedTuple):
    """A Vendi score, and its (N,) float64 derivatives with respect to the weights of the items."""

    score: float
    influences: Tensor


def vendi_score(features: Tensor, *, q: float = VENDI_Q) -> float:
    """Return the exponential of the Rényi entropy of order q of the eigenvalues λ of K/N, K the cosines of all pairs.

    `exp(−Σ λ log λ)` for q = 1, the score as first published; `(Σ λ^q)^(1/(1 − q))` for other orders; `1/max λ` for
    q = ∞. Small orders give rare items more weight. With fewer dimensions than items, the (d, d) matrix of second
    moments has the same eigenvalues.

    Paper: Friedman & Dieng 2023, "The Vendi score", https://arxiv.org/abs/2210.02410; other orders: Pasarkar & Dieng
    2024, "Cousins of the Vendi score", https://arxiv.org/abs/2310.12952

    Args:
        features: (N, d), N ≥ 1.
        q: the order, above 0; `math.inf` included.

    Returns:
        From 1, for items that are all alike, to min(N, d), for as many orthogonal ones.

    Raises:
        NotMeasurable: a feature has length 0, so it is similar to none.

    Example:
        >>> round(vendi_score(torch.eye(4)), 6), round(vendi_score(torch.ones(4, 2)), 6)
        (4.0, 1.0)
    """
    return variety(features, q=q).score


def variety(features: Tensor, *, q: float = VENDI_Q) -> Variety:
    """Return the Vendi score and its derivatives with respect to the weights of the items, in closed form.

    With x_i of unit length and weights w, the eigenvalues of Σ w_i x_i x_iᵀ/Σ w_i change by `(v_k·x_i)² − λ_k`, so the
    score V changes by `V Σ_k g_k ((v_k·x_i)² − λ_k)`, with g the derivatives of the entropy.
    """
    lengths = features.double().norm(dim=1)
    if empty := int((lengths == 0).sum()):
        raise NotMeasurable(f"vendi: {empty} of {len(features)} features have length 0, so they are similar to none")
    values, shares = _spectrum(features)
    kept = values > rank_tolerance(values, max(features.shape))
    entropy, slopes = _entropy(values[kept], q)
    score = math.exp(entropy)
    return Variety(score, score * (shares[:, kept] - values[kept]) @ slopes)


def of_samples(evidence: Evidence) -> Variety:
    """The variety of the evidence's samples."""
    return variety(evidence.samples)


def of_reference(evidence: Evidence) -> float:
    """The Vendi score of as many random items of the data as there are samples, or of all."""
    count = min(len(evidence.samples), len(evidence.reference))

    def find() -> Tensor:
        some = limited(evidence.reference, count, evidence.seed)
        return torch.tensor(vendi_score(some), dtype=torch.float64)

    return float(evidence.statistics.kept(f"vendi/{count}", find))


def measure(evidence: Evidence) -> dict[str, float]:
    """`vendi` of the samples, and `vendi_ratio`: its ratio to the score of as many items of the data."""
    score, count = evidence.once(of_samples).score, len(evidence.reference)
    equal = score
    if len(evidence.samples) > count:
        equal = vendi_score(limited(evidence.samples, count, evidence.seed))
    return {"vendi": score, "vendi_ratio": equal / evidence.once(of_reference)}


def _spectrum(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return (r,) eigenvalues λ_k of K/N and (N, r) squared products (v_k·x_i)², whose mean over i is λ_k."""
    count, dimension = features.shape
    if count <= dimension:
        unit = _unit(features)
        values, vectors = torch.linalg.eigh(unit @ unit.T / count)
        return values, vectors.square() * values * count
    chunks = features.split(_ROWS)
    moments = sum((unit.T @ unit for unit in map(_unit, chunks)), torch.zeros((), dtype=torch.float64))
    values, vectors = torch.linalg.eigh(moments / count)
    return values, torch.cat([(_unit(chunk) @ vectors).square() for chunk in chunks])


def _unit(features: Tensor) -> Tensor:
    return unit_length(features.double())


def _entropy(values: Tensor, q: float) -> tuple[float, Tensor]:
    """Return the Rényi entropy of eigenvalues that sum to 1, and its derivatives, up to a constant where q = 1."""
    if q == 1:
        return -float((values * values.log()).sum()), -values.log()
    if q == math.inf:
        largest = values == values.max()
        return -math.log(float(values.max())), -largest.double() / largest.sum() / values.max()
    powers = values.pow(q).sum()
    return float(powers.log()) / (1 - q), q / (1 - q) * values.pow(q - 1) / powers
