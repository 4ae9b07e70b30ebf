"""How long a cell may train."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from genbench.errors import InputError, quoted

__all__ = ["Budget"]

Unit = Literal["steps", "kimg", "s", "flop"]
# Far beyond any training; below these, step and image counts are exact in a float, and clocks can wait that long.
LARGEST: dict[Unit, float] = {"steps": 1e12, "kimg": 1e12, "s": 1e9, "flop": 1e30}
_AMOUNT = r"[0-9]+(?:_[0-9]+)*(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?"


@dataclass(frozen=True)
class Budget:
    """How long a cell may train. Evaluation never counts; compilation does.

    >>> Budget.parse("200kimg").steps(batch_size=64, steps_within=lambda flops: None)
    3125
    >>> str(Budget.parse("3_000steps"))
    '3000steps'
    """

    amount: float
    unit: Unit

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read `3000steps`, `200kimg`, `60s` or `1e15flop`; raise `InputError` for anything else or above `LARGEST`."""
        match = re.fullmatch(rf"\s*({_AMOUNT})\s*([a-z]*)\s*", text.lower()) if isinstance(text, str) else None
        unit = match and {"step": "steps", "flops": "flop", "sec": "s"}.get(match[2], match[2])
        if not match or unit not in get_args(Unit):
            raise InputError(
                f"budget {quoted(text)} cannot be read; write for example 3000steps, 200kimg, 60s or 1e15flop"
            )
        amount = float(match[1])
        if not 0 < amount <= LARGEST[unit]:  # type: ignore[index]  # checked against Unit above
            raise InputError(f"budget {quoted(text)} must be above zero and at most {LARGEST[unit]:g}{unit}")  # type: ignore[index]
        if unit == "steps" and not amount.is_integer():
            raise InputError(f"budget {quoted(text)} must be a whole number of steps")
        return cls(amount, unit)  # type: ignore[arg-type]  # checked against Unit above

    def __str__(self) -> str:
        text = f"{self.amount:.15g}" if self.amount < 1e15 else f"{self.amount:g}"
        return f"{text if float(text) == self.amount else repr(float(self.amount))}{self.unit}"

    def steps(self, batch_size: int, steps_within: Callable[[float], int | None] | None = None) -> int | None:
        """Return the number of training steps, at least one; None for seconds, where only a clock decides.

        Args:
            batch_size: items per step.
            steps_within: returns the largest number of steps whose total FLOPs do not exceed a number, or None if steps
                cost none; without it, a budget in FLOPs gives None.
        """
        match self.unit:
            case "steps":
                return int(self.amount)
            case "kimg":
                return max(1, round(self.amount * 1000 / batch_size))
            case "flop":
                if steps_within is None:
                    return None
                steps = steps_within(self.amount)
                if steps is None:
                    raise InputError(f"budget {self}: no floating-point operations were counted in a training step")
                return max(1, steps)
            case "s":
                return None
