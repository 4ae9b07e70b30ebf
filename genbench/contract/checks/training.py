"""The promises of `train_step`: losses that can be read later, and parameters that move."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from genbench.contract.case import STEPS, Subject
from genbench.contract.fault import Caution, Fault, Unmet
from genbench.plugin.model import Model
from genbench.plugin.returned import LONGEST_NAME, MOST_LOSSES, Unusable, loss_name, plain

__all__ = ["losses", "movement"]

PATIENCE = 12  # steps in which every parameter must have moved: a generator may be stepped only every fifth time
LONGEST = 64  # steps in which every optimizer must have stepped: it may wait until gradients of many are accumulated
ROUNDING = 1e-5  # of the largest gradient; in float32, what cancels leaves at most 1e-6 of it


def losses(subject: Subject) -> None:
    """`train_step` returns a dict of detached, finite 0-d tensors by name."""
    returned = subject.first_steps.losses
    for step, found in enumerate(returned):
        if not isinstance(found, dict):
            raise Fault("train_step to return a dict of losses", type(found).__name__, 'return {"loss": loss.detach()}')
        _check_losses(found, step)
    if not subject.built.model.optimizers:  # it was fitted before training, or by its first steps
        return
    model = subject.build()
    if not any(returned) and not any(subject.train(model, step, 1)[0] for step in range(LONGEST)):
        raise Fault(
            f"losses from at least one of {LONGEST} steps", "an empty dict at each", 'return {"loss": loss.detach()}'
        )


def _check_losses(returned: Mapping[str, Tensor], step: int) -> None:
    if len(returned) > MOST_LOSSES:
        raise Fault(f"at most {MOST_LOSSES} losses", f"{len(returned):,}", "return sums of them")
    for given, value in returned.items():
        try:
            name = loss_name(given)
        except Unusable as error:
            raise Fault(
                f"losses named by text of at most {LONGEST_NAME} characters",
                str(error),
                'return {"loss": loss.detach()}',
            ) from error
        try:
            value = plain(value)
        except Unusable as error:
            raise Fault(
                f"loss {name!r} to be a real tensor",
                str(error),
                "return loss.detach(): genbench reads the value later",
            ) from error
        if value.dim() != 0:
            raise Fault(f"loss {name!r} to be a 0-d tensor", f"one of shape {tuple(value.shape)}", "take its .mean()")
        if value.requires_grad:
            raise Fault(f"loss {name!r} to be detached", "one that requires grad", "return loss.detach()")
        if not bool(value.isfinite()):
            raise Fault(
                f"loss {name!r} to be finite",
                f"{float(value)} at step {step}",
                "fix the formula, or use a smaller learning rate",
            )


def movement(subject: Subject) -> None:
    """Every trainable parameter changes within a few steps."""
    model, initial = subject.first_steps.model, subject.built.initial
    trainable = {name: value for name, value in model.networks.named_parameters() if value.requires_grad}
    if not trainable:
        raise Unmet("nothing is trained by gradient steps")
    with _watched(model, trainable) as (stepped, idle):
        still, step = trainable, STEPS
        while True:
            still = {name: value for name, value in still.items() if torch.equal(value, initial[f"networks.{name}"])}
            if not still or step >= (PATIENCE if stepped >= still.keys() else LONGEST):
                break
            subject.train(model, step)
            step += STEPS
    unmoved = [name for name in still if name not in idle or len(still) == len(trainable)]
    if unmoved:
        more = f" and {len(unmoved) - 1} more" if len(unmoved) > 1 else ""
        raise Fault(
            f"every trainable parameter to move in {step} steps",
            f"{unmoved[0]}{more} unchanged",
            "check that the loss depends on it and its optimizer steps; freeze the rest with .requires_grad_(False)",
        )
    if still:
        rounding = any(idle[name] for name in still)
        raise Caution(
            f"the gradient of {', '.join(still)} is {'only rounding errors' if rounding else 'exactly zero'} in "
            f"{step} steps: the loss does not depend on it, so it costs memory and time without learning anything "
            "(bias=False omits a bias)"
        )


@contextlib.contextmanager
def _watched(model: Model, parameters: Mapping[str, Tensor]) -> Iterator[tuple[set[str], dict[str, float]]]:
    """Watch optimizers: the set collects the parameters of those that step, and the dict the ones stepped without
    effect, each with its largest gradient: always zero, or a rounding error beside the largest of its optimizer.

    A critic's last bias cancels in every difference of the critic's values, a bias before a BatchNorm in its mean.
    Gradients are seen at the step, because another loss may leave some that are cleared before it: a generator's
    leaves its critic's.
    """
    stepped: set[str] = set()
    idle: dict[str, float] = {}
    names = {id(parameter): name for name, parameter in parameters.items()}
    own: dict[str, float] = {}
    most: dict[int, float] = {}

    def note(optimizer: torch.optim.Optimizer, *_: object) -> None:
        held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        seen = _gradients({names[id(each)]: each for each in held if id(each) in names})
        for name, size in seen.items():
            own[name] = max(own.get(name, 0.0), size)
        most[id(optimizer)] = max([most.get(id(optimizer), 0.0), *seen.values()])
        stepped.update(names[id(each)] for each in held if id(each) in names)
        for name in seen:
            idle.pop(name, None)
            if own[name] <= ROUNDING * most[id(optimizer)]:
                idle[name] = own[name]

    with contextlib.ExitStack() as handles:
        for optimizer in model.optimizers.values():
            handles.callback(optimizer.register_step_pre_hook(note).remove)
        yield stepped, idle


def _gradients(parameters: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the largest gradient of each parameter that has one, or whose layer has one: then it is zero.

    The score of an energy is its gradient, in which the last bias is not even part of the graph. A whole layer without
    gradients may be a network that was forgotten.
    """
    seen = {name: _largest(each.grad) for name, each in parameters.items() if each.grad is not None}
    layers = {_layer(name) for name in seen}
    return {name: 0.0 for name in parameters if _layer(name) in layers} | seen


def _layer(name: str) -> str:
    """Return the path of a parameter's layer, which may parametrize its weight."""
    return name.partition(".parametrizations.")[0] if ".parametrizations." in name else name.rpartition(".")[0]


def _largest(gradient: Tensor) -> float:
    """Return the largest magnitude in a gradient; a NaN counts as infinite."""
    values = gradient.coalesce().values() if gradient.is_sparse else gradient
    return float(values.detach().abs().nan_to_num(nan=math.inf).amax()) if values.numel() else 0.0
