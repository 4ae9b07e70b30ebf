"""Compatibility profiles: how an image becomes DINOv2's 224 × 224 or CLIP's 336 × 336 input in each published tool.

| profile | published in | how |
| --- | --- | --- |
| `dgm-eval` | G. Stein et al., "Exposing flaws of generative model evaluation metrics", 2023 | PIL bicubic, 8 bits |
| `edm2` | T. Karras et al., "Analyzing and Improving the Training Dynamics of Diffusion Models", 2024 | torch bicubic |
| `torch-fidelity` | torch-fidelity 0.4 | TensorFlow 1's bilinear, without antialiasing |
| `cmmd` | S. Jayasumana et al., "Rethinking FID", 2024 | the central square, PIL bicubic, 8 bits |

All of them let PIL or NumPy convert a file to RGB, which drops alpha.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.features.resize import Profile, resize_tensorflow

__all__ = ["VIT_PROFILES", "resize_pil"]

_PIL_BITS = 22  # fractional bits of a weight in Pillow's arithmetic for 8-bit images
# Mean and standard deviation of each channel of [0, 1] images, as used to train each network.
_OF = {
    "dinov2": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
}
_RANGE = {"dinov2": "(x/255 - mean)/std of ImageNet", "clip": "(x/255 - mean)/std of CLIP"}


def resize_pil(images: Tensor, side: int) -> Tensor:
    """Resize (B, C, H, W) uint8 to (B, C, side, side) uint8, bit-identical to Pillow's BICUBIC.

    Pillow resizes along rows, rounds to 8 bits, and then resizes along columns; the filter (Keys' cubic, a = -1/2) is
    widened when shrinking, and its weights are rounded to 22 bits. torch's own resizing of uint8 is off by 1 or 2 in
    places. Rows come first up to Pillow 12, which published numbers were computed with; Pillow 13 starts with the
    columns of some images that are not square.

    >>> resize_pil(torch.tensor([[[[0, 255]]]], dtype=torch.uint8), side=4)[0, 0, 0]
    tensor([  0,  53, 202, 255], dtype=torch.uint8)
    """
    return _resampled(_resampled(images.mT, side).mT, side)


def _resampled(images: Tensor, side: int) -> Tensor:
    """Resize along the second-to-last axis, which reads whole rows and is many times faster than along the last."""
    count = images.shape[2]
    if count == side:
        return images
    images = images.contiguous()
    first, weights = (part.to(images.device) for part in _taps(count, side))
    total = images.new_full((*images.shape[:2], side, images.shape[3]), 1 << (_PIL_BITS - 1), dtype=torch.int32)
    for tap, weight in enumerate(weights):
        values = images.index_select(2, (first + tap).clamp_max(count - 1)).int()
        total += values.mul_(weight[:, None])
    return (total >> _PIL_BITS).clamp_(0, 255).to(torch.uint8)


def _taps(count: int, side: int) -> tuple[Tensor, Tensor]:
    """Return the first input index of each output value, (side,) int64, and its weights, (taps, side) int32."""
    scale = count / side
    stretch = max(scale, 1.0)
    centre = (torch.arange(side, dtype=torch.float64) + 0.5) * scale
    first = (centre - 2 * stretch + 0.5).long().clamp_min(0)
    last = (centre + 2 * stretch + 0.5).long().clamp_max(count)
    position = first + torch.arange(int((last - first).max()))[:, None]
    distance = ((position - centre + 0.5) * (1 / stretch)).abs()
    weights = torch.where(position < last, _keys(distance), 0.0)
    scaled = weights / weights.sum(0) * (1 << _PIL_BITS)
    return first, (scaled + torch.copysign(torch.tensor(0.5), scaled)).int()  # half away from zero, as Pillow rounds


def _keys(x: Tensor) -> Tensor:
    """Keys' cubic kernel with a = -1/2, for non-negative distances."""
    near = (1.5 * x - 2.5) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * -0.5
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def _pil(images: Tensor, side: int) -> Tensor:
    return resize_pil(images, side).float()


def _central_pil(images: Tensor, side: int) -> Tensor:
    height, width = images.shape[2:]
    least = min(height, width)
    top, left = (height - least) // 2, (width - least) // 2
    return _pil(images[:, :, top : top + least, left : left + least], side)


def _antialiased(images: Tensor, side: int) -> Tensor:
    return F.interpolate(images.float(), (side, side), mode="bicubic", align_corners=False, antialias=True)


def _tensorflow(images: Tensor, side: int) -> Tensor:
    return resize_tensorflow(images.float(), side)


def _profile(
    name: str, resizer: str, resize: Callable[[Tensor, int], Tensor], family: str, side: int
) -> tuple[str, Profile]:
    mean, deviation = _OF[family]

    def prepare(images: Tensor) -> Tensor:
        x = resize(images, side) / 255
        return (x - x.new_tensor(mean)[:, None, None]) / x.new_tensor(deviation)[:, None, None]

    return name, Profile(name, resizer, _RANGE[family], prepare)


# By family; the first profile of each is the default.
VIT_PROFILES: Mapping[str, Mapping[str, Profile]] = {
    "dinov2": dict(
        (
            _profile("dgm-eval", "PIL bicubic, 8 bits", _pil, "dinov2", 224),
            _profile("edm2", "bicubic, antialiased", _antialiased, "dinov2", 224),
            _profile("torch-fidelity", "tensorflow-1 bilinear", _tensorflow, "dinov2", 224),
        )
    ),
    "clip": dict(
        (
            _profile("cmmd", "central square, PIL bicubic, 8 bits", _central_pil, "clip", 336),
            _profile("torch-fidelity", "tensorflow-1 bilinear", _tensorflow, "clip", 336),
        )
    ),
}
