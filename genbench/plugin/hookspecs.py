"""The hooks: the complete contract between genbench and a plugin. These docstrings are its reference documentation.

A plugin is a module whose functions are marked `@genbench.hookimpl`. The entry-point group that it is registered under
determines what it provides: `genbench` a model, `genbench.datasets` a dataset, `genbench.extractors` an extractor,
`genbench.metrics` a metric, `genbench.observers` an observer. An implementation may leave out arguments that it does
not use. For a model the first three hooks are required and the others optional; the last four hooks belong to the
other families, one each.

The form of a batch depends on the kind of the data's items (`data.kind`):

- image: float32 (B, C, H, W) in [-1, 1], from 8-bit pixels
- text: int64 (B, L) tokens from 0 to `data.levels` - 1, where the first 0 of an item marks its end
- audio: float32 (B, C, T) in [-1, 1], from 16-bit samples
"""

# A specification consists of a signature and a docstring, without a body.
# mypy: disable-error-code="empty-body"
from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from genbench.plugin.data import Data, Training
    from genbench.plugin.model import Model
    from genbench.plugin.observer import Observer

__all__ = ["PROJECT", "REQUIRED_HOOKS", "hookimpl"]

PROJECT = "genbench"  # lets pluggy distinguish our markers from those of others

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

REQUIRED_HOOKS = ("build_model", "train_step", "sample")  # of a model


@hookspec(firstresult=True)
def build_model(data: Data, training: Training, options: dict[str, Any], device: torch.device) -> Model:
    """Build the networks and optimizers, on `device`.

    `data` describes the dataset: its kind, the shape of an item, the number of items and the number of classes (see
    `genbench.Data`); `training` gives the number of steps and the batch size, for schedules over the budget (see
    `genbench.Training`). `options` are those given by the user with `-m name:option=value`. Pass them on as keyword
    arguments of your own builder, annotated and with defaults: genbench reads its signature to list the options and to
    name a mistyped one. Draw initial weights from the global generator, which is seeded before the call.

    For data that the model does not support, raise `genbench.Unsuitable("takes images of 8 to 128 pixels a side")`: the
    benchmark continues without this cell, and its tables give the reason.

        @hookimpl
        def build_model(data, options, device):
            return build(data.shape, device, **options)
    """


@hookspec(firstresult=True)
def train_step(model: Model, batch: Tensor, labels: Tensor | None, step: int) -> dict[str, Tensor]:
    """Train on one batch; return the losses as a dict of detached 0-d tensors.

    `batch` is (B, ...) of the data's kind, `labels` int64 (B,) or None, `step` counts from 0. The plugin owns its
    optimizers: one call may step several, or one several times. The networks are in training mode. Draw noise from the
    global generator. Never call `.item()` or `float()` here: each waits for the device. A step without a loss to
    report, such as that of a model fitted beforehand, returns `{}`.

        loss = F.mse_loss(model.networks["net"](batch), batch)
        loss.backward(); opt.step(); opt.zero_grad()
        return {"loss": loss.detach()}
    """


@hookspec(firstresult=True)
def sample(model: Model, count: int, labels: Tensor | None, generator: torch.Generator) -> Tensor:
    """Draw `count` items as a batch (count, ...) of the data's kind, on the model's device.

    Draw all random numbers from `generator`, which is on that device, never from the global one. `labels` is int64
    (count,), drawn from the data's own label frequencies, or None; an implementation that declares `labels` counts as
    a class-conditional model. Called in evaluation mode under `no_grad`, for up to a few hundred items at a time.

        latent = torch.randn(count, 16, generator=generator, device=generator.device)
        return model.networks["decoder"](latent)
    """


