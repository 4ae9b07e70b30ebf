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
    "auto": "for images digits-cnn if they are digits, inception if its weights are available, else classifier, else "
    "random-conv; for texts ngram; for clips log-mel",
    "inception": "the 2015 TensorFlow Inception-v3, for images of 1 or 3 channels: 2048 features, 1008 logits",
    "digits-cnn": "a small classifier of 8×8 digits, shipped with genbench: 64 features, 10 logits",
    "dinov2-vits14": "DINOv2's ViT-S/14 from a file, for images of 1 or 3 channels: 384 features, no logits",
    "dinov2-vitb14": "DINOv2's ViT-B/14: 768 features",
    "dinov2-vitl14": "DINOv2's ViT-L/14: 1024 features",
    "dinov2-vits14-reg": "DINOv2's ViT-S/14 with registers: 384 features",
    "dinov2-vitb14-reg": "DINOv2's ViT-B/14 with registers: 768 features",
    "dinov2-vitl14-reg": "DINOv2's ViT-L/14 with registers: 1024 features",
    "clip-vitl14-336": "CLIP's ViT-L/14 : 768 features",
    "classifier": "a small classifier, trained once per labelled dataset and kept: 64 features, a logit a class",
    "random-conv": "a convolutional network with fixed random weights, for any images: 64 features, no logits",
    "ngram": "hashed counts of runs of 1 to 4 symbols, projected at random, for any texts: 256 features, no logits",
    "log-mel": "statistics over time of a log-mel spectrogram, for any clips: 256 features a channel, no logits",
    "vggish": "VGGish from a file, a network of sounds, for clips at any rate: 128 features, no logits",
    "minilm": "all-MiniLM-L6-v2, a network of sentences' meaning, for texts in English: 384 features, no logits",
}

_TRANSFORMERS = tuple(name for name in EXTRACTORS if name.startswith(("dinov2-", "clip-")))
FROM_A_FILE = (*_TRANSFORMERS, "vggish")
"""Those whose weights the user names: there is no place where they are looked for."""

TAKES = {  # the kinds of items that each is for
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

# Which need its classes, symbols or sample rate, and not only its items.
OF_THE_DATASET = ("classifier", "ngram", "minilm", "log-mel", "vggish")

WEIGHTS_URL = PUBLISHED.url
cached_inception_weights = cached_weights


def extractors_of(kind: str) -> list[str]:
    """Return the names of the extractors that take a kind of items."""
    return [name for name, kinds in TAKES.items() if kind in kinds]


@dataclass(frozen=True)
class _Request:
    """What `load` is asked for; `name` is the extractor's, never `auto`."""

    name: str
    dataset: Dataset
    device: torch.device
    weights: Path | None
    profile: str | None
    precision: str
    cache: Path
    download: bool
    progress: Callable[[str, int, int], None] | None

    @property
    def symbols(self) -> tuple[str, ...]:
        """Of texts: what each token stands for."""
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
) -> Extractor:
    """Return the extractor `name` for the items of `dataset`, on `device`, ready to be called.

    Args:
        name: a key of `EXTRACTORS`, or the name of a plugin's. `auto` takes Inception only from `weights` or the cache,
            never from the network.
        dataset: what it will see; `classifier` is trained on its training split.
        device: where it computes.
        weights: a `.pth` or `.safetensors` file of the architecture, for Inception, DINOv2, CLIP and VGGish; of a
            plugin's whatever it reads.
        profile: for Inception a key of `genbench.features.resize.PROFILES`, for DINOv2 and CLIP one of
            `genbench.features.vit_resize.VIT_PROFILES`; None is the first of them.
        precision: `fp32` or `bf16`.
        cache: the folder for weights; None is genbench's cache folder.
        download: whether Inception's weights may be fetched.
        progress: called with (what is done, done, total), in bytes or steps.
        plugins_from: distributions that may provide a plugin extractor; None for all.

    Raises:
        InputError: an unknown name, profile or precision; unsupported options or items; weights that are missing,
            damaged, or of another architecture; no network; a plugin that does not load or returns no valid features.
    """
    found = check_name(name, plugins_from)
    _check_precision(name, precision)
    if found is not None:
        from genbench.features.brought import load_brought

        _refuse(name, dataset, {"--profile": profile})
        return load_brought(found, dataset, device, weights, precision)
    if dataset.kind.name not in TAKES[name]:
        takes = " and ".join(NOUNS[kind] for kind in TAKES[name])
        raise InputError(f"extractor '{name}': takes {takes}, and {dataset.name} holds {dataset.kind.noun}")
    folder = cache or cache_root()
    chosen = resolve(name, dataset, weights, folder)
    if chosen not in ("inception", *_TRANSFORMERS):
        files = {} if chosen in FROM_A_FILE else {"--weights": weights}
        _refuse(chosen, dataset, {**files, "--profile": profile})
    return _LOAD[chosen](_Request(chosen, dataset, device, weights, profile, precision, folder, download, progress))


def resolve(name: str, dataset: Dataset, weights: Path | None = None, cache: Path | None = None) -> str:
    """Return which extractor `auto` stands for, and any other name as it is; `load` has the arguments."""
    return _AUTOMATIC[dataset.kind.name](dataset, weights, cache or cache_root()) if name == "auto" else name


def check_name(name: str, plugins_from: Sequence[str] | None = None) -> Found | None:
    """Return the plugin that an extractor's name is of, found and not imported; None for genbench's own.

    Raises:
        InputError: no extractor has this name, or it is not of an allowed distribution.
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
    """Refuse options of networks that are read from a file where another extractor is given them."""
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

    return load_classifier(request.dataset, request.cache, request.device, request.precision, request.progress)


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
