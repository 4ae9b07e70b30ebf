"""Whether `log_likelihood` is a bound, on data whose probabilities can all be summed: images of one or two values."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from genbench import seeding
from genbench.contract.case import Case, Subject
from genbench.contract.fault import Fault, Unmet
from genbench.kinds.image import KIND as IMAGES
from genbench.plugin.model import Model

__all__ = ["bound"]

VALUES = 256
STEPS = 200
BATCH = 64
SLACK = 0.01
DEVIATIONS = 5.0


@dataclass(frozen=True)
class _Whole:
    """Images so small that all of them can be summed over, and the draws of the bound's own noise for each."""

    shape: tuple[int, int, int]
    draws: int

    def __str__(self) -> str:
        size = math.prod(self.shape)
        return f"the {VALUES**size:,} images of {'one pixel' if size == 1 else 'two values'}"

    def images(self) -> Tensor:
        """All of them, once: (256 ** size, C, H, W) levels."""
        levels = torch.arange(VALUES)
        return torch.cartesian_prod(*[levels] * math.prod(self.shape)).view(-1, *self.shape)


# A model that couples one half of an image to the other needs two values: pixels, or channels.
_WHOLES = (_Whole((1, 1, 1), 32), _Whole((1, 1, 2), 4), _Whole((1, 2, 1), 4), _Whole((2, 1, 1), 4))


def bound(subject: Subject) -> None:
    """exp(log_likelihood) of all images of one pixel, or of two values, sums to at most 1.

    Before training and after. It is trained on the values 0 and 255, on which a model that learns codes gains most from
    leaving out their cost.
    """
    if not subject.plugin.implements("log_likelihood"):
        raise Unmet("the plugin has no log_likelihood")
    refusals: list[Exception] = []
    for whole in _WHOLES:
        try:
            case = Case(IMAGES.name, whole.shape, None)
            return _bound(Subject(subject.plugin, subject.given, case, subject.device), whole)
        except _NotTaken as error:
            refusals.append(error)
    raise Unmet("needs images of one pixel or of two values, which the model does not take") from refusals[0]


class _NotTaken(Exception):  # noqa: N818  # a reason to look at other images
    pass


def _bound(small: Subject, whole: _Whole) -> None:
    try:
        model = small.build()
        small.begin(model)
        total = _total(small, model, whole)
    except (Fault, Unmet) as error:
        raise _NotTaken from error
    _check(*total, whole, "before training")
    seeding.seed_global(0, "contract", "bound")
    for step in range(STEPS):
        levels = torch.randint(2, (BATCH, *whole.shape)) * (VALUES - 1)
        try:
            small.step(model, IMAGES.deliver(levels).to(small.device), None, step)
        except Fault as error:
            raise _NotTaken from error
    _check(*_total(small, model, whole), whole, f"after {STEPS} steps on the values 0 and 255")


def _check(total: float, deviation: float, whole: _Whole, when: str) -> None:
    if not total - DEVIATIONS * deviation <= 1 + SLACK:
        raise Fault(
            f"exp(log_likelihood) of {whole} to sum to at most 1",
            f"{total:.4g} ± {deviation:.2g} {when}",
            "count the bin of an 8-bit value (2 / 255 of [-1, 1]), the Jacobian of each change of variables, and the "
            "cost of the code (the KL term)",
        )


def _total(small: Subject, model: Model, whole: _Whole) -> tuple[float, float]:
    """Return the sum over all images of exp of the bound's mean, and its standard deviation."""
    images, generator = IMAGES.deliver(whole.images()).to(small.device), small.generator()
    rows: list[Tensor] = []
    for _ in range(whole.draws):
        nats = small.call(model, "log_likelihood", batch=images, generator=generator)
        if nats.shape != (len(images),):
            raise Unmet("log_likelihood returned another shape")
        rows.append(nats.cpu().double())
    drawn = torch.stack(rows)  # (draws, images)
    masses = drawn.mean(0).exp()
    variances = masses.square() * drawn.var(0) / whole.draws
    return float(masses.sum()), math.sqrt(float(variances.sum()))