@hookspec(firstresult=True)
def before_training(model: Model, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
    """See all the data before the first step: for principal components, k-means, or a model that is fitted directly.

    `batches` yields (batch, labels) over the training split, in order, and may be iterated several times. The networks
    are in training mode. Draw random numbers from the global generator. Its time and FLOPs count as training and are
    part of the budget. Resumed training does not call it again, so keep its results in the model.

        items = torch.cat([batch.flatten(1) for batch, _ in batches])
        model.networks["basis"].fit(items)
    """


@hookspec(firstresult=True)
def before_sampling(model: Model, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
    """Prepare for sampling, at every evaluation: an autoencoder fits its code density here.

    `batches` is one pass of (batch, labels) over the training split, in order. Must be idempotent: two calls in a row
    leave the same state as one. Keep its results in the model's buffers, and train nothing: its time is reported
    separately, and neither its time nor its FLOPs are part of the budget.

        codes = torch.cat([model.networks["encoder"](batch) for batch, _ in batches])
        model.networks["density"].fit(codes)
    """


@hookspec(firstresult=True)
def reconstruct(model: Model, batch: Tensor) -> Tensor:
    """Return the model's reconstructions of the items, same shape and range: enables MSE, PSNR and SSIM of images.

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

    It refers to the stored data: for an image, to the value in {0, ..., 255} that each pixel of `batch` was scaled
    from. A density of the continuous pixel must state how it dequantises (uniform noise drawn from `generator`, or an
    integral over the bin), and account for the change of scale from [-1, 1] to 256 bins.

        return elbo(model, batch, generator)
    """


@hookspec(firstresult=True)
def load_dataset(
    options: dict[str, Any], folder: Path, image_size: int | None
) -> Any:  # `genbench.Splits`, from a package that imports this file
    """Return the training and the held-out split of a dataset, with items in stored form (see `genbench.Splits`).

    Images are uint8 (N, C, H, W), texts int16 (N, L), clips int16 (N, C, T), all on the CPU. `options` are those given
    by the user with `-d name:option=value`; pass them on as keyword arguments of your own builder, annotated and with
    defaults, as for a model. `folder` is this dataset's folder in the data root, for files that it reads or downloads;
    it may not exist yet. `image_size` is the side in pixels set by `--image-size`; an implementation that does not take
    it has images of one size only.

    The same options must give the same items, in every process and on every machine: draw from your own generator,
    never from the global one. No item may be in both splits. Called once per process, so each cell loads it again.

        @hookimpl
        def load_dataset(options):
            return draw(**options)
    """


@hookspec(firstresult=True)
def build_extractor(data: Data, weights: Path | None, device: torch.device) -> nn.Module:
    """Build a frozen network that turns a batch of items into features, on `device`.

    `data` describes the items; raise `genbench.Unsuitable` for those that the network does not support. `weights` is
    the file given by `--weights`, or None. The network takes (B, ...) of the data's kind, as a model's hooks see it,
    and returns features, float (B, D), or features and the logits of a classifier, float (B, K). Its parameters and
    buffers determine the identity of the weights.

        @hookimpl
        def build_extractor(data, device):
            return network(data.shape).to(device).eval()
    """


@hookspec(firstresult=True)
def define_metric() -> Any:  # `genbench.Metric`, likewise
    """Return the metric: its numbers and which direction is better, its inputs, and the function that computes it.

    Its name is that of the entry point. The function takes a `genbench.Evidence`, in which the fields named by `needs`
    are not None and have at least `least_count` rows, such as `samples` (M, D) and `reference` (N, D), and returns the
    numbers by name. It draws random numbers only from a generator seeded with `evidence.seed`, and changes no tensor.
    Leave out a number that this evidence does not allow; `raise genbench.NotMeasurable("why")` if it allows none.

        @hookimpl
        def define_metric():
            values = (Value("mean_gap", "lower"),)
            return Metric("mean-gap", values, ("samples", "reference"), 2, measure, "distance of means", PAPER)
    """


@hookspec(firstresult=True)
def build_observer(options: dict[str, Any]) -> Observer:
    """Return an observer: it receives the progress of a benchmark and changes nothing (see `genbench.Observer`).

    Called once per run, in the process that shows progress, before anything is trained. `options` are those given by
    the user with `--observe name:option=value`; pass them on as keyword arguments of your own builder, annotated and
    with defaults. Raise `genbench.GenbenchError("... is not installed: pip install ...")` if a requirement is missing.
    Import large libraries in `Observer.begin`, which runs in a separate thread.

        @hookimpl
        def build_observer(options):
            return Writer(**options)
    """
