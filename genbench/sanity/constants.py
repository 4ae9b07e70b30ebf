"""How much the checks draw, and what a number may be meant for. Imports nothing of genbench, for the command's help."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["COUNT", "PURPOSE_NAMES", "SEEDS", "Purpose"]

COUNT = 200  # samples, training items and held-out items of a draw
SEEDS = 8  # draws of each case

# distance: both fidelity and diversity. generalisation: a distance that copies of training items raise.
Purpose = Literal["fidelity", "diversity", "distance", "generalisation", "copying"]
PURPOSE_NAMES: tuple[Purpose, ...] = get_args(Purpose)
