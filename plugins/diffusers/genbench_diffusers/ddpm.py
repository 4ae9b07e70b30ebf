"""A denoising diffusion model: diffusers' U-Net, trained to predict noise and sampled by DDIM or DDPM.

J. Ho, A. Jain, P. Abbeel (2020), "Denoising Diffusion Probabilistic Models", https://arxiv.org/abs/2006.11239
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from genbench import Data, Model, Unsuitable, hookimpl
from genbench_diffusers.assembly import build, denoise, draw

__all__ = ["build_model", "sample", "train_step"]


@hookimpl
def build_model(data: Data, options: dict[str, Any], device: torch.device) -> Model:
    """Build the model; `options` are the keyword arguments of `build`."""
    if data.kind != "image":
        raise Unsuitable("takes images only")
    return build(data.shape, None, device, **options)


@hookimpl
def train_step(model: Model, batch: Tensor, step: int) -> dict[str, Tensor]:
    """Step Adam once on the error of the predicted noise, and update the average with the new weights."""
    return denoise(model, batch, None, step)


@hookimpl
def sample(model: Model, count: int, generator: torch.Generator) -> Tensor:
    """Turn noise into images, with the averaged weights: (count, C, H, W) in [-1, 1]."""
    return draw(model, count, None, generator)
