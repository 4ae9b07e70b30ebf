"""Power analysis: how many votes it takes to tell a share from one half, and the reverse."""

from __future__ import annotations

import math

from scipy import special

from genbench.records.intervals import LEVEL, bisected

__all__ = ["POWER", "resolvable_share", "votes_needed"]

POWER = 0.8


def votes_needed(share: float, power: float = POWER) -> int:
    r"""Return the number of independent votes that a two-sided 5% test needs to tell `share` from one half.

    .. math:: n = \left(\frac{z_{0.975} / 2 + z_{power} \sqrt{p (1 - p)}}{p - 1/2}\right)^2

    Votes of one person are correlated, so a study needs at least this many.

    Fleiss, Levin & Paik (2003), Statistical methods for rates and proportions, section 2.5,
    https://doi.org/10.1002/0471445428

    Args:
        share: the true share, in (0, 1) and not 1/2.
        power: the probability of detecting the difference.

    >>> [votes_needed(share) for share in (0.55, 0.6, 0.7)]
    [783, 194, 47]
    """
    if not 0 < share < 1 or share == 0.5:
        raise ValueError(f"a share of {share} cannot be told from one half by any number of votes")
    return math.ceil(_votes(share, power))


def resolvable_share(votes: int, power: float = POWER) -> float | None:
    """Return the smallest share above one half that this many independent votes can tell from it; None if none.

    >>> round(resolvable_share(783), 3)
    0.55
    """
    nearly = 1 - 1e-9
    if votes < 1 or _votes(nearly, power) > votes:
        return None
    return bisected(lambda share: _votes(share, power) <= votes, nearly, 0.5 + 1e-9)


def _votes(share: float, power: float) -> float:
    level, reach = float(special.ndtri((1 + LEVEL) / 2)), float(special.ndtri(power))
    return ((level / 2 + reach * math.sqrt(share * (1 - share))) / (share - 0.5)) ** 2
