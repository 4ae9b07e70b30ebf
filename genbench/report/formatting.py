"""Formats numbers for readers: an interval to two significant digits, its mean to the same decimal place."""

from __future__ import annotations

import math

__all__ = ["NOTHING", "amount", "flag", "interval", "memory", "p_value", "percent", "plain"]

NOTHING = "–"
_DIGITS = 4


def plain(value: float | None) -> str:
    """Return `value` to four significant digits, as a whole number from 1,000 on.

    >>> [plain(value) for value in (12345.6, 23.456, 0.00123456, 0, None)]
    ['12,346', '23.46', '0.001235', '0', '–']
    >>> [plain(value) for value in (0.00005, 1.53941e-5, 2e15)]
    ['5e-5', '1.539e-5', '2e15']
    """
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    size = int(f"{value:.{_DIGITS - 1}e}".partition("e")[2])  # of the rounded value: 0.99999 counts as 1
    if not -5 < size < 12:
        mantissa, _, power = f"{value:.{_DIGITS - 1}e}".partition("e")
        return _exact(mantissa, value, f"e{int(power)}")
    return _exact(f"{value:,.{max(0, _DIGITS - 1 - size)}f}", value)


def _exact(shown: str, value: float, power: str = "") -> str:
    """Return `shown` and `power` without trailing zeros if that is exact: 0.02000 or 5.000e-5 would look measured."""
    short = shown.rstrip("0").rstrip(".") if "." in shown else shown
    return (short if float(short.replace(",", "") + power) == value else shown) + power


def interval(mean: float | None, half_width: float | None) -> str:
    """Return mean ± half-width: the half-width to two significant digits, the mean to the same decimal place.

    >>> interval(23.1417, 2.391)
    '23.1 ± 2.4'
    >>> interval(12345.6, 1234.5)
    '12,300 ± 1,200'
    >>> interval(0.01234567, 0.000996)
    '0.0123 ± 0.0010'
    >>> interval(23.1417, None)
    '23.14'
    """
    if mean is None or half_width is None or not (math.isfinite(mean) and math.isfinite(half_width)):
        return plain(mean)
    if half_width <= 1e-9 * abs(mean):  # only the rounding of sums varies
        return f"{plain(mean)} ± 0"
    size = math.floor(math.log10(half_width))
    # 0.0996 rounds to 0.10: one more digit before the point leaves one fewer after it.
    size = math.floor(math.log10(round(half_width, 1 - size)) + 1e-9)
    decimals = 1 - size
    if decimals > 7:
        power = math.floor(math.log10(max(abs(mean), half_width)))
        scale, digits = 10.0**power, power - size + 1
        return f"({mean / scale:.{digits}f} ± {half_width / scale:.{digits}f})e{power}"
    places = max(0, decimals)
    return f"{round(mean, decimals) + 0.0:,.{places}f} ± {round(half_width, decimals):,.{places}f}"


def flag(share: float) -> str:
    """Return the text for a flag that is set in this share of the seeds.

    >>> flag(1.0), flag(0.0), flag(2 / 3), flag(math.nan)
    ('yes', 'no', 'yes in 67%', '–')
    """
    if math.isnan(share):
        return NOTHING
    return {0.0: "no", 1.0: "yes"}.get(share, f"yes in {share:.0%}")


def amount(value: float | None) -> str:
    """Return a count to three significant digits with an SI prefix.

    >>> [amount(value) for value in (950, 1463296, 8.2e9)]
    ['950', '1.46 M', '8.20 G']
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    for prefix, factor in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= 0.9995 * factor:
            scaled = value / factor
            return f"{scaled:.{2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0}f} {prefix}"
    return f"{value:.0f}"


def memory(size_bytes: float | None) -> str:
    """Return a size in bytes as MiB, or as GiB from 10 GiB on.

    >>> memory(350 * 2**20)
    '350 MiB'
    """
    if size_bytes is None or not math.isfinite(size_bytes):
        return NOTHING
    if size_bytes >= 10 * 2**30:
        return f"{size_bytes / 2**30:.1f} GiB"
    return f"{size_bytes / 2**20:,.0f} MiB"


def p_value(p: float) -> str:
    """Return a p-value as `p = 0.012`, or as `p < 0.001`.

    >>> p_value(0.0123), p_value(0.3456), p_value(1e-9)
    ('p = 0.012', 'p = 0.35', 'p < 0.001')
    """
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.{2 if p >= 0.1 else 3}f}" if p < 0.995 else "p = 1"


def percent(share: float) -> str:
    """Return a change as a signed percentage: to one decimal, whole from 100% on, to two digits below 1%.

    >>> [percent(share) for share in (0.1234, -0.05, 1.5, 0.00123, 0)]
    ['+12.3%', '-5.0%', '+150%', '+0.12%', '0%']
    """
    if not math.isfinite(share):
        return NOTHING
    size = abs(100 * share)
    if size < 0.005:
        return "0%"
    return f"{100 * share:+,.{0 if size >= 99.95 else 1 if size >= 0.995 else 2}f}%"
