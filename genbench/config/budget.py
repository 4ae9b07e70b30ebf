"""How long a cell may train."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from genbench.errors import InputError

__all__ = ["Budget"]

Unit = Literal["steps", "kimg", "s", "flop"]


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
        """Read `3000steps`, `200kimg`, `60s` or `1e15flop`; raise `InputError` for anything else."""
        match = re.fullmatch(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?(?:e\+?[0-9]+)?)\s*([a-z]*)\s*", str(text).lower())
        unit = match and {"step": "steps", "flops": "flop", "sec": "s"}.get(match[2], match[2])
        if not match or unit not in get_args(Unit):
            raise InputError(f"budget {text!r} cannot be read; write for example 3000steps, 200kimg, 60s or 1e15flop")
        amount = float(match[1])
        if amount <= 0 or (unit == "steps" and amount != int(amount)):
            raise InputError(f"budget {text!r} must be above zero, and steps a whole number")
        return cls(amount, unit)  # type: ignore[arg-type]  # checked against Unit above

    def __str__(self) -> str:
        return f"{self.amount:.15g}{self.unit}" if self.amount < 1e15 else f"{self.amount:g}{self.unit}"

    def steps(self, batch_size: int, steps_within: Callable[[float], int | None]) -> int | None:
        """Return how many training steps this is, at least one; None for seconds, which only a clock can tell.

        Args:
            batch_size: images a step.
            steps_within: gives the most steps whose FLOPs together are at most a number; None where none cost any.
        """
        match self.unit:
            case "steps":
                return int(self.amount)
            case "kimg":
                return max(1, round(self.amount * 1000 / batch_size))
            case "flop":
                steps = steps_within(self.amount)
                if steps is None:
                    raise InputError(f"budget {self}: no floating-point operations were counted in a training step")
                return max(1, steps)
            case "s":
                return None
