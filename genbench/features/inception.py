"""Inception-v3 as TensorFlow published it in 2015: the network behind FID and the Inception score.

C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna, "Rethinking the Inception Architecture for Computer Vision",
2016, https://arxiv.org/abs/1512.00567, in the variant of the published graph: average pooling excludes the padding from
the mean, the last block uses max pooling, and there are 1008 classes.

Features are the 2048 channel means of the last block (`pool3`). Logits are the 1008 products with the last layer's
weights, *without its bias*: the Inception score has always been computed from these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.features.extractor import Extractor, place
from genbench.features.resize import Profile

__all__ = ["Inception", "inception_extractor", "parameter_shapes"]

FEATURES = 2048
CLASSES = 1008
# The names that the published weights earn: name of a metric → the name that papers give it on these features.
EARNED = {
    "fd": "fid",
    "fd_infinity": "fid_infinity",
    "fd_gap": "fid_gap",
    "class_fd": "class_fid",
    "class_fd_worst": "class_fid_worst",
    "classifier_score": "inception_score",
    "classifier_score_std": "inception_score_std",
}
_BATCH_NORM_EPSILON = 1e-3
_IMAGE_BYTES = 20 << 20  # the widest activations, 147 x 147 x (32 + 64 + 64) float32, and their copies


@dataclass(frozen=True)
class Conv:
    """A convolution without bias, its BatchNorm and a ReLU; if `averaged`, after a 3 x 3 average pool."""

    name: str
    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    same: bool = True
    averaged: bool = False


@dataclass(frozen=True)
class MaxPool:
    stride: int
    padding: int = 0


@dataclass(frozen=True)
class Fork:
    """Branches on one input, with their outputs concatenated along the channels."""

    name: str
    branches: tuple[tuple[Conv | MaxPool | Fork, ...], ...]


Path = tuple[Conv | MaxPool | Fork, ...]


def _block_a(name: str, pool_channels: int) -> Fork:
    double = (Conv("branch3x3dbl_1", 64), Conv("branch3x3dbl_2", 96, (3, 3)), Conv("branch3x3dbl_3", 96, (3, 3)))
    five = (Conv("branch5x5_1", 48), Conv("branch5x5_2", 64, (5, 5)))
    return Fork(name, ((Conv("branch1x1", 64),), five, double, (Conv("branch_pool", pool_channels, averaged=True),)))


def _block_c(name: str, channels: int) -> Fork:
    single = _factored("branch7x7", (channels, channels, 192), (1, 7))
    double = _factored("branch7x7dbl", (channels, channels, channels, channels, 192), (7, 1))
    return Fork(name, ((Conv("branch1x1", 192),), single, double, (Conv("branch_pool", 192, averaged=True),)))


def _factored(name: str, channels: tuple[int, ...], kernel: tuple[int, int]) -> tuple[Conv, ...]:
    """A 1 x 1 convolution, then alternating 1 x 7 and 7 x 1 convolutions, beginning with `kernel`."""
    kernels = [(1, 1)] + [kernel if index % 2 == 0 else kernel[::-1] for index in range(len(channels) - 1)]
    return tuple(Conv(f"{name}_{i + 1}", c, k) for i, (c, k) in enumerate(zip(channels, kernels, strict=True)))


def _block_e(name: str, pool: Path) -> Fork:
    def split(prefix: str) -> Fork:
        return Fork("", ((Conv(f"{prefix}a", 384, (1, 3)),), (Conv(f"{prefix}b", 384, (3, 1)),)))

    single = (Conv("branch3x3_1", 384), split("branch3x3_2"))
    double = (Conv("branch3x3dbl_1", 448), Conv("branch3x3dbl_2", 384, (3, 3)), split("branch3x3dbl_3"))
    return Fork(name, ((Conv("branch1x1", 320),), single, double, pool))


_REDUCE_6A = Fork(
    "Mixed_6a",
    (
        (Conv("branch3x3", 384, (3, 3), 2, same=False),),
        (
            Conv("branch3x3dbl_1", 64),
            Conv("branch3x3dbl_2", 96, (3, 3)),
            Conv("branch3x3dbl_3", 96, (3, 3), 2, same=False),
        ),
        (MaxPool(2),),
    ),
)
_REDUCE_7A = Fork(
    "Mixed_7a",
    (
        (Conv("branch3x3_1", 192), Conv("branch3x3_2", 320, (3, 3), 2, same=False)),
        (*_factored("branch7x7x3", (192, 192, 192), (1, 7)), Conv("branch7x7x3_4", 192, (3, 3), 2, same=False)),
        (MaxPool(2),),
    ),
)

NETWORK: Path = (
    Conv("Conv2d_1a_3x3", 32, (3, 3), 2, same=False),  # 149 x 149
    Conv("Conv2d_2a_3x3", 32, (3, 3), same=False),  # 147 x 147
    Conv("Conv2d_2b_3x3", 64, (3, 3)),
    MaxPool(2),  # 73 x 73
    Conv("Conv2d_3b_1x1", 80),
    Conv("Conv2d_4a_3x3", 192, (3, 3), same=False),  # 71 x 71
    MaxPool(2),  # 35 x 35
    _block_a("Mixed_5b", 32),
    _block_a("Mixed_5c", 64),
    _block_a("Mixed_5d", 64),
    _REDUCE_6A,  # 17 x 17
    _block_c("Mixed_6b", 128),
    _block_c("Mixed_6c", 160),
    _block_c("Mixed_6d", 160),
    _block_c("Mixed_6e", 192),
    _REDUCE_7A,  # 8 x 8
    _block_e("Mixed_7b", (Conv("branch_pool", 192, averaged=True),)),
    _block_e("Mixed_7c", (MaxPool(1, 1), Conv("branch_pool", 192))),
)


def parameter_shapes() -> dict[str, tuple[int, ...]]:
    """Return the name and shape of each tensor in a weights file, excluding counters.

    >>> parameter_shapes()["Mixed_7c.branch3x3dbl_3b.conv.weight"]
    (384, 384, 3, 1)
    >>> len(parameter_shapes())
    472
    """
    shapes: dict[str, tuple[int, ...]] = {"fc.weight": (CLASSES, FEATURES), "fc.bias": (CLASSES,)}
    for name, conv, channels in _convolutions(NETWORK, 3, ""):
        shapes[f"{name}.conv.weight"] = (conv.channels, channels, *conv.kernel)
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.bn.{part}"] = (conv.channels,)
    return shapes


def _convolutions(path: Path, channels: int, prefix: str) -> Iterator[tuple[str, Conv, int]]:
    """Yield (full name, convolution, input channels) of all convolutions on `path`."""
    for step in path:
        if isinstance(step, Conv):
            yield prefix + step.name, step, channels
            channels = step.channels
        elif isinstance(step, Fork):
            inner = f"{prefix}{step.name}." if step.name else prefix
            for branch in step.branches:
                yield from _convolutions(branch, channels, inner)
            channels = sum(_channels_after(branch, channels) for branch in step.branches)


def _channels_after(path: Path, channels: int) -> int:
    for step in path:
        if isinstance(step, Conv):
            channels = step.channels
        elif isinstance(step, Fork):
            channels = sum(_channels_after(branch, channels) for branch in step.branches)
    return channels


class _FoldedConv(nn.Conv2d):
    """A convolution into which its BatchNorm has been folded, and a ReLU.

    An average pool commutes with a 1 x 1 convolution and a constant, so it comes second, where it has fewer channels.
    """

    def __init__(self, conv: Conv, weight: Tensor, bias: Tensor) -> None:
        rows, columns = conv.kernel
        padding = (rows // 2, columns // 2) if conv.same else (0, 0)
        super().__init__(weight.shape[1], conv.channels, conv.kernel, conv.stride, padding, device="meta")
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.averaged = conv.averaged

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        if self.averaged:
            y = F.avg_pool2d(y, 3, stride=1, padding=1, count_include_pad=False)
        return F.relu_(y)


class _Fork(nn.ModuleList):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self], dim=1)


def _build(path: Path, tensors: Mapping[str, Tensor], prefix: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for step in path:
        if isinstance(step, Conv):
            layers.append(_FoldedConv(step, *_fold(tensors, prefix + step.name)))
        elif isinstance(step, MaxPool):
            layers.append(nn.MaxPool2d(3, step.stride, step.padding))
        else:
            inner = f"{prefix}{step.name}." if step.name else prefix
            layers.append(_Fork(_build(branch, tensors, inner) for branch in step.branches))
    return nn.Sequential(*layers)


def _fold(tensors: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """Return weight and bias of one convolution equivalent to convolution and BatchNorm, folded in float64."""
    weight, scale, shift, mean, variance = (
        tensors[f"{name}.{part}"].double()
        for part in ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
    )
    gain = scale * torch.rsqrt(variance + _BATCH_NORM_EPSILON)
    return (weight * gain[:, None, None, None]).float(), (shift - mean * gain).float()


class Inception(nn.Module):
    """The network: (B, 3, 299, 299) in about [-1, 1] to (B, 2048) features and (B, 1008) logits without bias."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.body = _build(NETWORK, tensors, "")
        self.classify = nn.Parameter(tensors["fc.weight"].float())
        self.requires_grad_(False)
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(x).float().mean(dim=(2, 3))
        return features, features @ self.classify.float().T


def inception_extractor(
    tensors: Mapping[str, Tensor],
    *,
    weights_sha256: str,
    official: bool,
    device: torch.device,
    profile: Profile,
    precision: str,
) -> Extractor:
    """Return the extractor over tensors that fit `parameter_shapes`."""
    network = Inception(tensors).to(device)
    place(network.body, device, precision)
    return Extractor(
        name="inception",
        network=network,
        intake=profile.intake,
        device=device,
        precision=precision,
        feature_count=FEATURES,
        classes=CLASSES,
        weights_sha256=weights_sha256,
        earned=EARNED if official else {},
        item_bytes=_IMAGE_BYTES,
        fields={"logits": "without bias"},
    )
