"""Extractors from plugins: built by their hook, checked, guarded while running, and identified by code and weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from genbench import seeding
from genbench.datasets.dataset import Dataset
from genbench.errors import InputError, PluginError, Unsuitable
from genbench.features.extractor import Extractor, FeatureError, place
from genbench.features.guarded_network import GuardedNetwork, output_sizes
from genbench.features.intake import Delivered
from genbench.features.tensor_cache import tensors_sha256
from genbench.kinds.kind import Kind
from genbench.plugin import finding, options, world
from genbench.plugin.data import Data
from genbench.plugin.families import EXTRACTOR
from genbench.plugin.finding import Found
from genbench.plugin.guarding import guarded, load_guarded
from genbench.plugin.loading import Plugin

__all__ = ["PLUGIN", "built", "load_brought", "probes", "same_features", "weights_sha256"]

PLUGIN = "extractor_plugin"  # the recipe key that identifies the code behind the features
_PROBES = 3  # items that an extractor is tried on when it is loaded
_LIVE_OUTPUTS = 4  # outputs of the largest size that a network may hold at once: input, output, two branches
# How far an item's features may differ between two batches, relative to the largest feature: the batch size may change
# the choice of kernel.
TOLERANCE = {"fp32": 1e-4, "bf16": 0.05}


def load_brought(
    found: Found, dataset: Dataset, device: torch.device, weights: Path | None, precision: str
) -> Extractor:
    """Return a plugin's extractor, ready to be called, after trying it on a few random items.

    Raises:
        InputError: it does not load, does not suit the data, takes no weights or does not find them, or returns
            invalid features: not finite, of a changing width, or dependent on the rest of the batch.
    """
    try:
        fields = {PLUGIN: finding.identity_line(found.provenance().code)}
        plugin = load_guarded(found)
        _check_weights(plugin, weights)
        network = built(plugin, dataset.data, weights, device)
        with guarded(plugin, "hashing its weights"):  # fails for a lazy module that has not seen a batch yet
            sha256 = weights_sha256(network)
        place(network, device, precision)
        own = GuardedNetwork(plugin, network)
        extractor = Extractor(
            name=found.name,
            network=own,
            intake=Delivered(dataset.kind, dataset.shape),
            device=device,
            precision=precision,
            feature_count=0,
            classes=None,
            weights_sha256=sha256,
            fields=fields,
        )
        return _tried(extractor, own, probes(dataset.kind, dataset.shape))
    except Unsuitable as reason:
        said = options.reason_of(reason)
        raise InputError(f"{found}: does not suit {dataset.name}: {said}; choose another with --extractor") from None
    except PluginError as error:
        raise InputError(str(error)) from error


def _check_weights(plugin: Plugin, weights: Path | None) -> None:
    if weights is None:
        return
    if not plugin.implements(EXTRACTOR.hook, "weights"):
        raise InputError(f"{plugin}: takes no --weights; leave it out")
    if not weights.is_file():
        raise InputError(f"{plugin}: no file {weights}; name the one with its weights")


def built(plugin: Plugin, data: Data, weights: Path | None, device: torch.device) -> nn.Module:
    """Return the network that a plugin builds, in evaluation mode and without gradients.

    The global generators are seeded with a fixed seed beforehand and restored afterwards.

    Raises:
        PluginError: it raises, changes shared state, or does not return a module.
        Unsuitable: it does not suit the data.
    """
    with guarded(plugin, EXTRACTOR.hook, (Unsuitable,)), world.importing():
        seeding.seed_global(0, "extractor")
        network = getattr(plugin.hook, EXTRACTOR.hook)(data=data, weights=weights, device=device)
        if isinstance(network, nn.Module):
            network.requires_grad_(False).eval()
    if not isinstance(network, nn.Module):
        raise PluginError(f"{plugin}: {EXTRACTOR.hook} returned {type(network).__name__}, expected a torch.nn.Module")
    return network


def weights_sha256(network: nn.Module) -> str:
    """Return the identity of a network's weights: the SHA-256 of the bits of all parameters and buffers."""
    return tensors_sha256({**dict(network.named_parameters()), **dict(network.named_buffers())})


def probes(kind: Kind, shape: torch.Size, count: int = _PROBES) -> Tensor:
    """Return random stored items, the same each time."""
    return kind.random(count, shape, seeding.generator(0, "extractor", "probes"))


def same_features(one: Tensor, other: Tensor, precision: str = "fp32") -> bool:
    """Return whether two (N, D) feature tensors agree within the tolerance for different batch sizes."""
    return float((one - other).abs().max()) <= TOLERANCE[precision] * float(one.abs().max())


def _tried(extractor: Extractor, network: GuardedNetwork, items: Tensor) -> Extractor:
    """Return the extractor with what its first output shows: its widths, and the memory needed per item.

    Raises:
        FeatureError: it returns different features for the same batch, or for the same item in another batch.
    """
    with output_sizes(network) as sizes:
        features, logits = extractor(items)
    again, alone = extractor(items)[0], extractor(items[:1])[0]
    repeats = torch.equal(features, again) if features.device.type == "cpu" else same_features(features, again)
    if not repeats:
        raise FeatureError(
            f"{network.plugin}: its network returned different features for the same batch; it may not draw at random"
        )
    if not same_features(features[:1], alone, extractor.precision):
        raise FeatureError(
            f"{network.plugin}: its network returned different features for the same item in another batch; "
            "an item's features may not depend on the other items"
        )
    return replace(
        extractor,
        feature_count=features.shape[1],
        classes=None if logits is None else logits.shape[1],
        item_bytes=max(extractor.item_bytes, _LIVE_OUTPUTS * max(sizes) // len(items)),
    )
