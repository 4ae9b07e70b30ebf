"""scikit-learn's bundled handwritten digits: the embedded default, which needs no network."""

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
BRIGHTEST = 16  # the files count the set pixels of 4 × 4 blocks


def load(request: Request) -> Dataset:
    """Load the 1,797 digits, 0..16 scaled to 0..255: 1,297 to train on and 500 held out, in one fixed random order.

    Reference: E. Alpaydin, C. Kaynak, 1998, Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, https://doi.org/10.24432/C50P49 (its test set, which is what scikit-learn bundles).
    """
    # Kept like what is read from files, as importing scikit-learn takes longer than many a cell of digits trains.
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
