"""A class-conditional denoising diffusion model: diffusers' U-Net, conditioned on the label of each image.

It is a separate model rather than an option of `ddpm`, because what a model receives when it is sampled decides which
tables it may appear in, and genbench reads that from the arguments of `sample`.
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
    """Build the model; `options` are the keyword arguments of `build`. Without labels it is the model of `ddpm`."""
    if data.kind != "image":
        raise Unsuitable("takes images only")
    return build(data.shape, data.classes, device, **options)


@hookimpl
def train_step(model: Model, batch: Tensor, labels: Tensor | None, step: int) -> dict[str, Tensor]:
    """Step Adam once on the error of the predicted noise, and update the average with the new weights."""
    return denoise(model, batch, labels, step)


@hookimpl
def sample(model: Model, count: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
    """Turn noise into images of the labels (count,), with the averaged weights: (count, C, H, W) in [-1, 1]."""
    return draw(model, count, labels, generator)
