"""Learning rates over the budget."""

from __future__ import annotations

import math
from functools import partial

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from genbench import Training

__all__ = ["factor", "schedulers_of"]


def factor(step: int, steps: int, warm_up: float) -> float:
    r"""Return the factor of the learning rate at a step: a linear rise, then a half-cosine down to 0.

    .. math:: f(s) = \min\Big(\frac{s + 1}{w S}, \tfrac12 + \tfrac12 \cos \frac{\pi \max(s - w S, 0)}{(1 - w) S}\Big)

    I. Loshchilov, F. Hutter (2017), "SGDR: Stochastic Gradient Descent with Warm Restarts", equation 5, without
    restarts. https://arxiv.org/abs/1608.03983

    Args:
        step: counted from 0; beyond the last step the factor stays at 0.
        steps: S, the number of steps in the whole training.
        warm_up: w, the share of the steps over which the rate rises, in [0, 1).

    >>> [round(factor(step, 10, 0.2), 3) for step in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    rising = warm_up * steps
    progress = min(1.0, max(0.0, step - rising) / (steps - rising))
    falling = 0.5 + 0.5 * math.cos(math.pi * progress)
    return min(falling, (step + 1) / rising) if rising else falling


def schedulers_of(name: str, optimizer: Optimizer, training: Training, warm_up: float) -> dict[str, LRScheduler]:
    """Return the scheduler of an optimiser by its name; none if the number of steps is unknown."""
    if training.steps is None:
        return {}
    return {name: LambdaLR(optimizer, partial(factor, steps=training.steps, warm_up=warm_up))}
