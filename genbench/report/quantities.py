"""The names of numbers in tables and figures, and their order: a report's vocabulary in one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from genbench.metrics import DIRECTIONS
from genbench.records.statistics import Direction

__all__ = ["FLAGS", "HEADLINE", "Quantity", "arrow", "declare", "in_reading_order", "main_metric", "quantity"]

HEADLINE = (
    *("fid", "fd_dinov2", "fad", "fd", "inception_score", "classifier_score"),
    *("reconstruction_mse", "psnr", "ssim", "bits_per_dim", "bits_per_char", "oracle_nll", "valid_fraction"),
)
"""The numbers of the first table, in order; the others have a separate table."""

FLAGS = frozenset({"fewer_than_dimensions"})
"""Numbers that are 1 for yes and 0 for no, shown in words."""

_MAIN = ("fid", "fd_dinov2", "fad", "fd")
_HEADINGS = {
    "fid": "FID",
    "fd_dinov2": "FD-DINOv2",
    "fad": "FAD",
    "inception_score": "Inception score",
    "inception_score_std": "Inception score SD",
    "classifier_score_std": "classifier score SD",
    "fewer_than_dimensions": "fewer samples than dimensions",
    "fid_infinity": "FID∞",
    "fd_infinity": "fd∞",
    "fid_gap": "FID gap, held-out − train",
    "fd_gap": "fd gap, held-out − train",
    "kid": "KID",
    "kid_subsets": "subset KID",
    "kid_subsets_std": "subset KID SD",
    "mind": "MIND",
    "mmd": "MMD",
    "cmmd": "CMMD",
    "kad": "KAD",
    "vendi": "Vendi score",
    "vendi_ratio": "Vendi score ÷ data",
    "c2st_auc": "C2ST AUC",
    "fld": "FLD",
    "authenticity_p": "authenticity p",
    "c_t": "C_T",
    "c_t_p": "C_T p",
    "class_kl": "class KL",
    "cas": "CAS",
    "class_fid": "per-class FID",
    "class_fid_worst": "worst-class FID",
    "class_fd": "per-class fd",
    "class_fd_worst": "worst-class fd",
    "pixel_w1": "pixel W1",
    "spectrum_w1": "spectrum W1",
    "ms_ssim": "MS-SSIM",
    "reconstruction_mse": "reconstruction MSE",
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "bits_per_dim": "bits/dim",
    "bits_per_char": "bits/char",
    "oracle_nll": "oracle NLL (nats)",
    "oracle_kl": "oracle NLL − entropy (nats)",
    "novelty_p": "novelty p",
    "copied_run": "copied run (characters)",
    **{f"bleu_{n}": f"BLEU-{n}" for n in (2, 3, 4, 5)},
    **{f"self_bleu_{n}": f"self-BLEU-{n}" for n in (2, 3, 4, 5)},
    **{f"distinct_{n}": f"distinct-{n}" for n in (1, 2, 3, 4)},
    **{f"ngram_js_{n}": f"{n}-gram JS (bits)" for n in (1, 2, 3, 4, 5)},
    "length_w1": "length W1",
    "symbol_w1": "symbol W1",
    "mauve_star": "MAUVE*",
    "mauve_star_std": "MAUVE* SD",
    "frontier_integral_std": "frontier integral SD",
}
_DECLARED: dict[str, Direction | None] = {}  # of plugins' metrics, as the records that were read say it
_ORDER = (*HEADLINE, *(name for name in DIRECTIONS if name not in HEADLINE))


@dataclass(frozen=True)
class Quantity:
    """A number's name in records, its heading, and the direction that is better (None: neither)."""

    name: str
    heading: str
    direction: Direction | None

    @property
    def axis(self) -> str:
        """The heading with `↓` if lower is better, `↑` if higher is."""
        return self.heading + arrow(self.direction)


def arrow(direction: Direction | None) -> str:
    """Return the suffix of a number's name: ` ↓` if lower is better, ` ↑` if higher is, otherwise an empty string."""
    return {"lower": " ↓", "higher": " ↑", None: ""}[direction]


def declare(recipes: Iterable[Mapping[str, Any]]) -> None:
    """Take from recipes which way is better for the numbers of plugins' metrics, which genbench does not know.

    They say it themselves, so that a report needs no plugin. Where two disagree, neither way is better.
    """
    for recipe in recipes:
        directions = recipe.get("directions")
        for name, direction in directions.items() if isinstance(directions, Mapping) else ():
            if name not in DIRECTIONS and direction in ("lower", "higher", None):
                agreed = _DECLARED.setdefault(name, direction) == direction
                _DECLARED[name] = cast("Direction | None", direction) if agreed else None


def quantity(name: str) -> Quantity:
    """Return what is known about the number `name`; an unknown one has no direction.

    >>> quantity("fd").axis, quantity("of_the_future").axis
    ('fd ↓', 'of the future')
    """
    return Quantity(name, _HEADINGS.get(name, name.replace("_", " ")), DIRECTIONS.get(name, _DECLARED.get(name)))


def main_metric(names: Iterable[str]) -> str | None:
    """Return what to rank by: `fid`, else `fd`, else the first number in reading order that has a direction."""
    ordered = in_reading_order(names)
    candidates = [*(name for name in _MAIN if name in ordered), *(name for name in ordered if quantity(name).direction)]
    return candidates[0] if candidates else None


def in_reading_order(names: Iterable[str]) -> list[str]:
    """Return the names sorted: first table, then the order of the metrics' list, then unknown ones alphabetically."""
    there = set(names)
    return [name for name in _ORDER if name in there] + sorted(there.difference(_ORDER))
