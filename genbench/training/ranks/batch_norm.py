"""BatchNorm over the rows of all ranks: layers keep their place, name and state, and change their class."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from genbench.training.ranks.group import Group, number

__all__ = ["synchronise"]


def synchronise(networks: nn.Module, group: Group) -> None:
    """Give each BatchNorm layer the statistics of all ranks' rows in training steps, in place.

    torch's own `SyncBatchNorm` supports only CUDA and cannot be differentiated twice; this one allows gradient
    penalties, and takes its place. A plugin's subclass that overrides `forward` is left as it is.
    """
    made: dict[type, type] = {}
    for module in networks.modules():
        kind = type(module)
        if isinstance(module, _BatchNorm) and kind.forward in (_BatchNorm.forward, nn.SyncBatchNorm.forward):
            if kind not in made:
                # The group belongs to the class, because a module's attributes are copied with the module.
                made[kind] = type(f"Synchronised{kind.__name__}", (_Synchronised, kind), {"group": group})
            module.__class__ = made[kind]


class _Synchronised(_BatchNorm):
    group: Group

    def forward(self, input: Tensor) -> Tensor:
        # Without running statistics, a layer in evaluation mode normalises by its batch as well.
        by_batch = self.training or (self.running_mean is None and self.running_var is None)
        if not (by_batch and self.group.stepping):
            return _BatchNorm.forward(self, input)  # not that of SyncBatchNorm, which would wait for the other ranks
        self._check_input_dim(input)  # type: ignore[no-untyped-call]  # torch's own is not annotated
        mean, variance, count = _moments(input, self.group)
        if self.training and self.track_running_stats:
            self._track(mean.detach(), variance.detach(), count)
        scale = torch.rsqrt(variance + self.eps)
        if self.weight is not None:
            scale = scale * self.weight
        shift = -mean * scale
        if self.bias is not None:
            shift = shift + self.bias
        shape = (1, -1, *(1,) * (input.dim() - 2))
        return torch.addcmul(shift.view(shape), _exact(input), scale.view(shape)).to(input.dtype)

    def _track(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Update the running statistics, as torch does: the variance as the unbiased estimate."""
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        if self.running_mean is None or self.running_var is None:
            return
        share = self.momentum
        if share is None:  # the mean of all batches so far
            share = 1.0 / float(self.num_batches_tracked or 1)
        unbiased = variance * (count / (count - 1))
        self.running_mean.mul_(1 - share).add_(share * mean.to(self.running_mean.dtype))
        self.running_var.mul_(1 - share).add_(share * unbiased.to(self.running_var.dtype))


def _moments(input: Tensor, group: Group) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean and biased variance (C,) over the rows of all ranks, and how many values each covers.

    T. Chan, G. Golub, R. LeVeque (1983), "Algorithms for Computing the Sample Variance", equation 2.1b: from each
    part's own mean and variance, so that no precision is lost where the mean is large.
    """
    values = _exact(input)
    channels = values.shape[1]
    variance, mean = torch.var_mean(values, [dim for dim in range(values.dim()) if dim != 1], correction=0)
    own = torch.cat([mean, variance, mean.new_full((1,), values.numel() // channels)])
    # Each rank fills its own row of a zero matrix: a sum then gathers them.
    rows = torch.stack([own if rank == group.rank else torch.zeros_like(own) for rank in range(group.size)])
    gathered: Tensor = _Sum.apply(group, rows)  # type: ignore[no-untyped-call]  # likewise
    means, variances, counts = gathered.split([channels, channels, 1], 1)  # (ranks, C), (ranks, 1)
    count = counts.detach().sum()
    shares = counts.detach() / count
    mean = (shares * means).sum(0)
    return mean, (shares * (variances + (means - mean).square())).sum(0), count


def _exact(input: Tensor) -> Tensor:
    """16 bits are not enough for statistics."""
    return input.float() if input.dtype in (torch.bfloat16, torch.float16) else input


@functools.cache
def _point(shape: tuple[int, ...], dtype: torch.dtype) -> int:
    """Return the number for an exchange of statistics: a rank that skips a layer must not meet another's gradients."""
    return number(f"statistics/{shape}/{dtype}")


class _Sum(torch.autograd.Function):
    """The sum over the ranks. Its gradient is such a sum too, so it can be differentiated any number of times."""

    @staticmethod
    def forward(ctx: Any, group: Group, tensor: Tensor) -> Tensor:
        ctx.group = group
        summed = tensor.clone()
        group.add([summed], _point(tuple(tensor.shape), tensor.dtype))
        return summed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return None, _Sum.apply(ctx.group, gradient.contiguous())  # type: ignore[no-untyped-call]  # likewise
