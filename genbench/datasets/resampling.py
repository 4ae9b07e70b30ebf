"""Resamples clips; files and extractors share this one filter."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["FILTER", "resampled", "resampled_length"]

# A linear-phase low-pass of 20 max(up, down) + 1 taps at the lower of both Nyquist frequencies.
FILTER = "scipy.signal.resample_poly, Kaiser window, beta 5"
_WINDOW = ("kaiser", 5.0)


def resampled(samples: npt.NDArray[Any], rate: int, wanted: int) -> npt.NDArray[np.float32]:
    """Return samples (..., T) at `rate` Hz as float32 at `wanted` Hz: ceil(T wanted / rate) of them.

    It uses the polyphase filter `FILTER` and assumes silence beyond the ends. An equal rate changes nothing.
    """
    if rate == wanted:
        return np.asarray(samples, np.float32)
    from scipy.signal import resample_poly  # importing it takes a third of a second

    ratio = Fraction(wanted, rate)
    found = resample_poly(
        np.asarray(samples, np.float32), ratio.numerator, ratio.denominator, axis=-1, window=_WINDOW, padtype="constant"
    )
    return np.asarray(found, np.float32)


def resampled_length(length: int, rate: int, wanted: int) -> int:
    """Return the number of samples that `resampled` returns for `length`.

    >>> resampled_length(22_050, 44_100, 8_000), resampled_length(3, 8_000, 16_000)
    (4000, 6)
    """
    return -(-length * wanted // rate)
