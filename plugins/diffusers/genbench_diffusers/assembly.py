"""What both models share: their options, the `Model` they form, a training step and sampling."""

from __future__ import annotations

from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import Model
from genbench_diffusers.network import Denoiser, average_of, update_average
from genbench_diffusers.process import Process, Settings

__all__ = ["build", "denoise", "draw"]


def build(
    shape: torch.Size,
    classes: int | None,
    device: torch.device,
    *,
    width: int = 32,
    layers: int = 1,
    schedule: Literal["linear", "squaredcos_cap_v2"] = "squaredcos_cap_v2",
    prediction: Literal["epsilon", "v_prediction"] = "v_prediction",
    noise_steps: int = 1000,
    sampler: Literal["ddim", "ddpm"] = "ddim",
    steps: int = 50,
    decay: float = 0.999,
    learning_rate: float = 1e-3,
) -> Model:
    """Return the model of images (C, H, W) of any size, with labels if `classes` is not None.

    Raises:
        ValueError: a value is out of its domain; a one-line message.
    """
    settings = Settings(width, layers, schedule, prediction, noise_steps, sampler, steps, decay, learning_rate)
    denoiser = Denoiser(shape, classes, width, layers).to(device)
    networks = nn.ModuleDict(
        {"denoiser": denoiser, "average": average_of(denoiser), "process": Process(shape, settings)}
    )
    return Model(networks, {"denoiser": torch.optim.Adam(denoiser.parameters(), learning_rate, fused=True)})


def denoise(model: Model, images: Tensor, labels: Tensor | None, step: int) -> dict[str, Tensor]:
    """Take training step number `step`; return the mean squared error of the prediction."""
    denoiser, process, optimizer = _denoiser(model, "denoiser"), _process(model), model.optimizers["denoiser"]
    noised, target, times = process.noise(images)
    loss = F.mse_loss(denoiser(noised, times, labels), target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    update_average(_denoiser(model, "average"), denoiser, step, process.settings.decay)
    return {"denoising": loss.detach()}


def draw(model: Model, count: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
    """Return images (count, C, H, W) in [-1, 1], of `labels` (count,) if the model has labels."""
    return _process(model).sample(_denoiser(model, "average"), count, labels, generator)


def _denoiser(model: Model, name: str) -> Denoiser:
    return cast(Denoiser, model.networks[name])


def _process(model: Model) -> Process:
    return cast(Process, model.networks["process"])
