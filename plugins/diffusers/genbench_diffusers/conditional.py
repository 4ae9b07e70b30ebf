"""A class-conditional denoising diffusion model: diffusers' U-Net, told the label of each image.

It is a model of its own and no option of `ddpm`, because what a model is told when it is sampled decides which tables
it may stand in, and genbench reads that from the arguments of `sample`.
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
    """Build the model; `options` are the keyword arguments of `build`. Without labels it is that of `ddpm`."""
    if data.kind != "image":
        raise Unsuitable("takes images alone")
    return build(data.shape, data.classes, device, **options)


@hookimpl
def train_step(model: Model, batch: Tensor, labels: Tensor | None, step: int) -> dict[str, Tensor]:
    """Step Adam once on the error of the predicted noise, and take the new weights into the average."""
    return denoise(model, batch, labels, step)


@hookimpl
def sample(model: Model, count: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
    """Take noise back to images of the labels (count,), with the averaged weights: (count, C, H, W) in [-1, 1]."""
    return draw(model, count, labels, generator)
