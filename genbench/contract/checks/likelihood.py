"""Whether `log_likelihood` is a bound, on the one data set whose probabilities can be summed: images of one pixel."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genbench import seeding
from genbench.contract.case import Case, Subject
from genbench.contract.fault import Fault, Unmet
from genbench.model import Model
from genbench.training import scale

__all__ = ["bound"]

VALUES = 256
DRAWS = 32  # of the bound's own noise, for each value
STEPS = 200
BATCH = 64
SLACK = 0.01
DEVIATIONS = 5.0


def bound(subject: Subject) -> None:
    """exp(log_likelihood) of all 256 images of one pixel sums to at most 1.

    Before training and after. It is trained on the values 0 and 255, on which a model that learns codes gains most from
    leaving out their cost.
    """
    if not subject.plugin.implements("log_likelihood"):
        raise Unmet("the plugin has no log_likelihood")
    pixel = Subject(subject.plugin, subject.given, Case((1, 1, 1), None), subject.device)
    try:
        model = pixel.build()
        total, deviation = _total(pixel, model)
    except (Fault, Unmet) as error:
        raise Unmet("needs images of one pixel, which the model does not take") from error
    _check(total, deviation, "before training")
    seeding.seed_global(0, "contract", "bound")
    for step in range(STEPS):
        levels = torch.randint(2, (BATCH, 1, 1, 1)) * 255
        images = scale(levels).to(subject.device)
        try:
            pixel.step(model, images, None, step)
        except Fault as error:
            raise Unmet("needs images of one pixel, on which the model does not train") from error
    _check(*_total(pixel, model), f"after {STEPS} steps on the values 0 and 255")


def _check(total: float, deviation: float, when: str) -> None:
    if not total - DEVIATIONS * deviation <= 1 + SLACK:
        raise Fault(
            "exp(log_likelihood) of the 256 images of one pixel to sum to at most 1",
            f"{total:.4g} ± {deviation:.2g} {when}",
            "count the bin of an 8-bit value (2 / 255 of [-1, 1]) and the cost of the code (the KL term)",
        )


def _total(pixel: Subject, model: Model) -> tuple[float, float]:
    """Return the sum over all values of exp of the bound's mean, and its standard deviation."""
    images = scale(torch.arange(VALUES).repeat(DRAWS).view(-1, 1, 1, 1)).to(pixel.device)
    nats: Tensor = pixel.call(model, "log_likelihood", images=images, generator=pixel.generator())
    if nats.shape != (len(images),):
        raise Unmet("log_likelihood returned another shape")
    nats = nats.cpu().double().view(DRAWS, VALUES)
    masses = nats.mean(0).exp()
    variances = masses.square() * nats.var(0) / DRAWS
    return float(masses.sum()), math.sqrt(float(variances.sum()))
