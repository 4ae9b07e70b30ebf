"""Whether `log_likelihood` is a bound: the probabilities of all items of a tiny shape, or of some, sum to at most 1."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from genbench import seeding
from genbench.contract.case import Case, Subject
from genbench.contract.fault import Fault, Unmet
from genbench.kinds.kind import Whole
from genbench.plugin.model import Model

__all__ = ["bound"]

STEPS = 200
BATCH = 64
SLACK = 0.01
DEVIATIONS = 5.0


def bound(subject: Subject) -> None:
    """exp(log_likelihood) over all items of a tiny shape, such as images of one pixel, sums to at most 1.

    Over some items of a larger shape as well, because items of one entry cannot show a mean in place of a sum. Checked
    before and after training. The model is trained only on items of the lowest and the highest level, on which a model
    that learns codes gains most by omitting their cost.
    """
    if not subject.plugin.implements("log_likelihood"):
        raise Unmet("the plugin has no log_likelihood")
    refusals: list[_NotTaken] = []
    taken = [_bound_of_first(subject, wholes, refusals) for wholes in (subject.kind.wholes(), subject.kind.parts())]
    if not any(taken):
        names = dict.fromkeys(str(refusal) for refusal in refusals)
        raise Unmet(f"needs {' or '.join(names)}, which the model does not take") from refusals[0]


def _bound_of_first(subject: Subject, wholes: Iterable[Whole], refusals: list[_NotTaken]) -> bool:
    """Check the sum over the first items that the model takes; return whether there were any."""
    for whole in wholes:
        try:
            case = Case(whole.kind.name, tuple(whole.items.shape[1:]), None)
            _bound(Subject(subject.plugin, subject.given, case, subject.device, whole.kind), whole)
            return True
        except _NotTaken as refusal:
            refusals.append(refusal)
    return False


class _NotTaken(Exception):  # noqa: N818  # a reason to try another space, named by the text
    pass


def _bound(small: Subject, whole: Whole) -> None:
    try:
        model = small.build()
        small.begin(model)
        total = _total(small, model, whole)
    except (Fault, Unmet) as error:
        raise _NotTaken(whole.name) from error
    _check(*total, whole, "before training")
    seeding.seed_global(0, "contract", "bound")
    least, greatest = whole.items.aminmax()
    outer = ((whole.items == least) | (whole.items == greatest)).flatten(1).all(1).nonzero()[:, 0]
    for step in range(STEPS):
        rows = outer[torch.randint(len(outer), (BATCH,))]
        try:
            small.step(model, whole.kind.deliver(whole.items[rows]).to(small.device), None, step)
        except Fault as error:
            raise _NotTaken(whole.name) from error
    _check(*_total(small, model, whole), whole, f"after {STEPS} steps on the lowest and the highest level")


def _check(total: float, deviation: float, whole: Whole, when: str) -> None:
    if not total - DEVIATIONS * deviation <= 1 + SLACK:
        from genbench.report.formatting import interval  # imports the plotting code, so only on failure

        raise Fault(
            f"exp(log_likelihood) over {whole.name} to sum to at most 1",
            f"{interval(total, deviation)} {when}",
            whole.kind.likelihood_advice,
        )


def _total(small: Subject, model: Model, whole: Whole) -> tuple[float, float]:
    """Return the sum over all items of the exponential of the mean bound, and its standard deviation."""
    batch, generator = whole.kind.deliver(whole.items).to(small.device), small.generator()
    rows: list[Tensor] = []
    for _ in range(whole.draws):
        nats = small.call(model, "log_likelihood", batch=batch, generator=generator)
        if nats.shape != (len(batch),):
            raise Unmet("log_likelihood returned another shape")
        rows.append(nats.cpu().double())
    drawn = torch.stack(rows)  # (draws, items)
    masses = drawn.mean(0).exp()
    variances = masses.square() * drawn.var(0) / whole.draws
    return float(masses.sum()), math.sqrt(float(variances.sum()))
