"""The hooks: the whole contract between genbench and a plugin. These docstrings are its reference documentation.

A plugin is a module whose functions carry `@genbench.hookimpl`, registered under the entry-point group `genbench`.
An implementation may leave out arguments that it does not use. The first three hooks must be there, the others may.
Images are always float (B, C, H, W) in [-1, 1].
"""

# A specification is a signature and a docstring, and has no body.
# mypy: disable-error-code="empty-body"
from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from genbench.plugin.model import Model

__all__ = ["hookimpl", "REQUIRED_HOOKS"]

hookspec = pluggy.HookspecMarker("genbench")
hookimpl = pluggy.HookimplMarker("genbench")

REQUIRED_HOOKS = ("build_model", "train_step", "sample")


@hookspec(firstresult=True)
def build_model(image_shape: torch.Size, classes: int | None, options: dict[str, Any], device: torch.device) -> Model:
    """Build the networks and optimizers, on `device`.

    `image_shape` is `torch.Size((C, H, W))`; `classes` the number of labels, or None for a dataset without any;
    `options` what the user gave with `-m name:option=value`. Pass them on as keyword arguments of your own builder,
    annotated and with defaults: genbench reads its signature to list the options and to name a mistyped one.
    Initial weights come from the global generator, which is seeded before the call.

        @hookimpl
        def build_model(image_shape, options, device):
            return build(image_shape, device, **options)
    """


@hookspec(firstresult=True)
def train_step(model: Model, images: Tensor, labels: Tensor | None, step: int) -> dict[str, Tensor]:
    """Train on one batch; return the losses as a dict of detached 0-d tensors.

    `images` is float32 (B, C, H, W) in [-1, 1], `labels` int64 (B,) or None, `step` counts from 0. The plugin owns
    its optimizers: one call may step several, or one several times. The networks are in training mode. Noise comes
    from the global generator. Never call `.item()` or `float()` here: each waits for the device. A step without
    a loss to tell returns `{}`.

        loss = F.mse_loss(model.networks["net"](images), images)
        loss.backward(); opt.step(); opt.zero_grad()
        return {"loss": loss.detach()}
    """


@hookspec(firstresult=True)
def sample(model: Model, count: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
    """Draw `count` images: float (count, C, H, W) in [-1, 1], on the model's device.

    All randomness comes from `generator`, which is on that device, and none from the global one. `labels` is int64
    (count,), drawn from the data's own label frequencies, or None; an implementation that declares `labels` is taken
    for a class-conditional model. Called in evaluation mode under `no_grad`, for up to a few hundred images at a time.

        latent = torch.randn(count, 16, generator=generator, device=generator.device)
        return model.networks["decoder"](latent)
    """


@hookspec(firstresult=True)
def before_sampling(model: Model, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
    """Prepare for sampling, at every evaluation: an autoencoder fits its code density here.

    `batches` is one pass of (images, labels) over the training split, in order. Must be repeatable: twice in a row
    leaves the same state as once. Keep what it finds in the model's buffers, and train nothing: its time is reported
    separately, and neither that nor its FLOPs are part of the budget.

        codes = torch.cat([model.networks["encoder"](images) for images, _ in batches])
        model.networks["density"].fit(codes)
    """


@hookspec(firstresult=True)
def reconstruct(model: Model, images: Tensor) -> Tensor:
    """Return the images as the model restores them, same shape and range: enables MSE, PSNR and SSIM.

    `images` is float32 (B, C, H, W) in [-1, 1], of the held-out split.

        networks = model.networks
        return networks["decoder"](networks["encoder"](images))
    """


@hookspec(firstresult=True)
def encode(model: Model, images: Tensor) -> Tensor:
    """Return the codes of the images, float (B, D); for a distribution over codes, its mean.

    `images` is float32 (B, C, H, W) in [-1, 1].

        return model.networks["encoder"](images)
    """


@hookspec(firstresult=True)
def log_likelihood(model: Model, images: Tensor, generator: torch.Generator) -> Tensor:
    """Return the log-likelihood of each image in nats, (B,), exact or a lower bound: enables bits/dim.

    It is that of the 8-bit data: of the value in {0, ..., 255} that each pixel of `images` was scaled from. A density
    of the continuous pixel must say how it dequantises (uniform noise drawn from `generator`, or an integral over the
    bin), and count the change of scale from [-1, 1] to 256 bins.

        return elbo(model, images, generator)
    """
