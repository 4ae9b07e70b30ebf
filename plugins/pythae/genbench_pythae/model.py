"""Any autoencoder of the pythae library by name: VAE, BetaVAE, IWAE, WAE_MMD, RAE_L2, VAMP, VAEGAN and others.

C. Chadebec, L. Vincent, S. Allassonnière (2022), "Pythae: Unifying Generative Autoencoders in Python", NeurIPS,
https://arxiv.org/abs/2206.08309
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from genbench_ae.density import CodeDensity
from pythae.models import BaseAE
from torch import Tensor, nn

from genbench import Data, Model, Unsuitable, hookimpl
from genbench_pythae import codes, roles
from genbench_pythae.catalogue import AUTOENCODERS, configure

__all__ = ["before_sampling", "build", "build_model", "encode", "reconstruct", "sample", "train_step"]

if TYPE_CHECKING:
    Name = str
else:
    Name = Literal[tuple(AUTOENCODERS)]  # pythae's own names, whatever its version


@hookimpl
def build_model(data: Data, options: dict[str, Any], device: torch.device) -> Model:
    """Build the autoencoder; `options` are the keyword arguments of `build`."""
    if data.kind != "image":
        raise Unsuitable("takes images only")
    return build(data.shape, device, **options)


def build(
    shape: torch.Size,
    device: torch.device,
    *,
    model: Name = "VAE",
    latent_dim: int = 16,
    density: Literal["gaussian", "mixture"] = "gaussian",
    components: int = 10,
    learning_rate: float = 1e-3,
    **config: Any,
) -> Model:
    """Return pythae's `model` with its default networks, for images (C, H, W); `config` goes to its configuration.

    Raises:
        ValueError: pythae lacks the model or an option, or a value is out of its domain; a one-line message.
    """
    if latent_dim < 2:
        raise ValueError(f"latent_dim must be at least 2, not {latent_dim}")
    if components < 1:
        raise ValueError(f"components must be at least 1, not {components}")
    if not learning_rate > 0:
        raise ValueError(f"learning_rate must be above 0, not {learning_rate}")
    autoencoder, configuration = configure(model, tuple(shape), {"latent_dim": latent_dim, **config})
    try:
        network = autoencoder(configuration)
    except AssertionError as error:  # how pythae refuses a value out of its domain
        raise ValueError(f"pythae's {model}: {error}") from error
    network.to(device)
    network.device = device  # pythae's trainers set it, and RAE_GP reads it
    fitted = CodeDensity(latent_dim, components if density == "mixture" else 1).to(device)
    decay = configuration.reg_weight if model == "RAE_L2" else 0.0  # its regulariser is weight decay in pythae too
    optimizers = roles.optimizers(network, _losses(network, shape, device), learning_rate, decay)
    return Model(nn.ModuleDict({"autoencoder": network, "density": fitted}), optimizers)


@hookimpl
def train_step(model: Model, batch: Tensor) -> dict[str, Tensor]:
    """Step each optimiser once, on the loss that pythae computes for it; return all its losses."""
    output = _network(model)({"data": _unit(batch)})
    roles.step(output, model.optimizers)
    return {name: value.detach().mean() for name, value in output.items() if name.endswith("loss")}


@hookimpl
def before_sampling(model: Model, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
    """Fit the density to the codes of the training images, for the autoencoders that have no prior."""
    if codes.is_fitted(_network(model)):
        _density(model).fit(torch.cat([encode(model, images) for images, _ in batches]))


@hookimpl
def sample(model: Model, count: int, generator: torch.Generator) -> Tensor:
    """Decode codes drawn from the prior, or from the density if there is none: (count, C, H, W) in [-1, 1]."""
    network = _network(model)
    return codes.decode(network, codes.draw(network, _density(model), count, generator)) * 2 - 1


@hookimpl
def reconstruct(model: Model, batch: Tensor) -> Tensor:
    """Decode the centres of the codes of the images (B, C, H, W): same shape, in [-1, 1]."""
    return codes.decode(_network(model), encode(model, batch)) * 2 - 1


@hookimpl
def encode(model: Model, batch: Tensor) -> Tensor:
    """Return the centres of the codes of the images: (B, latent_dim)."""
    return codes.centre(_network(model), _unit(batch))


def _losses(network: BaseAE, shape: torch.Size, device: torch.device) -> list[str]:
    """Return the names of the losses that the network computes, from one call that trains nothing."""
    with torch.enable_grad():  # HVAE and RAE_GP take gradients within
        output = network({"data": torch.full((4, *shape), 0.5, device=device)})
    return [name for name in output if name.endswith("_loss")]


def _unit(images: Tensor) -> Tensor:
    """Return images in [0, 1], the range that pythae's decoders and losses expect."""
    return (images + 1) / 2


def _network(model: Model) -> BaseAE:
    return model.networks["autoencoder"]


def _density(model: Model) -> CodeDensity:
    return cast(CodeDensity, model.networks["density"])
