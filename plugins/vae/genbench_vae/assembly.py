"""What both models share besides their hooks: the common options, the encoder's two heads and the `Model` they form."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genbench import Data, Model, Unsuitable
from genbench_vae.likelihoods import LIKELIHOODS
from genbench_vae.objective import Objective

__all__ = ["Encoder", "Settings", "assemble", "check_positive", "refuse_texts"]


@dataclass(frozen=True)
class Settings:
    """The validated options that do not depend on the architecture; the README's table explains each."""

    latent: int
    beta: float
    likelihood: str
    importance_samples: int
    learning_rate: float

    def __post_init__(self) -> None:
        check_positive(latent=self.latent, importance_samples=self.importance_samples)
        if not 0 <= self.beta < math.inf:
            raise ValueError(f"beta must be at least 0 and finite, not {self.beta}")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0 and finite, not {self.learning_rate}")
        if self.likelihood not in LIKELIHOODS:
            raise ValueError(f"likelihood must be one of {', '.join(LIKELIHOODS)}, not {self.likelihood!r}")


def refuse_texts(data: Data) -> None:
    """Raise `Unsuitable` for texts: their tokens are symbols, with nothing in between."""
    if data.kind == "text":
        raise Unsuitable("takes no texts: their tokens are symbols, and it returns real numbers")


def check_positive(**counts: int) -> None:
    """Raise `ValueError` naming the first count that is below 1."""
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, not {count}")


class Encoder(nn.Module):
    """q(z | x): a trunk from items to features, and two linear heads for the mean and the log-variance.

    Args:
        trunk: maps (B, *shape) to (B, features).
        features: size of the trunk's output.
        latent: length of a code.
    """

    def __init__(self, trunk: nn.Module, features: int, latent: int) -> None:
        super().__init__()
        self.latent = latent
        self.trunk = trunk
        self.mean = nn.Linear(features, latent)
        self.log_variance = nn.Linear(features, latent)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance, (B, latent) each, in float32 even if the layers run in lower precision."""
        features = self.trunk(images)
        return self.mean(features).float(), self.log_variance(features).float()


def assemble(
    trunk: nn.Module, features: int, decoder: nn.Module, settings: Settings, device: torch.device, levels: int
) -> Model:
    """Return the model on `device`; `decoder` maps codes (B, latent) to items (B, *shape), unbounded.

    Args:
        trunk: the encoder's trunk.
        features: size of the trunk's output.
        decoder: maps codes back to items.
        settings: the options.
        device: the model's device.
        levels: number of values that an entry of an item can take.
    """
    objective = Objective(LIKELIHOODS[settings.likelihood](levels), settings.beta, settings.importance_samples)
    networks = nn.ModuleDict(
        {"encoder": Encoder(trunk, features, settings.latent), "decoder": decoder, "objective": objective}
    ).to(device)
    fused = device.type in ("cpu", "cuda")  # one kernel updates all weights, on devices that have one
    optimizer = torch.optim.Adam(networks.parameters(), settings.learning_rate, fused=fused)
    return Model(networks, {"vae": optimizer}, capturable=True)
