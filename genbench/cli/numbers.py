"""The numbers that flags take; invalid input of any length gives one line and exit code 2."""

from __future__ import annotations

import math
import re
from typing import Any

import click

from genbench.errors import InputError, quoted

__all__ = ["SECONDS", "Whole", "shape_in"]

MOST_SEED, MOST_COUNT = 2**63 - 1, 10**9


class Whole(click.ParamType):  # type: ignore[type-arg]  # older releases have none
    """A whole number from `least` to `most`."""

    name = "integer"

    def __init__(self, most: int = MOST_COUNT, least: int = 1) -> None:
        self.most, self.least = most, least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = int(value)  # also refuses thousands of digits
        except ValueError:
            number = None
        if number is not None and number < self.least:
            rule = "above zero" if self.least == 1 else f"of at least {self.least}"
            raise _refused(param, f"must be a whole number {rule}", number)
        if number is None or number > self.most:
            raise _refused(param, f"must be a whole number up to {self.most:,}", value)
        return number


class _Seconds(click.ParamType):  # type: ignore[type-arg]  # likewise
    """A finite number of seconds."""

    name = "float"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise _refused(param, "must be a finite number of seconds", value)
        return number


SECONDS = _Seconds()


def _refused(param: click.Parameter | None, rule: str, value: Any) -> InputError:
    return InputError(f"{param.opts[0] if param else 'a number'} {rule}, not {quoted(value)}")


def shape_in(text: str) -> tuple[int, ...]:
    """Read the shape of an item.

    Raises:
        InputError: the text is not a shape.

    >>> shape_in("3x32x32"), shape_in("12"), shape_in("1x16000")
    ((3, 32, 32), (12,), (1, 16000))
    """
    sides = text.strip().lower().split("x")
    digits = 6 if len(sides) == 2 else 3  # a clip of a minute has millions of samples
    if len(sides) > 3 or not all(re.fullmatch(rf"[1-9]\d{{0,{digits}}}", side, re.ASCII) for side in sides):
        raise InputError(
            f"shape {text!r} cannot be read; write channels x height x width for images, for example 1x28x28, the "
            "length for texts, for example 12, or channels x samples for clips, for example 1x4000"
        )
    return tuple(int(side) for side in sides)
