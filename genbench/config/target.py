"""A quality that training should reach, such as `fd<5`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from genbench.errors import InputError, quoted

__all__ = ["Target"]

_RATIO = "_ratio"
_FORM = re.compile(r"\s*([A-Za-z_]\w*)\s*([<>])\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*", re.ASCII)


@dataclass(frozen=True)
class Target:
    """A bound that a number on the curve should cross.

    Args:
        name: of the number, or of a distance with the suffix `_ratio`: divided by that of the control `real`.
        sign: `<` if the number must lie below the bound, `>` if above.
        bound: the bound; a number equal to it does not meet the target.
    """

    name: str
    sign: Literal["<", ">"]
    bound: float

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read `fd<5` or `recall > 0.6`; `genbench.evaluation.targets` checks that the number exists.

        Raises:
            InputError: it cannot be read, or its bound is not finite.

        >>> str(Target.parse(" fd_ratio < 3.0"))
        'fd_ratio<3'
        """
        match = _FORM.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise InputError(f"target {quoted(text)} cannot be read; write for example fd<5 or recall>0.6")
        bound = float(match[3])
        if not math.isfinite(bound):
            raise InputError(f"target {quoted(text)}: the bound is too large")
        return cls(match[1], match[2], bound)  # type: ignore[arg-type]  # the pattern has no other sign

    def __str__(self) -> str:
        short = f"{self.bound:.15g}"
        return f"{self.name}{self.sign}{short if float(short) == self.bound else repr(self.bound)}"

    @property
    def number(self) -> str:
        """The name of the number on the curve."""
        return self.name.removesuffix(_RATIO)

    @property
    def is_ratio(self) -> bool:
        """Whether the number is divided by the same number of the control `real`."""
        return self.name.endswith(_RATIO)

    def is_met(self, value: float) -> bool:
        """Whether a value lies on the right side of the bound; NaN does not."""
        return value < self.bound if self.sign == "<" else value > self.bound
