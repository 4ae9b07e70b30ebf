"""What each number is called in tables and figures, and which way is better: the words of a report in one place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from genbench.comparison import Direction

__all__ = ["HEADLINE", "MAIN", "Quantity", "in_reading_order", "main_metric", "quantity"]


@dataclass(frozen=True)
class Quantity:
    """A number's name in records, its heading, the better direction (None: neither), and what it is in one phrase."""

    name: str
    heading: str
    direction: Direction | None
    meaning: str

    @property
    def arrow(self) -> str:
        """`↓` where lower is better, `↑` where higher is, else nothing."""
        return {"lower": "↓", "higher": "↑", None: ""}[self.direction]

    @property
    def axis(self) -> str:
        """The heading with its arrow."""
        return f"{self.heading} {self.arrow}".rstrip()


# The names are those that genbench.metrics writes. That package cannot be asked: it imports torch, and an old record
# renders without it. A test holds the two together.
_KNOWN = (
    Quantity("fid", "FID", "lower", "Fréchet distance of Inception features"),
    Quantity("fd", "fd", "lower", "Fréchet distance of the extractor's features"),
    Quantity("inception_score", "Inception score", "higher", "how sure and how varied Inception's labels are"),
    Quantity("classifier_score", "classifier score", "higher", "how sure and how varied the classifier's labels are"),
    Quantity("reconstruction_mse", "reconstruction MSE", "lower", "mean squared error of held-out images restored"),
    Quantity("psnr", "PSNR (dB)", "higher", "peak signal-to-noise ratio of held-out images restored"),
    Quantity("ssim", "SSIM", "higher", "structural similarity of held-out images restored"),
    Quantity("bits_per_dim", "bits/dim", "lower", "negative log-likelihood (or its bound) of held-out images"),
    Quantity("kid", "KID", "lower", "kernel distance of the extractor's features"),
    Quantity("precision", "precision", "higher", "share of samples on the data's manifold"),
    Quantity("recall", "recall", "higher", "share of the data on the samples' manifold"),
    Quantity("density", "density", "higher", "how densely the data surround the samples"),
    Quantity("coverage", "coverage", "higher", "share of the data with a sample near"),
)
_BY_NAME = {quantity.name: quantity for quantity in _KNOWN}

MAIN = ("fid", "fd")
"""What a table is sorted and ranked by: the first of these that was measured."""

HEADLINE = frozenset(quantity.name for quantity in _KNOWN[:8])
"""The numbers of the first table; others stand in a table of their own."""


def quantity(name: str) -> Quantity:
    """Return what is known of the number `name`; one that is not known has its name as heading and no direction."""
    return _BY_NAME.get(name) or Quantity(name, name.replace("_", " "), None, "")


def main_metric(names: Iterable[str]) -> str | None:
    """Return what to rank by: `fid`, else `fd`, else the first known number with a direction, else None."""
    there = set(names)
    candidates = [*MAIN, *(known.name for known in _KNOWN if known.direction)]
    return next((name for name in candidates if name in there), None)


def in_reading_order(names: Iterable[str]) -> list[str]:
    """Return the names, known ones in the order of the tables, then the others by letter."""
    there = set(names)
    return [name for name in _BY_NAME if name in there] + sorted(there - _BY_NAME.keys())
