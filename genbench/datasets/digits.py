"""The handwritten digits bundled with scikit-learn: the built-in default, which needs no network."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import numpy.typing as npt

from genbench.datasets.dataset import Dataset
from genbench.datasets.decoding import resize_all
from genbench.datasets.source import Request
from genbench.datasets.storage import Plan, keep
from genbench.seeding import derive

__all__ = ["load"]

HELD_OUT_COUNT = 500
BRIGHTEST = 16  # the files hold the number of set pixels in each 4 × 4 block


def load(request: Request) -> Dataset:
    """Load the 1,797 digits, 0..16 scaled to 0..255: 1,297 to train on and 500 held out, in one fixed random order.

    Reference: E. Alpaydin, C. Kaynak, 1998, Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, https://doi.org/10.24432/C50P49 (its test set, which is what scikit-learn bundles).
    """
    # Cached like file data, because importing scikit-learn takes longer than training many a cell of digits.
    return keep(request, f"{request.image_size}", version("scikit-learn"), lambda: _plan(request))


def _plan(request: Request) -> Plan:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = sorted(range(len(bunch.target)), key=lambda index: derive(0, "digits", index))
    images = np.rint(bunch.images[order] * (255 / BRIGHTEST)).astype(np.uint8)[:, None]  # (N, 1, 8, 8)

    def fill(target: npt.NDArray[np.uint8]) -> None:
        resize_all(images, target, request.progress)

    side = request.image_size or images.shape[-1]
    return Plan(
        shape=(len(images), 1, side, side),
        train_count=len(images) - HELD_OUT_COUNT,
        labels=bunch.target[order].astype(np.int64),
        class_names=tuple(str(digit) for digit in range(10)),
        fill=fill,
    )
