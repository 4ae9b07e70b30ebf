"""`digits-cnn`: the classifier of 8 x 8 digits whose weights ship with genbench.

It is what `classifier` would be for `digits`, created once by `benchmarks/make_digits_cnn.py`, so that the embedded
benchmark's numbers have the same identity on every machine.
"""

from __future__ import annotations

from pathlib import Path

import torch

from genbench.errors import InputError
from genbench.features.classifier import classifier_extractor
from genbench.features.extractor import Extractor
from genbench.features.image_classifier import design
from genbench.features.weight_file import content_sha256, read_metadata, read_tensors

__all__ = ["CLASSES", "IMAGE_SHAPE", "WEIGHTS", "load_digits_cnn"]

IMAGE_SHAPE = torch.Size((1, 8, 8))
CLASSES = 10
WEIGHTS = Path(__file__).parent / "weights" / "digits-cnn.safetensors"


def load_digits_cnn(shape: torch.Size, device: torch.device, precision: str) -> Extractor:
    """Return the extractor with the shipped weights.

    Raises:
        InputError: `shape` is not 1x8x8, or the installed file is damaged.
    """
    tensors = read_tensors(WEIGHTS, "digits-cnn weights")
    if content_sha256(tensors) != read_metadata(WEIGHTS).get("weights_sha256"):
        raise InputError(f"digits-cnn weights: {WEIGHTS} is damaged; reinstall genbench")
    extractor = classifier_extractor("digits-cnn", design(IMAGE_SHAPE), CLASSES, tensors, device, precision)
    extractor.check_shape(shape)
    return extractor
