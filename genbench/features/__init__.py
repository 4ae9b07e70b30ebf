"""The table of extractors and `load`. Importing it imports no torch: an extractor's module is imported when loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from genbench.datasets.source import cache_root
from genbench.errors import InputError, nearest
from genbench.features.inception_file import PUBLISHED, cached_weights
from genbench.kinds.nouns import NOUNS
from genbench.plugin import finding
from genbench.plugin.families import EXTRACTOR

if TYPE_CHECKING:
    import torch

    from genbench.datasets.dataset import Dataset
    from genbench.features.extractor import Extractor
    from genbench.plugin.finding import Found

__all__ = [
    "EXTRACTORS",
    "FROM_A_FILE",
    "OF_THE_DATASET",
    "TAKES",
    "WEIGHTS_URL",
    "check_name",
    "extractors_of",
    "cached_inception_weights",
    "load",
    "resolve",
]

EXTRACTORS = {
    "auto": "for images: digits-cnn for the digits, inception if its weights are available, else classifier, else "
    "random-conv; for texts: ngram; for clips: log-mel",
    "inception": "the 2015 TensorFlow Inception-v3, for images of 1 or 3 channels: 2048 features, 1008 logits",
    "digits-cnn": "a small classifier of 8×8 digits, shipped with genbench: 64 features, 10 logits",
    "dinov2-vits14": "DINOv2's ViT-S/14 from a file, for images of 1 or 3 channels: 384 features, no logits",
    "dinov2-vitb14": "DINOv2's ViT-B/14: 768 features",
    "dinov2-vitl14": "DINOv2's ViT-L/14: 1024 features",
    "dinov2-vits14-reg": "DINOv2's ViT-S/14 with registers: 384 features",
    "dinov2-vitb14-reg": "DINOv2's ViT-B/14 with registers: 768 features",
    "dinov2-vitl14-reg": "DINOv2's ViT-L/14 with registers: 1024 features",
    "clip-vitl14-336": "CLIP's ViT-L/14: 768 features",
    "classifier": "a small classifier, trained once per labelled dataset and cached: 64 features, one logit per class",
    "random-conv": "a convolutional network with fixed random weights, for any images: 64 features, no logits",
    "ngram": "hashed counts of runs of 1 to 4 symbols, projected at random, for any texts: 256 features, no logits",
    "log-mel": "statistics over time of a log-mel spectrogram, for any clips: 256 features per channel, no logits",
    "vggish": "VGGish from a file, an audio network, for clips at any sample rate: 128 features, no logits",
    "minilm": "all-MiniLM-L6-v2, a sentence embedding, for texts in English: 384 features, no logits",
}

_TRANSFORMERS = tuple(name for name in EXTRACTORS if name.startswith(("dinov2-", "clip-")))
FROM_A_FILE = (*_TRANSFORMERS, "vggish")
"""Extractors that need `--weights`: their weights are neither shipped, cached nor downloaded."""

TAKES = {  # the kinds of items that each one accepts
    "auto": ("image", "text", "audio"),
    "inception": ("image",),
    "digits-cnn": ("image",),
    **dict.fromkeys(_TRANSFORMERS, ("image",)),
    "classifier": ("image", "text", "audio"),
    "random-conv": ("image",),
    "ngram": ("text",),
    "minilm": ("text",),
    "log-mel": ("audio",),
    "vggish": ("audio",),
}

# Extractors that need the dataset's classes, symbols or sample rate as well as its items.
OF_THE_DATASET = ("classifier", "ngram", "minilm", "log-mel", "vggish")

WEIGHTS_URL = PUBLISHED.url
cached_inception_weights = cached_weights


def extractors_of(kind: str) -> list[str]:
    """Return the names of the extractors that accept items of this kind."""
    return [name for name, kinds in TAKES.items() if kind in kinds]


@dataclass(frozen=True)
class _Request:
    """The arguments of `load`; `name` is already resolved and never `auto`."""

    name: str
    dataset: Dataset
    device: torch.device
    weights: Path | None
    profile: str | None
    precision: str
    cache: Path
    download: bool
    progress: Callable[[str, int, int], None] | None
    also: torch.Size | None

    @property
    def symbols(self) -> tuple[str, ...]:
        """For texts: the symbol of each token."""
        return self.dataset.data.symbols or ()


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
    plugins_from: Sequence[str] | None = None,
    also: torch.Size | None = None,
) -> Extractor:
    """Return the extractor `name` for the items of `dataset`, on `device`, ready to be called.

    Args:
        name: a key of `EXTRACTORS`, or the name of a plugin extractor. `auto` uses Inception only if its weights are
            given or cached; it never downloads them.
        dataset: the data it will be used on; `classifier` is trained on its training split.
        device: where it computes.
        weights: for Inception, DINOv2, CLIP and VGGish, a `.pth` or `.safetensors` file of that architecture; for a
            plugin, whatever the plugin reads.
        profile: for Inception, a key of `genbench.features.resize.PROFILES`; for DINOv2 and CLIP, one of
            `genbench.features.vit_resize.VIT_PROFILES`; None means the first of them.
        precision: `fp32` or `bf16`.
        cache: the folder for weights; None means genbench's cache folder.
        download: whether Inception's weights may be downloaded.
        progress: called with (activity, done, total), in bytes or steps.
        plugins_from: distributions that may provide a plugin extractor; None allows all.
        also: the shape of other items that it will be used on, so that `classifier` is not trained in vain.

    Raises:
        InputError: the name, profile or precision is unknown; an option or the items are unsupported; the weights are
            missing, damaged, or of another architecture; the network is unavailable; a plugin does not load or does
            not return valid features.
    """
    found = check_name(name, plugins_from)
    _check_precision(name, precision)
    if found is not None:
        from genbench.features.brought import load_brought

        _refuse(name, dataset, {"--profile": profile})
        return load_brought(found, dataset, device, weights, precision)
    if dataset.kind.name not in TAKES[name]:
        takes = " and ".join(NOUNS[kind] for kind in TAKES[name])
        raise InputError(f"extractor '{name}': takes {takes}, but {dataset.name} holds {dataset.kind.noun}")
    folder = cache or cache_root()
    chosen = resolve(name, dataset, weights, folder)
    if chosen not in ("inception", *_TRANSFORMERS):
        files = {} if chosen in FROM_A_FILE else {"--weights": weights}
        _refuse(chosen, dataset, {**files, "--profile": profile})
    return _LOAD[chosen](
        _Request(chosen, dataset, device, weights, profile, precision, folder, download, progress, also)
    )


def resolve(name: str, dataset: Dataset, weights: Path | None = None, cache: Path | None = None) -> str:
    """Return the extractor that `auto` selects, or any other name unchanged; for the arguments see `load`."""
    return _AUTOMATIC[dataset.kind.name](dataset, weights, cache or cache_root()) if name == "auto" else name


def check_name(name: str, plugins_from: Sequence[str] | None = None) -> Found | None:
    """Return the plugin that provides the extractor `name`, found but not imported; None for genbench's own.

    Raises:
        InputError: no extractor has this name, or its distribution is not allowed.
    """
    if name in EXTRACTORS:
        return None
    offered = finding.installed(family=EXTRACTOR)
    if name not in offered:
        raise InputError(f"extractor '{name}': unknown{nearest(name, [*EXTRACTORS, *offered])}")
    return finding.find_brought(EXTRACTOR, name, plugins_from)


def _check_precision(name: str, precision: str) -> None:
    from genbench.features.extractor import PRECISIONS

    if precision not in PRECISIONS:
        raise InputError(f"extractor '{name}': unknown precision '{precision}'{nearest(precision, PRECISIONS)}")


def _refuse(extractor: str, dataset: Dataset, options: Mapping[str, object]) -> None:
    """Reject options that apply only to networks read from a file when another extractor is given them."""
    advice = "add --extractor inception, or leave it out" if dataset.kind.name in TAKES["inception"] else "leave it out"
    for option, value in options.items():
        if value is not None:
            raise InputError(f"extractor '{extractor}': takes no {option}; {advice}")


def _of_images(dataset: Dataset, weights: Path | None, cache: Path) -> str:
    if weights is not None:
        return "inception"
    if dataset.source == "digits" and tuple(dataset.shape) == (1, 8, 8):
        return "digits-cnn"
    if cached_weights(cache) is not None and dataset.shape[0] in (1, 3):
        return "inception"
    return "classifier" if dataset.train.labels is not None and (dataset.classes or 0) > 1 else "random-conv"


_AUTOMATIC: Mapping[str, Callable[[Dataset, Path | None, Path], str]] = {
    "image": _of_images,
    "text": lambda dataset, weights, cache: "ngram",
    "audio": lambda dataset, weights, cache: "log-mel",
}


def _inception(request: _Request) -> Extractor:
    from genbench.features.inception_weights import load_inception

    return load_inception(
        *(request.weights, request.cache, request.dataset.shape, request.device, request.profile, request.precision),
        download=request.download,
        progress=request.progress,
    )


def _vision_transformer(request: _Request) -> Extractor:
    from genbench.features.vit_weights import load_vit

    return load_vit(
        *(request.name, request.weights, request.dataset.shape, request.device, request.profile, request.precision)
    )


def _digits_cnn(request: _Request) -> Extractor:
    from genbench.features.digits_cnn import load_digits_cnn

    return load_digits_cnn(request.dataset.shape, request.device, request.precision)


def _classifier(request: _Request) -> Extractor:
    from genbench.features.classifier import load_classifier

    return load_classifier(
        *(request.dataset, request.cache, request.device, request.precision, request.progress, request.also)
    )


def _random_conv(request: _Request) -> Extractor:
    from genbench.features.random_conv import load_random_conv

    return load_random_conv(request.dataset.shape, request.device, request.precision)


def _ngram(request: _Request) -> Extractor:
    from genbench.features.ngram import load_ngram

    return load_ngram(request.symbols, request.device, request.precision)


def _minilm(request: _Request) -> Extractor:
    from genbench.features.minilm import load_minilm

    return load_minilm(request.symbols, request.dataset.shape[0], request.device, request.precision)


def _log_mel(request: _Request) -> Extractor:
    from genbench.features.log_mel import load_log_mel

    return load_log_mel(request.dataset, request.device, request.precision)


def _vggish(request: _Request) -> Extractor:
    from genbench.features.vggish import load_vggish

    return load_vggish(request.dataset, request.weights, request.device, request.precision)


_LOAD: Mapping[str, Callable[[_Request], Extractor]] = {
    "inception": _inception,
    **dict.fromkeys(_TRANSFORMERS, _vision_transformer),
    "digits-cnn": _digits_cnn,
    "classifier": _classifier,
    "random-conv": _random_conv,
    "ngram": _ngram,
    "minilm": _minilm,
    "log-mel": _log_mel,
    "vggish": _vggish,
}
