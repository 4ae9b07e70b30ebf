"""`Process`: the options of a diffusion model, and the diffusers schedulers that they select."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Tensor, nn

from genbench_diffusers.network import Denoiser

__all__ = ["Process", "Settings"]


@dataclass(frozen=True)
class Settings:
    """The validated options; the README's table explains each."""

    width: int
    layers: int
    schedule: str
    prediction: str
    noise_steps: int
    sampler: str
    steps: int
    decay: float
    learning_rate: float

    def __post_init__(self) -> None:
        if self.width < 8 or self.width % 8:
            raise ValueError(f"width must be a multiple of 8, not {self.width}")
        if self.layers < 1:
            raise ValueError(f"layers must be at least 1, not {self.layers}")
        if self.noise_steps < 2:
            raise ValueError(f"noise_steps must be at least 2, not {self.noise_steps}")
        if not 1 <= self.steps <= self.noise_steps:
            raise ValueError(f"steps must be 1 to noise_steps ({self.noise_steps}), not {self.steps}")
        if not 0 <= self.decay < 1:
            raise ValueError(f"decay must be in [0, 1), not {self.decay}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")


class Process(nn.Module):
    """The forward and reverse process. It has no weights: it is a module only so that a `Model` can hold it."""

    def __init__(self, shape: torch.Size, settings: Settings) -> None:
        super().__init__()
        self.shape = shape
        self.settings = settings
        self.noising = self._scheduler(DDPMScheduler)

    def noise(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return noised images (B, C, H, W), the prediction target, and the times (B,).

        Noise and times come from the global generator.
        """
        noise = torch.randn_like(images)
        times = torch.randint(self.settings.noise_steps, (len(images),), device=images.device)
        predicts_noise = self.settings.prediction == "epsilon"
        target = noise if predicts_noise else self.noising.get_velocity(images, noise, times)
        return self.noising.add_noise(images, noise, times), target, times

    def sample(self, network: Denoiser, count: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        """Return images (count, C, H, W) in [-1, 1]; all randomness is from `generator`, which is on their device."""
        # A new scheduler for each call, because a scheduler keeps its position among the steps.
        scheduler = self._scheduler(DDIMScheduler if self.settings.sampler == "ddim" else DDPMScheduler)
        scheduler.set_timesteps(self.settings.steps, device=generator.device)
        images = torch.randn(count, *self.shape, generator=generator, device=generator.device)
        for time in scheduler.timesteps:
            predicted = network(images, time, labels)
            images = scheduler.step(predicted, time, images, generator=generator).prev_sample
        return images.clamp(-1, 1)

    def _scheduler(self, kind: type[DDIMScheduler] | type[DDPMScheduler]) -> DDIMScheduler | DDPMScheduler:
        return kind(
            num_train_timesteps=self.settings.noise_steps,
            beta_schedule=self.settings.schedule,
            prediction_type=self.settings.prediction,
            timestep_spacing="trailing",  # the first step starts from pure noise, however few steps there are
        )
