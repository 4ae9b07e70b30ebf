"""Explanations of values that look like faults and are none. Imports no torch."""

from __future__ import annotations

__all__ = ["remark"]


def remark(name: str, value: float) -> str | None:
    """Return what to say of this value of the number `name`, as the rest of a sentence about it; mostly None.

    >>> remark("kid", -1e-4)
    'below 0: the estimate is unbiased, so where the distributions are equal half of all values are; read it as 0'
    """
    if name in ("kid", "kad") and value < 0:
        return (
            "below 0: the estimate is unbiased, so where the distributions are equal half of all values are; "
            "read it as 0"
        )
    if name == "density" and value == 0:
        return "0: no sample lies in any neighbourhood of the data, as of images that are all alike or unlike any"
    if name == "oracle_kl" and value < 0:
        return "below 0: by chance, or because the samples are less varied than the data; as far off as one above 0"
    if name == "c2st_auc" and value < 0.5:
        return "below 0.5: by chance, or because samples are copies of the data; read it as 0.5"
    return None
