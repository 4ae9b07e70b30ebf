"""Resamples clips; files and extractors share this one filter."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["FILTER", "Span", "resampled", "resampled_length", "span_of"]

# A linear-phase low-pass of 20 max(up, down) + 1 taps at the lower of both Nyquist frequencies.
FILTER = "scipy.signal.resample_poly, Kaiser window, beta 5"
_WINDOW = ("kaiser", 5.0)
_REACH = 10  # taps to either side of the middle one, in samples at the lower of both rates


@dataclass(frozen=True)
class Span:
    """The samples of a file that decide a part of it at another rate.

    Args:
        start: the first of them.
        stop: the end, which may lie beyond that of the file.
        skip: samples at the other rate, from `start` on, that precede the part.
    """

    start: int
    stop: int
    skip: int


def span_of(first: int, count: int, rate: int, wanted: int) -> Span:
    """Return what to read at `rate` Hz for `count` samples at `wanted` Hz, the first of them number `first`.

    `resampled` assumes silence beyond what it is given, so a part read alone would fade in and out. With the filter's
    reach on both sides, and a start that falls on a sample at either rate, it is the part of the whole file resampled.

    >>> span_of(800, 400, 8_000, 8_000), span_of(800, 400, 16_000, 8_000)
    (Span(start=800, stop=1200, skip=0), Span(start=1580, stop=2419, skip=10))
    """
    if rate == wanted:
        return Span(first, first + count, 0)
    ratio = Fraction(wanted, rate)
    up, down = ratio.numerator, ratio.denominator
    reach = _REACH * max(up, down)
    start = max(0, -(-(first * down - reach) // up)) // down * down
    return Span(start, ((first + count - 1) * down + reach) // up + 1, first - start // down * up)


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
