"""The hooks: the whole contract between genbench and a plugin. These docstrings are its reference documentation.

A plugin is a module whose functions carry `@genbench.hookimpl`. What it brings is said by the entry-point group that
it is registered under: `genbench` a model, `genbench.datasets` a dataset, `genbench.extractors` an extractor,
`genbench.metrics` a metric, `genbench.observers` an observer. An implementation may leave out arguments that it does
not use. Of a model the first three hooks must be there, the others may; the last four hooks are those of the other
families, one each.

What a batch is depends on the kind of the data's items (`data.kind`):

- image: float32 (B, C, H, W) in [-1, 1], of 8-bit pixels
- text: int64 (B, L) tokens from 0 to `data.levels` - 1, where the first 0 of an item is its end
- audio: float32 (B, C, T) in [-1, 1], of 16-bit samples
"""

# A specification is a signature and a docstring, and has no body.
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

PROJECT = "genbench"  # by which pluggy tells our markers from those of others

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

REQUIRED_HOOKS = ("build_model", "train_step", "sample")  # of a model


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


@hookspec(firstresult=True)
def load_dataset(
    options: dict[str, Any], folder: Path, image_size: int | None
) -> Any:  # `genbench.Splits`, of a room that imports this file
    """Return the training and the held-out split of a dataset, as items are stored (see `genbench.Splits`).

    Images are uint8 (N, C, H, W), texts int16 (N, L), clips int16 (N, C, T), all on the CPU. `options` are what the
    user gave with `-d name:option=value`; pass them on as keyword arguments of your own builder, annotated and with
    defaults, as a model's. `folder` is this dataset's own in the data root, for files that it reads or fetches; it may
    not exist yet. `image_size` is the side in pixels that `--image-size` asks for; an implementation that does not take
    it has images of one size alone.

    The same options must give the same items, in every process and on every machine: draw from a generator of your own,
    never from the global one. No item may be in both splits. Called once a process, so a cell loads it again.

        @hookimpl
        def load_dataset(options):
            return draw(**options)
    """


@hookspec(firstresult=True)
def build_extractor(data: Data, weights: Path | None, device: torch.device) -> nn.Module:
    """Build a frozen network that turns a batch of items into features, on `device`.

    `data` says what the items are; raise `genbench.Unsuitable` for those that the network is not made for. `weights` is
    the file that `--weights` names, or None. The network takes (B, ...) of the data's kind, as a model's hooks see it,
    and returns features, float (B, D), or features and the logits of a classifier, float (B, K). Its parameters and
    buffers are what the identity of the weights is made of.

        @hookimpl
        def build_extractor(data, device):
            return network(data.shape).to(device).eval()
    """


@hookspec(firstresult=True)
def define_metric() -> Any:  # `genbench.Metric`, likewise
    """Return what the metric is: its numbers and which way is better, what it needs, and the function that measures.

    Its name is that of the entry point. The function takes a `genbench.Evidence`, whose fields that `needs` names are
    not None and have at least `least_count` rows, such as `samples` (M, D) and `reference` (N, D), and returns the
    numbers by name. It draws randomness from a generator seeded with `evidence.seed` alone, and changes no tensor. A
    number that cannot be had of this evidence is left out; `raise genbench.NotMeasurable("why")` where none can.

        @hookimpl
        def define_metric():
            values = (Value("mean_gap", "lower"),)
            return Metric("mean-gap", values, ("samples", "reference"), 2, measure, "distance of means", PAPER)
    """


@hookspec(firstresult=True)
def build_observer(options: dict[str, Any]) -> Observer:
    """Return an observer: it is told how a benchmark goes on, and changes nothing (see `genbench.Observer`).

    Called once a run, in the process that shows progress, before anything is trained. `options` are what the user gave
    with `--observe name:option=value`; pass them on as keyword arguments of your own builder, annotated and with
    defaults. Raise `genbench.GenbenchError("... is not installed: pip install ...")` where what it needs is missing.
    Import large libraries in `Observer.begin`, which runs in a thread of its own.

        @hookimpl
        def build_observer(options):
            return Writer(**options)
    """
