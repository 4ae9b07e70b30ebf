"""Compatibility profiles: how an image becomes Inception's 299 x 299 input in each published tool.

Two tools that use the same network still report different FIDs, because they resize differently (G. Parmar, R. Zhang,
J.-Y. Zhu, "On Aliased Resizing and Surprising Subtleties in GAN Evaluation", 2022, https://arxiv.org/abs/2104.11222). A
profile fixes the resizer and the input range, and is part of the recipe.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.datasets.decoding import DROPPED
from genbench.errors import InputError, nearest
from genbench.features.intake import Images

__all__ = ["PROFILES", "Profile", "profile_named"]

SIDE = 299


@dataclass(frozen=True)
class Profile:
    """One tool's method: `prepare` maps (B, 3, H, W) uint8 to float32 of the network's side, 299 for Inception.

    `alpha` is how the tool handles transparency when it reads an image file: all of them let PIL convert to RGB, which
    drops it.
    """

    name: str
    resizer: str
    range: str
    prepare: Callable[[Tensor], Tensor]
    alpha: str = DROPPED

    @property
    def intake(self) -> Images:
        """The intake of an extractor with this profile: images of any size, with 1 or 3 channels."""
        return Images(self.prepare, None, True, self.alpha, self.name, self.resizer, self.range)


def resize_tensorflow(x: Tensor, side: int = SIDE) -> Tensor:
    """Resize (B, C, H, W) float32 bilinearly as TensorFlow 1 did: output i reads at i * H / side, without antialiasing.

    Without a half-pixel offset, the image shifts up and left; the last row and column are repeated.

    >>> resize_tensorflow(torch.tensor([[[[0.0, 8.0]]]]), side=4)[0, 0, 0]
    tensor([0., 4., 8., 8.])
    """
    for dimension in (3, 2):
        count = x.shape[dimension]
        position = torch.arange(side, dtype=torch.float32, device=x.device) * (count / side)
        low = position.long()
        fraction = position - low
        fraction = fraction if dimension == 3 else fraction[:, None]
        below = x.index_select(dimension, low)
        x = below + (x.index_select(dimension, (low + 1).clamp_max(count - 1)) - below) * fraction
    return x


def _torch_fidelity(images: Tensor) -> Tensor:
    return (resize_tensorflow(images.float()) - 128) / 128


def _pytorch_fid(images: Tensor) -> Tensor:
    return 2 * F.interpolate(images.float() / 255, (SIDE, SIDE), mode="bilinear", align_corners=False) - 1


def _clean_fid(images: Tensor) -> Tensor:
    # torch's antialiased bicubic is PIL's filter (a = -0.5, widened when shrinking) on float32 channels.
    resized = F.interpolate(images.float(), (SIDE, SIDE), mode="bicubic", align_corners=False, antialias=True)
    return (resized.clamp(0, 255) - 128) / 128


PROFILES = {  # the first is the default
    profile.name: profile
    for profile in (
        Profile("torch-fidelity", "tensorflow-1 bilinear", "(x - 128)/128", _torch_fidelity),
        Profile("pytorch-fid", "bilinear", "2x/255 - 1", _pytorch_fid),
        Profile("clean-fid", "PIL bicubic, clipped", "(x - 128)/128", _clean_fid),
    )
}


def profile_named(extractor: str, profiles: Mapping[str, Profile], name: str | None) -> Profile:
    """Return the profile of that name, the first for None; raise `InputError` if `extractor` does not have it."""
    chosen = next(iter(profiles)) if name is None else name
    if chosen not in profiles:
        raise InputError(f"extractor '{extractor}': has no profile '{chosen}'{nearest(chosen, profiles)}")
    return profiles[chosen]
