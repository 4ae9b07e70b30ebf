"""The losses that training steps return: checked, and averaged over a window."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from genbench.errors import PluginError
from genbench.plugin.returned import LONGEST_NAME, MOST_LOSSES, Unusable, is_unicode, loss_name, plain

__all__ = ["check_losses", "window_means"]


def check_losses(plugin: object, losses: object) -> dict[str, Tensor]:
    """Return the losses of one step as plain tensors; a step may have none.

    Args:
        plugin: named in the message.
        losses: what `train_step` returned.

    Raises:
        PluginError: it is not a dict of detached real 0-d tensors with text names, or has too many.
    """
    if losses.__class__ is not dict:
        raise PluginError(
            f"{plugin}: train_step returned {type(losses).__name__}, expected a dict of detached 0-d tensors"
        )
    _check_count(plugin, len(losses))
    if all(
        type(name) is str and len(name) <= LONGEST_NAME and is_unicode(name) and _is_usual(value)
        for name, value in losses.items()
    ):
        return losses
    checked: dict[str, Tensor] = {}
    for given, value in losses.items():
        try:
            name = loss_name(given)
        except Unusable as error:
            raise PluginError(
                f"{plugin}: train_step returned {error}, expected text as its name, {LONGEST_NAME} characters at most"
            ) from error
        try:
            checked[name] = plain(value)
            found = _fault(checked[name])
        except Unusable as error:
            found = str(error)
        if found:
            raise PluginError(
                f"{plugin}: train_step returned {found} for loss {name!r}, expected a detached real 0-d tensor"
            )
    return checked


def window_means(plugin: object, losses: Sequence[Mapping[str, Tensor]], first: int) -> dict[str, float]:
    """Average each loss over the steps of a window that have it; this finds a NaN without waiting at each step.

    Args:
        plugin: named in the message.
        losses: what `train_step` returned, step by step.
        first: the number of the first step.

    Raises:
        PluginError: a step returned something invalid, or a loss is not finite.
    """
    checked = [check_losses(plugin, step_losses) for step_losses in losses]
    means: dict[str, float] = {}
    names = dict.fromkeys(name for step_losses in checked for name in step_losses)
    _check_count(plugin, len(names))
    for name in names:
        steps = [step for step, step_losses in enumerate(checked) if name in step_losses]
        # Moved before the cast: not every device has float64.
        values = torch.stack([checked[step][name] for step in steps]).cpu().double()
        means[name] = float(values.mean())
        if not math.isfinite(means[name]):
            bad = int((~torch.isfinite(values)).nonzero()[0])
            raise PluginError(f"{plugin}: loss {name!r} became {float(values[bad])} at step {first + steps[bad]}")
    return means


def _check_count(plugin: object, count: int) -> None:
    if count > MOST_LOSSES:
        raise PluginError(f"{plugin}: train_step returned {count:,} losses, expected at most {MOST_LOSSES} names")


def _is_usual(value: object) -> bool:
    """Whether a loss is what nearly every step returns; a fast check, since a small step takes a millisecond."""
    return (
        type(value) is Tensor
        and value.dtype is torch.float32
        and value.layout is torch.strided
        and not value.is_meta
        and not _fault(value)
    )


def _fault(value: Tensor) -> str:
    if value.dim() == 0 and not value.requires_grad:
        return ""
    return f"a tensor of shape {tuple(value.shape)}" + (" that requires grad" if value.requires_grad else "")
