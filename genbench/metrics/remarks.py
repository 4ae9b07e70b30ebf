"""Explanations of values that look wrong but are not. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["fewer", "remark"]


def remark(name: str, value: float) -> str | None:
    """Return an explanation of this value of the number `name`, to end a sentence about it; usually None.

    >>> remark("kid", -1e-4)
    'below 0: the estimate is unbiased, so for equal distributions half of all values are negative; read it as 0'
    """
    if name in ("kid", "kad") and value < 0:
        return (
            "below 0: the estimate is unbiased, so for equal distributions half of all values are negative; "
            "read it as 0"
        )
    if name == "density" and value == 0:
        return "0: no sample lies in any neighbourhood of the data, as for items that are all alike or unlike any"
    if name == "oracle_kl" and value < 0:
        return "below 0: by chance, or because samples are less varied than the data; as bad as the same value above 0"
    if name == "c2st_auc" and value < 0.5:
        return "below 0.5: by chance, or because samples are copies of the data; read it as 0.5"
    return None


def fewer(recipes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for each limited number of items that some numbers were computed from.

    Args:
        recipes: of each number, by its name.

    >>> both = {"samples_compared": 750, "reference_compared": 700}
    >>> fewer({"kid": {"samples_compared": 750}, "fd": {}, "precision": both, "recall": both})
    ['of 750 samples: kid', 'of 750 samples and 700 items of the data: precision, recall']
    """
    names: dict[str, list[str]] = {}
    for name, recipe in recipes.items():
        sides = (("samples_compared", "samples"), ("reference_compared", "items of the data"))
        if limited := [f"{recipe[field]:,} {what}" for field, what in sides if field in recipe]:
            names.setdefault(" and ".join(limited), []).append(name)
    return [f"of {limited}: {', '.join(of)}" for limited, of in names.items()]
