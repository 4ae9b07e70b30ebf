"""Averages gradients over the ranks as they accumulate, before a plugin can read those of its rank alone."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from genbench.errors import PluginError
from genbench.training.ranks.group import DisagreementError, Group, number

__all__ = ["Averaging", "unlike_steps"]

BUCKET_BYTES = 32 << 20


class Averaging:
    """Averages `.grad` over the ranks at the end of each backward pass, before `backward` returns.

    A step may therefore clip, scale or accumulate gradients as it does on one device, call `backward` as often as it
    likes, and differentiate gradients (`torch.autograd.grad` does not touch `.grad`). What a pass adds to `.grad` is
    averaged together with what was there before, which is already the same on all ranks. Only parameters touched by the
    pass are exchanged; which these are, in which pass of which step, must be the same on all ranks.

    Args:
        plugin: named in messages.
        named: the parameters by name, in the same order on all ranks.
        group: the ranks.
    """

    def __init__(self, plugin: object, named: dict[str, nn.Parameter], group: Group) -> None:
        self._plugin = plugin
        self._names, self._parameters = list(named), list(named.values())
        self._group = group
        self._touched: dict[int, None] = {}
        self._sets: dict[tuple[int, ...], int] = {}  # the number that stands for a set of parameters
        self._step = self._passes = 0
        for index, parameter in enumerate(self._parameters):
            if not (parameter.is_floating_point() or parameter.is_complex()):
                continue  # whole numbers never have a gradient
            frozen = not parameter.requires_grad  # a step may unfreeze it, and only then can it have a hook
            if frozen:
                parameter.requires_grad_(True)
            parameter.register_post_accumulate_grad_hook(functools.partial(self._accumulated, index))
            if frozen:
                parameter.requires_grad_(False)

    def begin(self, step: int) -> None:
        """Set the step to which the following passes belong."""
        self._step, self._passes = step, 0

    def end(self, step: int) -> None:
        """Meet the other ranks at the end of a step; raise `PluginError` where one has made more passes than this."""
        if self._touched:
            raise PluginError(
                f"{self._plugin}: a backward pass of step {step} was interrupted, and its gradients are not averaged "
                "over the ranks; train it without --ranks"
            )
        self._say([], f"end/{step}/{self._passes}", f"has ended step {step} after {self._passes} backward passes")

    def _accumulated(self, index: int, _: Tensor) -> None:
        if not self._group.stepping:
            return
        if not self._touched:
            torch.autograd.Variable._execution_engine.queue_callback(self._average)
        self._touched[index] = None

    def _average(self) -> None:
        """Exchange what the pass that ends here has touched."""
        touched = tuple(sorted(self._touched))
        self._touched.clear()
        self._passes += 1
        if touched not in self._sets:
            self._sets[touched] = number(str(touched))
        gradients = [self._gradient(index) for index in touched]
        first = self._names[touched[0]]
        where = f"is in backward pass {self._passes} of step {self._step}, over {len(touched)} parameters from {first}"
        with torch.no_grad():
            buckets = list(_buckets(gradients))
            flat = [torch.cat([gradient.reshape(-1) for gradient in bucket]) for bucket in buckets]
            self._say(flat, f"{self._step}/{self._passes}/{self._sets[touched]}", where)
            for bucket, whole in zip(buckets, flat, strict=True):
                whole /= self._group.size
                parts = whole.split([gradient.numel() for gradient in bucket])
                shaped = [part.view(each.shape) for part, each in zip(parts, bucket, strict=True)]
                torch._foreach_copy_(bucket, shaped)

    def _say(self, tensors: Sequence[Tensor], point: str, where: str) -> None:
        try:
            self._group.add(tensors, number(point))
        except DisagreementError as error:
            raise unlike_steps(self._plugin, self._group.rank, where) from error

    def _gradient(self, index: int) -> Tensor:
        """Return the gradient to average, as a real dense tensor that shares its memory."""
        gradient = self._parameters[index].grad
        fault = None
        if gradient is None:
            fault = "is removed within the backward pass"
        elif gradient.layout is not torch.strided:
            fault = "is sparse"
        elif gradient.requires_grad:
            fault = "comes from backward(create_graph=True)"
        if gradient is None or fault is not None:
            raise PluginError(
                f"{self._plugin}: the gradient of {self._names[index]} {fault} and cannot be averaged over the ranks; "
                "train it without --ranks"
            )
        return torch.view_as_real(gradient) if gradient.is_complex() else gradient


def unlike_steps(plugin: object, rank: int, where: str) -> PluginError:
    """Return the error for a step that depends on its batch; `where` says at which point of it this rank is."""
    return PluginError(
        f"{plugin}: its ranks do not take the same steps: rank {rank} {where}, and another does not; whether a step "
        "calls backward, and on what, must not depend on its batch; train it without --ranks"
    )


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Gather gradients of one type and device, in order, up to `BUCKET_BYTES` or one gradient."""
    alike: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for gradient in gradients:
        alike.setdefault((gradient.dtype, gradient.device), []).append(gradient)
    for same in alike.values():
        bucket: list[Tensor] = []
        size = 0
        for gradient in same:
            if bucket and size + gradient.nbytes > BUCKET_BYTES:
                yield bucket
                bucket, size = [], 0
            bucket.append(gradient)
            size += gradient.nbytes
        yield bucket
