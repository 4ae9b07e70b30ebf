"""`Check`: one promise of a contract, and the function that puts it to the test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Check"]


@dataclass(frozen=True)
class Check:
    """One promise of the contract.

    Args:
        name: what lists call it.
        function: takes what is checked, and raises `Fault` where the promise is broken.
        needs: checks that must hold first, so that one mistake fails one check.
        once: whether it runs for the smallest images only, and not for each case.
    """

    name: str
    function: Callable[[Any], None]
    needs: tuple[str, ...] = ("build",)
    once: bool = False

    @property
    def promise(self) -> str:
        """What holds, in one line: the first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().splitlines()[0].rstrip(".")
