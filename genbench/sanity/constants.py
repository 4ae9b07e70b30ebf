"""How much the checks draw, and the purposes of numbers. Imports nothing of genbench, for the command's help."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["COUNT", "PURPOSE_NAMES", "SEEDS", "Purpose"]

COUNT = 200  # samples, training items and held-out items per draw
SEEDS = 8  # draws per case

# distance: both fidelity and diversity. generalisation: a distance that copies of training items increase.
Purpose = Literal["fidelity", "diversity", "distance", "generalisation", "copying"]
PURPOSE_NAMES: tuple[Purpose, ...] = get_args(Purpose)
