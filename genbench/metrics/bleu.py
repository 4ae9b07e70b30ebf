"""BLEU of samples against held-out texts, and of each sample against the others: fidelity paired with diversity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genbench.metrics.constants import BLEU_EPSILON, BLEU_ORDERS, BLEU_TEXTS
from genbench.metrics.features import limited
from genbench.metrics.texts import character_counts, grams

if TYPE_CHECKING:
    from genbench.metrics.evidence import Evidence

__all__ = ["bleu", "measure", "self_bleu"]


@dataclass(frozen=True)
class _Counts:
    """The distinct n-grams of each of N texts: one entry per n-gram of a text."""

    text: Tensor  # (E,) int64 row
    gram: Tensor  # (E,) int64 from 0 on
    count: Tensor  # (E,) int64 occurrences in that text

    @classmethod
    def of(cls, codes: Tensor, rows: Tensor, kinds: int) -> _Counts:
        keys, count = torch.unique(rows * kinds + codes, return_counts=True)
        return cls(keys // kinds, keys % kinds, count)


def bleu(samples: Tensor, references: Tensor, *, epsilon: float = BLEU_EPSILON) -> Tensor:
    """Return (M, 4) float64: BLEU-2 to BLEU-5 of each sample against all references.

    `BLEU-n = BP · (∏_{k≤n} p_k)^{1/n}`. p_k is the share of the sample's k-grams that occur in a reference, each
    counted at most as often as in the reference where it is most frequent. BP is `exp(1 − r/c)` where the sample's
    length c does not exceed r, the closest reference length (the shorter one on a tie). Tokens are characters; the end
    is not a token. Where no k-gram occurs in any reference, ε replaces their number. A sample without a single
    character in common with the references scores 0, as does an empty text (nltk's `SmoothingFunction().method1`, which
    Texygen uses).

    In [0, 1]. The score grows with the number of references, so compare only at equal counts. It is blind to diversity
    and to copying: one likely text, repeated, scores best, so always read it together with `self_bleu`.

    Paper: Papineni et al. 2002, https://doi.org/10.3115/1073083.1073135; smoothing: Chen & Cherry 2014,
    https://doi.org/10.3115/v1/W14-3346; for generators: Yu et al. 2017, https://arxiv.org/abs/1609.05473

    Args:
        samples: (M, L) tokens.
        references: (N, L) tokens, N ≥ 1.
        epsilon: ε.
    """
    lengths, others = character_counts(samples), character_counts(references)
    there = torch.bincount(others, minlength=samples.shape[1] + 1) > 0
    nearest = _nearest(there.expand(len(there), -1))[lengths]
    matches = [_matches(samples, references, order) for order in range(1, max(BLEU_ORDERS) + 1)]
    return _scores(torch.stack(matches, dim=1), lengths, nearest, epsilon)


def self_bleu(samples: Tensor, *, epsilon: float = BLEU_EPSILON) -> Tensor:
    """Return (M, 4) float64: BLEU-2 to BLEU-5 of each sample against all other samples. 1 where all are alike.

    The highest count of an n-gram in any *other* sample equals its highest count overall, or, for the one sample where
    it is most frequent, the second highest. All M scores therefore come from a single count.

    Paper: Zhu et al. 2018, "Texygen: a benchmarking platform for text generation models",
    https://arxiv.org/abs/1802.01886

    Args:
        samples: (M, L) tokens, M ≥ 2.
        epsilon: as in `bleu`.
    """
    lengths = character_counts(samples)
    counts = torch.bincount(lengths, minlength=samples.shape[1] + 1)
    # One row for each possible length of the sample that is left out.
    left = counts - torch.eye(len(counts), dtype=torch.int64, device=counts.device)
    nearest = _nearest(left > 0)[lengths]
    matches = [_matches(samples, None, order) for order in range(1, max(BLEU_ORDERS) + 1)]
    return _scores(torch.stack(matches, dim=1), lengths, nearest, epsilon)


def _nearest(there: Tensor) -> Tensor:
    """Return (K,) int64: the length in `there`, (K, K) booleans, nearest to each of 0..K − 1; on a tie the shorter."""
    lengths = torch.arange(len(there), device=there.device)
    apart = (lengths - lengths[:, None]).abs() * 2 + (lengths > lengths[:, None])
    return torch.where(there, apart, 2 * len(there) + 2).argmin(dim=1)


def _matches(samples: Tensor, references: Tensor | None, order: int) -> Tensor:
    """Return (M,) float64: how many n-grams of each sample occur in the references, or in the other samples."""
    texts = samples if references is None else torch.cat([samples, references])
    codes = grams(texts, order)
    ends = torch.arange(codes.shape[1], device=codes.device) + order
    rows, columns = (ends <= character_counts(texts)[:, None]).nonzero(as_tuple=True)
    found, gram = torch.unique(codes[rows, columns], return_inverse=True)
    count = len(samples)
    mine = rows < count
    own = _Counts.of(gram[mine], rows[mine], len(found))
    if references is None:
        most = _most_of_others(own, len(found))
    else:
        most = _most(_Counts.of(gram[~mine], rows[~mine], len(found)), len(found))[own.gram]
    return torch.bincount(own.text, torch.minimum(own.count, most).double(), minlength=count)


def _most(counts: _Counts, kinds: int) -> Tensor:
    """Return (kinds,) int64: the highest count of each n-gram in any text, 0 if it occurs in none."""
    return torch.zeros(kinds, dtype=torch.int64, device=counts.gram.device).scatter_reduce(
        0, counts.gram, counts.count, "amax"
    )


def _most_of_others(counts: _Counts, kinds: int) -> Tensor:
    """Return (E,) int64: the highest count of an entry's n-gram in any text other than the entry's own."""
    most = _most(counts, kinds)[counts.gram]
    first = counts.count == most
    alone = first & (torch.bincount(counts.gram[first], minlength=kinds)[counts.gram] == 1)
    rest = _Counts(counts.text[~first], counts.gram[~first], counts.count[~first])
    return torch.where(alone, _most(rest, kinds)[counts.gram], most)


def _scores(matches: Tensor, lengths: Tensor, nearest: Tensor, epsilon: float) -> Tensor:
    orders = torch.arange(matches.shape[1], device=matches.device) + 1
    totals = (lengths[:, None] - orders + 1).clamp(min=1)
    precisions = torch.where(matches > 0, matches, epsilon) / totals
    means = precisions.log().cumsum(dim=1) / orders
    penalty = (1 - nearest.double() / lengths).clamp(max=0.0)  # not finite for an empty text, whose score is 0
    scores = torch.where(matches[:, :1] > 0, (means + penalty[:, None]).exp(), 0.0)
    return scores[:, [order - 1 for order in BLEU_ORDERS]]


def measure(evidence: Evidence) -> dict[str, float]:
    """`bleu_2` to `bleu_5` and `self_bleu_2` to `self_bleu_5`: means over samples."""
    assert evidence.sample_items is not None
    assert evidence.held_out_items is not None
    samples, held_out = (_some(side, evidence.seed) for side in (evidence.sample_items, evidence.held_out_items))
    # A held-out text must not be its own reference: each is scored against the others, one fewer.
    against = self_bleu(held_out) if evidence.samples_held_out else bleu(samples, held_out)
    means = {"bleu": against.mean(dim=0), "self_bleu": self_bleu(samples).mean(dim=0)}
    return {
        f"{name}_{order}": value
        for name, values in means.items()
        for order, value in zip(BLEU_ORDERS, values.tolist(), strict=True)
    }


def _some(texts: Tensor, seed: int) -> Tensor:
    return limited(texts, BLEU_TEXTS, seed)
