"""`classifier`: trained once per labelled dataset on its training split, and cached by the dataset's fingerprint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from genbench.datasets.dataset import Dataset
from genbench.datasets.locking import locked
from genbench.errors import InputError
from genbench.features import audio_classifier, image_classifier, text_classifier
from genbench.features.classifier_network import FEATURES, Classifier, Design, train_classifier
from genbench.features.extractor import Extractor, place
from genbench.features.log_mel import audio
from genbench.features.weight_file import content_sha256, read_metadata, read_tensors, write_tensors

__all__ = ["classifier_extractor", "load_classifier"]

_DESIGNS: Mapping[str, Callable[[Dataset], Design]] = {  # by kind
    "image": lambda dataset: image_classifier.design(dataset.shape),
    "audio": lambda dataset: audio_classifier.design(dataset.shape, audio(dataset)),
    "text": lambda dataset: text_classifier.design(dataset.shape[0], dataset.kind.levels),
}


def load_classifier(
    dataset: Dataset,
    cache: Path,
    device: torch.device,
    precision: str,
    progress: Callable[[str, int, int], None] | None = None,
    also: torch.Size | None = None,
) -> Extractor:
    """Return the extractor for `dataset`, training it on first use.

    With `also`, the shape of other items, it is trained only if it takes these too.

    The weights are always read back from the file, so the first run and later runs give the same numbers. If several
    processes need it at once, one trains and the others wait. A damaged file is rebuilt.

    Raises:
        InputError: the dataset has no labels or fewer than two classes, items of shape `also` are not taken, or the
            cache cannot be written.
    """
    design, classes = _DESIGNS[dataset.kind.name](dataset), dataset.classes or 0
    if dataset.train.labels is None or classes < 2:
        raise InputError(
            f"extractor 'classifier': dataset '{dataset.name}' has no labels of at least two classes; "
            f"use {design.without_labels}"
        )
    if also is not None:
        design.intake.check_shape("classifier", also)
    path = cache / "classifiers" / f"{design.procedure}-{dataset.fingerprint}.safetensors"
    tensors = _read(path, design, dataset)
    if tensors is None:
        with locked(path):
            tensors = _read(path, design, dataset)
            if tensors is None:
                _train(path, design, dataset, progress)
                tensors = read_tensors(path, "classifier")
    return classifier_extractor("classifier", design, classes, tensors, device, precision)


def classifier_extractor(
    name: str,
    design: Design,
    classes: int,
    tensors: Mapping[str, Tensor],
    device: torch.device,
    precision: str,
) -> Extractor:
    """Return the extractor built from a `Classifier` with these weights."""
    with torch.device("meta"):  # no time or random numbers for weights that are immediately replaced
        network = Classifier(design, classes)
    network.load_state_dict(dict(tensors), assign=True)
    network.requires_grad_(False).eval()
    place(network, device, precision)
    return Extractor(
        name=name,
        network=network,
        intake=design.intake,
        device=device,
        precision=precision,
        feature_count=FEATURES,
        classes=classes,
        weights_sha256=content_sha256(tensors),
        item_bytes=design.item_bytes,
        fields={"procedure": design.procedure},
    )


def _train(path: Path, design: Design, dataset: Dataset, progress: Callable[[str, int, int], None] | None) -> None:
    def on_step(step: int, steps: int) -> None:
        if progress is not None:
            progress(f"training the classifier of {dataset.name}", step, steps)

    network = train_classifier(design, dataset.classes or 0, dataset.train, on_step)
    tensors = network.state_dict()
    recorded = {
        "procedure": design.procedure,
        "dataset": dataset.fingerprint,
        "weights_sha256": content_sha256(tensors),
    }
    write_tensors(path, tensors, recorded)


def _read(path: Path, design: Design, dataset: Dataset) -> dict[str, Tensor] | None:
    """Return the weights, or None if the file is missing, damaged, or not for this dataset."""
    recorded = read_metadata(path)
    if recorded.get("dataset") != dataset.fingerprint or recorded.get("procedure") != design.procedure:
        return None
    try:
        tensors = read_tensors(path, "classifier")
    except InputError:
        return None
    return tensors if content_sha256(tensors) == recorded.get("weights_sha256") else None
