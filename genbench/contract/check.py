"""`Check`: one promise of a contract, and the function that tests it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Check"]


@dataclass(frozen=True)
class Check:
    """One promise of the contract.

    Args:
        name: its name in lists.
        function: takes the subject of the check, and raises `Fault` if the promise is broken.
        needs: checks that must hold first, so that one mistake fails one check.
        once: whether it runs only for the smallest images, instead of for every case.
        as_trained: whether it runs with the kernels that training uses, instead of with repeatable ones.
    """

    name: str
    function: Callable[[Any], None]
    needs: tuple[str, ...] = ("build",)
    once: bool = False
    as_trained: bool = False

    @property
    def promise(self) -> str:
        """The promise in one line: the first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().splitlines()[0].rstrip(".")
