"""What both autoencoders share besides their hooks: the common options, the corruption and the `Model` they form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genbench import Data, Model, Unsuitable
from genbench_ae.density import CodeDensity

__all__ = ["Masking", "Settings", "assemble", "refuse_texts"]


@dataclass(frozen=True)
class Settings:
    """The validated options that do not depend on the architecture; the README's table explains each."""

    bottleneck: int
    denoising: float
    density: str
    components: int
    learning_rate: float

    def __post_init__(self) -> None:
        if self.bottleneck < 1:
            raise ValueError(f"bottleneck must be at least 1, not {self.bottleneck}")
        if not 0 <= self.denoising < 1:
            raise ValueError(f"denoising must be in [0, 1), not {self.denoising}")
        if self.density not in ("gaussian", "mixture"):
            raise ValueError(f"density must be 'gaussian' or 'mixture', not {self.density!r}")
        if self.components < 1:
            raise ValueError(f"components must be at least 1, not {self.components}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")


def refuse_texts(data: Data) -> None:
    """Raise `Unsuitable` for texts: their tokens are symbols, with nothing in between."""
    if data.kind == "text":
        raise Unsuitable("takes no texts: their tokens are symbols, and it returns real numbers")


class Masking(nn.Module):
    """Masking noise for training: with probability `level`, each value becomes `masked`: black (-1), or silence (0).

    Vincent, Larochelle, Bengio, Manzagol (2008), "Extracting and composing robust features with denoising
    autoencoders", section 2.3, https://doi.org/10.1145/1390156.1390294. They mask a fixed number of values per item;
    here each value is masked independently, so the number is `level` times the number of values on average.
    """

    def __init__(self, level: float, masked: float = -1.0) -> None:
        super().__init__()
        self.level = level
        self.masked = masked

    def forward(self, images: Tensor) -> Tensor:
        """Return the items (B, *shape), masked; the mask comes from the global generator."""
        if self.level == 0:
            return images
        return images.masked_fill(torch.rand_like(images) < self.level, self.masked)


def assemble(
    encoder: nn.Module, decoder: nn.Module, settings: Settings, device: torch.device, masked: float = -1.0
) -> Model:
    """Return the model: `encoder` maps (B, *shape) to codes (B, D), `decoder` maps them back, into [-1, 1].

    `masked` is the value that corrupted entries take.
    """
    components = settings.components if settings.density == "mixture" else 1
    networks = nn.ModuleDict(
        {
            "encoder": encoder,
            "decoder": decoder,
            "corruption": Masking(settings.denoising, masked),
            "density": CodeDensity(settings.bottleneck, components),
        }
    ).to(device)
    optimizer = torch.optim.Adam(networks.parameters(), settings.learning_rate, fused=True)
    return Model(networks, {"autoencoder": optimizer}, capturable=True)
