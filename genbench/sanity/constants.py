"""How much the checks draw. Imports no torch."""

COUNT = 200  # samples, training items and held-out items of a draw
SEEDS = 8  # draws of each case
