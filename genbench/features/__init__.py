"""The table of extractors, and `load`. Importing it imports no torch: an extractor's file is imported when loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from genbench.datasets.source import cache_root
from genbench.errors import InputError, nearest
from genbench.features.inception_file import PUBLISHED, weights_at_hand
from genbench.kinds.nouns import NOUNS

if TYPE_CHECKING:
    import torch

    from genbench.datasets.dataset import Dataset
    from genbench.features.extractor import Extractor

__all__ = ["EXTRACTORS", "WEIGHTS_URL", "inception_weights_at_hand", "load"]

EXTRACTORS = {
    "auto": "digits-cnn for digits, inception if its weights are available, else classifier, else random-conv",
    "inception": "the 2015 TensorFlow Inception-v3, for images of 1 or 3 channels: 2048 features, 1008 logits",
    "digits-cnn": "a small classifier of 8×8 digits, shipped with genbench: 64 features, 10 logits",
    "classifier": "a small classifier, trained once per labelled dataset and kept: 64 features, a logit a class",
    "random-conv": "a convolutional network with fixed random weights, for any images: 64 features, no logits",
}

TAKES = dict.fromkeys(EXTRACTORS, ("image",))  # the kinds of items that each is for


def extractors_of(kind: str) -> list[str]:
    """Return the names of the extractors that take a kind of items."""
    return [name for name, kinds in TAKES.items() if kind in kinds]


WEIGHTS_URL = PUBLISHED.url
inception_weights_at_hand = weights_at_hand


def load(
    name: str,
    *,
    dataset: Dataset,
    device: torch.device,
    weights: Path | None = None,
    profile: str | None = None,
    precision: str = "fp32",
    cache: Path | None = None,
    download: bool = True,
    progress: Callable[[str, int, int], None] | None = None,
) -> Extractor:
    """Return the extractor `name` for the images of `dataset`, on `device`, ready to be called.

    Args:
        name: a key of `EXTRACTORS`. `auto` takes Inception only from `weights` or the cache, never from the network.
        dataset: what it will see; `classifier` is trained on its training split.
        device: where it computes.
        weights: a `.pth` or `.safetensors` file of Inception's architecture.
        profile: for Inception, a key of `genbench.features.resize.PROFILES`; None is `torch-fidelity`.
        precision: `fp32` or `bf16`.
        cache: the folder for weights; None is genbench's cache folder.
        download: whether Inception's weights may be fetched.
        progress: called with (what is done, done, total), in bytes or steps.

    Raises:
        InputError: an unknown name, profile or precision; options that the extractor does not take; images that it
            does not take; weights that are missing, damaged, or of another architecture; no network.
    """
    _check_names(name, precision)
    folder = cache or cache_root()
    if dataset.kind.name not in TAKES[name]:
        takes = " and ".join(NOUNS[kind] for kind in TAKES[name])
        raise InputError(f"extractor '{name}': takes {takes}, and {dataset.name} holds {dataset.kind.noun}")
    chosen = _automatic(dataset, weights, folder) if name == "auto" else name
    if chosen != "inception":
        _refuse(chosen, {"--weights": weights, "--profile": profile})
    if chosen == "inception":
        from genbench.features.inception_weights import load_inception

        return load_inception(
            weights, folder, dataset.shape, device, profile, precision, download=download, progress=progress
        )
    if chosen == "digits-cnn":
        from genbench.features.digits_cnn import load_digits_cnn

        return load_digits_cnn(dataset.shape, device, precision)
    if chosen == "classifier":
        from genbench.features.classifier import load_classifier

        return load_classifier(dataset, folder, device, precision, progress)
    from genbench.features.random_conv import load_random_conv

    return load_random_conv(dataset.shape, device, precision)


def _check_names(name: str, precision: str) -> None:
    from genbench.features.extractor import PRECISIONS

    if name not in EXTRACTORS:
        raise InputError(f"extractor '{name}': unknown{nearest(name, EXTRACTORS)}")
    if precision not in PRECISIONS:
        raise InputError(f"extractor '{name}': unknown precision '{precision}'{nearest(precision, PRECISIONS)}")


def _refuse(extractor: str, inceptions: Mapping[str, object]) -> None:
    """Refuse options of Inception's that are given to another extractor."""
    for option, value in inceptions.items():
        if value is not None:
            raise InputError(f"extractor '{extractor}': takes no {option}; add --extractor inception, or leave it out")


def _automatic(dataset: Dataset, weights: Path | None, cache: Path) -> str:
    if weights is not None:
        return "inception"
    if dataset.source == "digits" and tuple(dataset.shape) == (1, 8, 8):
        return "digits-cnn"
    if weights_at_hand(cache) is not None and dataset.shape[0] in (1, 3):
        return "inception"
    return "classifier" if dataset.train.labels is not None and (dataset.classes or 0) > 1 else "random-conv"
