"""The hooks: the whole contract between genbench and a plugin. These docstrings are its reference documentation.

A plugin is a module whose functions carry `@genbench.hookimpl`, registered under the entry-point group `genbench`.
An implementation may leave out arguments that it does not use. The first three hooks must be there, the others may.

What a batch is depends on the kind of the data's items (`data.kind`):

- image: float32 (B, C, H, W) in [-1, 1], of 8-bit pixels
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

    from genbench.plugin.data import Data, Training
    from genbench.plugin.model import Model

__all__ = ["hookimpl", "REQUIRED_HOOKS"]

hookspec = pluggy.HookspecMarker("genbench")
hookimpl = pluggy.HookimplMarker("genbench")

REQUIRED_HOOKS = ("build_model", "train_step", "sample")


@hookspec(firstresult=True)
def build_model(data: Data, training: Training, options: dict[str, Any], device: torch.device) -> Model:
    """Build the networks and optimizers, on `device`.

    `data` says what the dataset is: its kind, the shape of an item, how many there are, and of how many classes (see
    `genbench.Data`); `training` how many steps there will be, of which batch size, for schedules over the budget (see
    `genbench.Training`). `options` are what the user gave with `-m name:option=value`. Pass them on as keyword
    arguments of your own builder, annotated and with defaults: genbench reads its signature to list the options and to
    name a mistyped one. Initial weights come from the global generator, which is seeded before the call.

    For data that the model is not made for, raise `genbench.Unsuitable("takes images of 8 to 128 pixels a side")`: the
    benchmark goes on without this cell, and its tables say why.

        @hookimpl
        def build_model(data, options, device):
            return build(data.shape, device, **options)
    """


@hookspec(firstresult=True)
def train_step(model: Model, batch: Tensor, labels: Tensor | None, step: int) -> dict[str, Tensor]:
    """Train on one batch; return the losses as a dict of detached 0-d tensors.

    `batch` is (B, ...) of the data's kind, `labels` int64 (B,) or None, `step` counts from 0. The plugin owns its
    optimizers: one call may step several, or one several times. The networks are in training mode. Noise comes from the
    global generator. Never call `.item()` or `float()` here: each waits for the device. A step without a loss to tell,
    as of a model that was fitted before, returns `{}`.

        loss = F.mse_loss(model.networks["net"](batch), batch)
        loss.backward(); opt.step(); opt.zero_grad()
        return {"loss": loss.detach()}
    """


@hookspec(firstresult=True)
def sample(model: Model, count: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
    """Draw `count` items as a batch (count, ...) of the data's kind, on the model's device.

    All randomness comes from `generator`, which is on that device, and none from the global one. `labels` is int64
    (count,), drawn from the data's own label frequencies, or None; an implementation that declares `labels` is taken
    for a class-conditional model. Called in evaluation mode under `no_grad`, for up to a few hundred items at a time.

        latent = torch.randn(count, 16, generator=generator, device=generator.device)
        return model.networks["decoder"](latent)
    """


@hookspec(firstresult=True)
def before_training(model: Model, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
    """See all the data before the first step: for principal components, k-means, or a model that is fitted at once.

    `batches` gives (batch, labels) over the training split, in order, and may be gone through several times. The
    networks are in training mode. Randomness comes from the global generator. Time and FLOPs count as training, and so
    are part of the budget. A resumed training does not call it again, so keep what it finds in the model.

        items = torch.cat([batch.flatten(1) for batch, _ in batches])
        model.networks["basis"].fit(items)
    """


@hookspec(firstresult=True)
def before_sampling(model: Model, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
    """Prepare for sampling, at every evaluation: an autoencoder fits its code density here.

    `batches` is one pass of (batch, labels) over the training split, in order. Must be repeatable: twice in a row
    leaves the same state as once. Keep what it finds in the model's buffers, and train nothing: its time is reported
    separately, and neither that nor its FLOPs are part of the budget.

        codes = torch.cat([model.networks["encoder"](batch) for batch, _ in batches])
        model.networks["density"].fit(codes)
    """


@hookspec(firstresult=True)
def reconstruct(model: Model, batch: Tensor) -> Tensor:
    """Return the items as the model restores them, same shape and range: enables MSE, PSNR and SSIM of images.

    `batch` is (B, ...) of the data's kind, from the held-out split.

        networks = model.networks
        return networks["decoder"](networks["encoder"](batch))
    """


@hookspec(firstresult=True)
def encode(model: Model, batch: Tensor) -> Tensor:
    """Return the codes of the items, float (B, D); for a distribution over codes, its mean.

    `batch` is (B, ...) of the data's kind.

        return model.networks["encoder"](batch)
    """


@hookspec(firstresult=True)
def log_likelihood(model: Model, batch: Tensor, generator: torch.Generator) -> Tensor:
    """Return the log-likelihood of each item in nats, (B,), exact or a lower bound: enables bits/dim.

    It is that of the stored data: of an image, of the value in {0, ..., 255} that each pixel of `batch` was scaled
    from. A density of the continuous pixel must say how it dequantises (uniform noise drawn from `generator`, or an
    integral over the bin), and count the change of scale from [-1, 1] to 256 bins.

        return elbo(model, batch, generator)
    """
