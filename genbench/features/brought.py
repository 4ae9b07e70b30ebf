"""Extractors from plugins: built by their hook, checked, guarded while running, identified by code and weights."""

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

PLUGIN = "extractor_plugin"  # in a recipe: whose code gave the features
_PROBES = 3  # items that an extractor is tried with when it is loaded
_LIVE_OUTPUTS = 4  # as large as the largest there is, that a network may hold at once: input, output, two branches
# Between an item's features in two batches, relative to the largest: another kernel may be chosen for another size.
TOLERANCE = {"fp32": 1e-4, "bf16": 0.05}


def load_brought(
    found: Found, dataset: Dataset, device: torch.device, weights: Path | None, precision: str
) -> Extractor:
    """Return the extractor that a plugin brings, ready to be called, after it has been tried on a few random items.

    Raises:
        InputError: it does not load, is not made for the data, takes no weights or does not find them, or what it
            returns is no features: not finite, of another width, or other ones in another batch.
    """
    try:
        fields = {PLUGIN: finding.identity_line(found.provenance().code)}
        plugin = load_guarded(found)
        _check_weights(plugin, weights)
        network = built(plugin, dataset.data, weights, device)
        with guarded(plugin, "hashing its weights"):  # which fails for a lazy module that has seen no batch
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
        raise InputError(f"{found}: is not made for {dataset.name}: {said}; choose another with --extractor") from None
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

    The global generators are seeded before, the same each time, and put back behind it.

    Raises:
        PluginError: it raises, changes what others share, or returns no module.
        Unsuitable: it is not made for the data.
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
    """Return the identity of a network's weights: the SHA-256 over all parameters and buffers, bit for bit."""
    return tensors_sha256({**dict(network.named_parameters()), **dict(network.named_buffers())})


def probes(kind: Kind, shape: torch.Size, count: int = _PROBES) -> Tensor:
    """Return random stored items, the same each time."""
    return kind.random(count, shape, seeding.generator(0, "extractor", "probes"))


def same_features(one: Tensor, other: Tensor, precision: str = "fp32") -> bool:
    """Return whether two (N, D) features are the same up to what another batch size may change."""
    return float((one - other).abs().max()) <= TOLERANCE[precision] * float(one.abs().max())


def _tried(extractor: Extractor, network: GuardedNetwork, items: Tensor) -> Extractor:
    """Return the extractor with what its first answer tells: its widths, and how much memory an item takes.

    Raises:
        FeatureError: it does not give the same features again, or of an item in another batch.
    """
    with output_sizes(network) as sizes:
        features, logits = extractor(items)
    again, alone = extractor(items)[0], extractor(items[:1])[0]
    repeats = torch.equal(features, again) if features.device.type == "cpu" else same_features(features, again)
    if not repeats:
        raise FeatureError(f"{network.plugin}: its network gave other features for the same batch; draw nothing in it")
    if not same_features(features[:1], alone, extractor.precision):
        raise FeatureError(
            f"{network.plugin}: its network gave an item other features in another batch; none may depend on others"
        )
    return replace(
        extractor,
        feature_count=features.shape[1],
        classes=None if logits is None else logits.shape[1],
        item_bytes=max(extractor.item_bytes, _LIVE_OUTPUTS * max(sizes) // len(items)),
    )
