"""The codes that the autoencoders decode: draws from each prior, and the centre of an image's posterior.

pythae's samplers draw from torch's global generator, and its `predict` leaves out normalising flows and the projection
onto the sphere. Both are therefore implemented here, on pythae's own networks, following the papers in the README.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from genbench_ae.density import CodeDensity
from pythae.models import AE, BaseAE
from torch import Tensor

__all__ = ["centre", "decode", "draw", "is_fitted"]


def is_fitted(network: BaseAE) -> bool:
    """Whether the autoencoder has no prior, so that a density is fitted to its codes."""
    return isinstance(network, AE) and network.model_name != "WAE_MMD"  # whose codes are matched to N(0, I)


def draw(network: BaseAE, density: CodeDensity, count: int, generator: torch.Generator) -> Tensor:
    """Return codes (count, D) from the model's prior, or from the density if it has none."""
    if is_fitted(network):
        return density.sample(count, generator)
    normal = torch.randn(count, network.latent_dim, generator=generator, device=generator.device)
    prior = _PRIORS.get(network.model_name)
    return normal if prior is None else prior(network, normal, generator)


def centre(network: BaseAE, images: Tensor) -> Tensor:
    """Return the mean or mode of the codes (B, D) of images (B, C, H, W) in [0, 1], from which they are decoded."""
    codes: Tensor = network.encoder(images).embedding
    placed = _PLACED.get(network.model_name)
    return codes if placed is None else placed(network, codes)


def decode(network: BaseAE, codes: Tensor) -> Tensor:
    """Return the images (B, C, H, W) of codes (B, D), in [0, 1]."""
    images: Tensor = network.decoder(codes)["reconstruction"]
    return images


def _vamp(network: BaseAE, normal: Tensor, generator: torch.Generator) -> Tensor:
    """The mixture of the posteriors of the learned pseudo-inputs: Tomczak, Welling (2018), equation 9."""
    pseudo = network.pseudo_inputs(network.idle_input.to(normal.device)).reshape(-1, *network.input_dim)
    posterior = network.encoder(pseudo)
    chosen = torch.randint(len(pseudo), (len(normal),), generator=generator, device=normal.device)
    codes: Tensor = posterior.embedding[chosen] + normal * (posterior.log_covariance[chosen] / 2).exp()
    return codes


def _on_sphere(network: BaseAE, codes: Tensor, *_: object) -> Tensor:
    """Normalise; normal draws become uniform on the sphere."""
    return torch.nn.functional.normalize(codes, dim=-1)


def _in_ball(network: BaseAE, normal: Tensor, _: object) -> Tensor:
    """Normal draws in the tangent space at the origin, wrapped onto the Poincaré ball: Mathieu et al. (2019), 3.2."""
    scale = network._pz_logvar.exp() / network.latent_manifold.lambda_x(network._pz_mu, keepdim=True)
    wrapped: Tensor = network.latent_manifold.expmap(network._pz_mu, normal * scale)
    return wrapped


def _through_iaf(network: BaseAE, codes: Tensor) -> Tensor:
    moved: Tensor = network.iaf_flow.inverse(codes).out
    return moved


def _through_flows(network: BaseAE, codes: Tensor) -> Tensor:
    for flow in network.net:
        codes = flow(codes).out
    return codes


_PRIORS: dict[str, Callable[[BaseAE, Tensor, torch.Generator], Tensor]] = {
    "PoincareVAE": _in_ball,
    "SVAE": _on_sphere,
    "VAMP": _vamp,
}
_PLACED: dict[str, Callable[[BaseAE, Tensor], Tensor]] = {
    "SVAE": _on_sphere,
    "VAE_IAF": _through_iaf,
    "VAE_LinNF": _through_flows,
}
